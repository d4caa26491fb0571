"""The batches of a training or a validation: a pure function of the seed and the global step.

Nothing is kept between steps, so there is no position to save: a resumed job asks for `batches(step, …)`. Nothing
depends on how many members there are but which part of a batch a member makes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from trainingjob._order import permuted
from trainingjob_trainer.data.errors import DataError, explain
from trainingjob_trainer.data.order import Layout
from trainingjob_trainer.data.source import Source, Stream, blamed, in_memory, plain
from trainingjob_trainer.data.streaming import own_elements
from trainingjob_trainer.data.transform import ClassWeights, Inputs, Labels

PREFETCH = 2
#: What peers and devices do.
_NOT_DATA = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.ResourceExhaustedError,
)


class Feed:
    """This member's part of every global batch.

    Attributes:
        steps_per_epoch: ceil(examples / global_batch); the last batch of an epoch may be partial.
        x_spec, y_spec: `tf.TensorSpec` of one example after the pipeline; x is float32, y int64 or float32.
        local_batch: examples (with padding) in each batch of this member.
        in_memory: whether `batch(step)` is there and costs little: examples lie in memory.
    """

    def __init__(
        self,
        source: Source | Stream,
        pipeline: Mapping[str, Any] | None,
        *,
        global_batch: int,
        parts: int,
        first_part: int,
        local_parts: int,
        seed: int,
        training: bool,
        class_weights: Mapping[Any, float] | None = None,
    ) -> None:
        """Prepare; nothing is read but for `cache: memory`.

        Args:
            source: of `open_source` or `split`.
            pipeline: `spec.training.pipeline`.
            global_batch: examples of all members together in one step.
            parts: replicas of the whole gang. Each makes ceil(global_batch / parts) examples of a batch.
            first_part: number of this member's first replica, in the gang's order.
            local_parts: this member's replicas; their parts of a batch are concatenated.
            seed: `spec.training.seed`.
            training: whether to shuffle and augment, as the pipeline says.
            class_weights: by class number, or by name where classes have names.

        Raises:
            DataError: the pipeline does not fit the data.
        """
        pipeline = pipeline or {}
        self._source = in_memory(source) if pipeline.get("cache") == "memory" else source
        self.layout = Layout(source.size, global_batch, parts, first_part, local_parts)
        self.steps_per_epoch, self.local_batch = self.layout.steps_per_epoch, self.layout.local_batch
        self._inputs = Inputs(pipeline, source.x_spec, training)
        self._labels = Labels(pipeline, source.y_spec)
        self._class_weights = ClassWeights(class_weights, self._labels.spec, source.classes)
        self.x_spec, self.y_spec = self._inputs.spec, self._labels.spec
        self._shuffle = training and bool(pipeline.get("shuffle", True))
        self._prefetch = int(pipeline.get("prefetch", PREFETCH))
        self._seed = seed
        self.in_memory = self._source.in_memory

    def batches(self, start_step: int, stop_step: int) -> Any:
        """Return a `tf.data.Dataset` of the batches of the steps start_step … stop_step - 1.

        Each is (x, y, mask, weight, count): x (b, *x_spec.shape), y (b, *y_spec.shape); mask float32 (b,): 1 for
        examples, 0 for padding, which repeats some example; weight float32 (b,): mask · sample weight · class weight;
        count float32 (): examples in the global batch, at least 1. b is `local_batch` in every batch.

        Iterating raises `tf.errors.OpError`; `explain` turns it into a DataError where the data is to blame.
        """
        if isinstance(self._source, Stream):
            seed = self._seed if self._shuffle else None
            steps = own_elements(self._source, self.layout, start_step, stop_step, seed)
            make = self._streamed(self._source)
        else:
            steps, make = tf.data.Dataset.range(start_step, stop_step), self.batch
        batches = steps.map(plain(make), num_parallel_calls=self._parallel(), deterministic=True)
        return batches.prefetch(self._prefetch).with_options(_options())

    def _parallel(self) -> int:
        """Return how many batches are made at the same time."""
        if self.in_memory:
            # two at a time are enough for two to be ready; more would take processors from the training
            return max(1, min(2, self._prefetch))
        return min(8, max(2, (os.cpu_count() or 1) // 4))  # each decodes eight examples at a time

    @plain
    def batch(self, step: Any) -> Any:
        """Return the batch of one step as TensorFlow operations; `step` is an int64 scalar. Not for streams."""
        if isinstance(self._source, Stream):
            raise TypeError("a stream has no batch of any step; use batches()")
        epoch, start, count = self.layout.place(step)
        positions = self.layout.local_positions()
        places = tf.minimum(start + positions, self.layout.size - 1)
        numbers = permuted(places, self._seed, epoch, self.layout.size) if self._shuffle else places
        return self._finished(step, positions, count, *self._source.gather(numbers))

    def _streamed(self, source: Stream) -> Any:
        def make(step: Any, elements: Any) -> Any:
            _, _, count = self.layout.place(step)
            return self._finished(step, self.layout.local_positions(), count, *source.decode(elements))

        return make

    def explain(self, error: BaseException) -> DataError | None:
        """Return what the user has to mend when a batch, or a step with one, raised `error`; None if not the data."""
        if not isinstance(error, tf.errors.OpError) or isinstance(error, _NOT_DATA):
            return explain(error)
        return blamed(self._source, error)

    def _finished(self, step: Any, positions: Any, count: Any, x: Any, y: Any, weights: Any | None) -> Any:
        """Augment and normalise stored examples, and say which of them count how much."""
        own = tf.minimum(positions, self.layout.global_batch - 1)
        uniform = tf.zeros([0])
        if self._inputs.numbers:
            # one generator on all devices: which one "auto" takes depends on the device
            uniform = tf.random.stateless_uniform(
                [self._inputs.numbers, self.layout.global_batch],
                seed=tf.stack([tf.constant(self._seed, tf.int64), step]),
                alg="philox",
            )
        batch = [self.local_batch]
        x = tf.ensure_shape(self._inputs(x, uniform, lambda drawn: tf.gather(drawn, own)), batch + self.x_spec.shape)
        y = tf.ensure_shape(self._labels(y), batch + self.y_spec.shape)
        mask = tf.cast(positions < count, tf.float32)
        weight = mask
        for factor in (weights, self._class_weights(y)):
            weight = weight if factor is None else weight * factor
        return x, y, mask, tf.ensure_shape(weight, batch), tf.cast(count, tf.float32)


def _options() -> Any:
    """Deterministic, never sharded by a strategy, and without machinery that costs more than it gives here."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.autotune.enabled = False
    return options
