"""Input of a gang: every member goes through the same global batches and keeps its share of each.

Nothing is exchanged between members, so an end of data needs no collective, and no example is lost or seen twice as
long as the members' inputs are the same: seeds.py sees to unseeded shuffles, and order is made deterministic here.

Arrays get an order of our own: a pure function of (seed, pass, position), computed only for the share. So 1, 2 and 3
members see the same batches, and a resumed run begins in the middle of an epoch at no cost. With shuffle=False the
order is Keras's.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, List

from trainingjob_hooks.keras3 import share


@dataclasses.dataclass(frozen=True)
class Place:
    """Which replicas of `replicas` a member holds: `first` to `last` - 1. A process alone holds its only one."""

    replicas: int = 1
    first: int = 0
    last: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to share with."""
        return self.replicas == 1


@dataclasses.dataclass(frozen=True)
class Part:
    """A member's part of a batch, and what `share.weigh` needs to know of the whole."""

    part: Any
    known: Any


def place_of(strategy: Any) -> Place:
    """Return the place of this process in `strategy`; alone where Keras's `fit` can do with it by itself."""
    if not is_ours(strategy):
        return Place()
    replicas = int(strategy.num_replicas_in_sync)
    local = len(strategy.extended.worker_devices)
    if replicas == 1 or replicas == local:
        return Place(replicas, 0, replicas)
    rank = int(strategy.extended._id_in_cluster)
    return Place(replicas, rank * local, (rank + 1) * local)


def is_ours(strategy: Any) -> bool:
    """Whether `fit` must be spread by us: a MultiWorkerMirroredStrategy of several replicas."""
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    return isinstance(strategy, module.CollectiveAllReduceStrategy) and int(strategy.num_replicas_in_sync) > 1


def shared(dataset: Any, place: Place) -> Any:
    """Return a dataset of (share, what `share.weigh` needs) over the global batches of `dataset`."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    # What TensorFlow would insert into a distributed dataset must not happen: we divide batches ourselves.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF

    def divide(*batch: Any) -> Any:
        whole = batch if len(batch) > 1 or isinstance(dataset.element_spec, tuple) else batch[0]
        return share.divide(whole, place.replicas, place.first, place.last)

    divide = tf.autograph.experimental.do_not_convert(divide)
    parts = dataset.map(divide, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parts.prefetch(tf.data.AUTOTUNE).with_options(options)


def untuned(dataset: Any) -> Any:
    """Return `dataset` without tf.data's autotuning, unless its options ask for it by name.

    To drop an iterator with a tuner may take a minute, in which no Python runs in its process: the tuner wakes up to
    look whether it shall end, and is told just afterwards (TensorFlow 2.21, `Model::OptimizeLoop`). Beside two busy
    processes on two CPUs 6 of 28 iterators stood still so, for 8 to 60 s; a gang waits for its slowest member, at
    each end of an epoch. Without it AUTOTUNE means as many calls in parallel as there are CPUs; prefetching grows as
    before.
    """
    import tensorflow as tf

    given = dataset.options().autotune
    if given.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    if given.initial_parallelism is None:
        options.autotune.initial_parallelism = os.cpu_count() or 1
    return dataset.with_options(options)


class ArraySource:
    """Batches of arrays, from the inside of Keras's ArrayDataAdapter, which has checked and packed them."""

    def __init__(self, adapter: Any, place: Place, seed: int) -> None:
        self._adapter = adapter
        self._place = place
        #: Orders follow from it and the pass.
        self.seed = seed
        self._size = int(adapter._num_samples)
        self._batch = int(adapter._batch_size)
        self._shuffle = adapter._shuffle
        self.batches = int(adapter._size)
        last = self._size - (self.batches - 1) * self._batch
        #: Whether some batch has fewer examples than there are replicas.
        self.may_starve = min(last, self._batch) < place.replicas

    def from_step(self, step: int, end: int = -1) -> Any:
        """Return a dataset of the batches from `step` to `end` - 1 (-1: endless), counted over all passes."""
        import tensorflow as tf
        from keras.src import tree
        from keras.src.trainers.data_adapters import array_slicing

        inputs = array_slicing.convert_to_sliceable(self._adapter._inputs, target_backend="tensorflow")
        inputs = tree.lists_to_tuples(inputs)
        steps = tf.data.Dataset.range(step, end if end >= 0 else tf.int64.max)
        everything = tf.data.Dataset.from_tensors(inputs).repeat()
        take = tf.autograph.experimental.do_not_convert(self._take)
        dataset = tf.data.Dataset.zip((steps, everything)).map(take, num_parallel_calls=tf.data.AUTOTUNE)
        options = tf.data.Options()
        # As Keras has it: the pipeline is small, and rewriting it would copy the arrays.
        options.experimental_optimization.apply_default_optimizations = False
        return untuned(dataset.prefetch(tf.data.AUTOTUNE).with_options(options))

    def sample(self) -> List[Any]:
        """Return a few rows of every array that is dense numbers, to compare them between members."""
        import numpy as np
        from keras.src import tree

        found = []
        for leaf in tree.flatten(self._adapter._inputs):
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
                found.append(leaf[:: max(1, len(leaf) // 64)])
        return found

    def _take(self, step: Any, inputs: Any) -> Any:
        import tensorflow as tf

        number, k = step // self.batches, step % self.batches
        place = self._place
        if self._size % self._batch == 0:
            size: Any = self._batch  # known now, so the step is traced with static shapes
        else:
            size = tf.minimum(tf.constant(self._batch, tf.int64), self._size - k * self._batch)
        positions, known = share.divide(tf.range(size, dtype=tf.int64), place.replicas, place.first, place.last)
        indices = self._shuffled(positions, k, size, number)
        part = _gather(inputs, indices)
        return part if place.is_alone else (part, known)

    def _shuffled(self, positions: Any, k: Any, size: Any, number: Any) -> Any:
        from trainingjob._order import permuted

        start = k * self._batch
        if not self._shuffle:
            return start + positions
        if self._shuffle != "batch":
            return permuted(start + positions, self.seed, number, self._size)
        return start + permuted(positions, self.seed, number * self.batches + k, size)


def _gather(inputs: Any, indices: Any) -> Any:
    """Take the rows `indices` of every array, as Keras's ArrayDataAdapter does."""
    import tensorflow as tf
    from keras.src import tree
    from keras.src.trainers.data_adapters import array_slicing

    def take(leaf: Any) -> Any:
        if isinstance(leaf, array_slicing.TensorflowSparseWrapper):
            return array_slicing.slice_tensorflow_sparse_wrapper(leaf, indices)
        if isinstance(leaf, (list, tuple, dict)):
            return None
        return tf.gather(leaf, indices, axis=0) if tf.is_tensor(leaf) else leaf

    return tree.traverse(take, inputs)
