"""Batches of what comes one after another. Every member goes through the whole stream and takes its own part.

The order of an epoch is that of the stream, shuffled within a window that the same examples fill on every member; a
resumed epoch is gone through from its beginning, without decoding what was trained on.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainingjob_trainer.data.order import Layout
from trainingjob_trainer.data.source import Stream, plain


def own_elements(stream: Stream, layout: Layout, start_step: int, stop_step: int, shuffle_seed: int | None) -> Any:
    """Return a `tf.data.Dataset` of (step, this member's undecoded elements of that step's batch).

    Args:
        stream: where elements come from.
        layout: batches, and this member's part of them.
        start_step, stop_step: the steps, from the first to the last but one.
        shuffle_seed: None for the stream's own order.
    """
    first_epoch, skipped = divmod(start_step, layout.steps_per_epoch)
    to_skip = tf.constant(skipped * layout.global_batch, tf.int64)
    positions = layout.local_positions()

    def epoch_batches(epoch: Any) -> Any:
        elements = stream.counted()
        if shuffle_seed is not None:
            seed = shuffle_seed * 1_000_003 + epoch
            elements = elements.shuffle(min(stream.window, layout.size), seed, reshuffle_each_iteration=False)
        elements = elements.skip(tf.where(epoch == first_epoch, to_skip, tf.zeros_like(to_skip)))
        return elements.batch(layout.global_batch)

    def own(step: Any, elements: Any) -> tuple[Any, Any]:
        last = tf.shape(tf.nest.flatten(elements)[0], tf.int64)[0] - 1
        places = tf.minimum(positions, last)
        return step, tf.nest.map_structure(lambda part: tf.gather(part, places), elements)

    epochs = tf.data.Dataset.range(first_epoch, -(-stop_step // layout.steps_per_epoch))
    steps = tf.data.Dataset.range(start_step, stop_step)
    return tf.data.Dataset.zip((steps, epochs.flat_map(plain(epoch_batches)))).map(plain(own))
