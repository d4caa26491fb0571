"""Keras's epoch iterator over shares of global batches, beginning anywhere.

`TFEpochIterator` decides when a pass ends and what a step is numbered; that stays. What it iterates over is replaced:
not a DistributedDataset, which needs a collective at each end and may hand out empty batches, but `source`.
A DistributedDataset of the program's own, and a dataset with AutoShardPolicy.OFF (the program shards), stay
TensorFlow's.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Optional

from trainingjob_hooks.keras3 import members, position, seeds, source


class Batches:
    """What a train or test function gets as its iterator when there are several replicas.

    `iterator` is a tf.data iterator over (share, what `share.weigh` needs), or, when `is_distributed`, TensorFlow's
    own over values of the local replicas. `left` is the number of batches until the end of the pass, None for
    until the data ends.
    """

    def __init__(self, iterator: Any, *, is_distributed: bool, may_starve: bool, left: Optional[int]) -> None:
        self.iterator = iterator
        self.is_distributed = is_distributed
        self.may_starve = may_starve
        self.left = left

    def __iter__(self) -> Batches:
        return self

    def take(self) -> None:
        """Count one batch.

        Raises:
            StopIteration: the pass is over.
        """
        if self.left is not None:
            if self.left <= 0:
                raise StopIteration
            self.left -= 1

    def __next__(self) -> Any:
        self.take()
        batch = next(self.iterator)
        return batch if self.is_distributed else source.Part(*batch)


_wholes: List[bool] = []


@contextlib.contextmanager
def whole_batches() -> Iterator[None]:
    """Make inputs that are not shared: every member gets whole batches."""
    _wholes.append(True)
    try:
        yield
    finally:
        _wholes.pop()


def install(trainer_module: Any) -> None:
    """Replace the input of `TFEpochIterator` in `keras.src.backend.tensorflow.trainer`."""
    cls = trainer_module.TFEpochIterator
    base = trainer_module.EpochIterator

    def __init__(self: Any, distribute_strategy: Any = None, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        base.__init__(self, *args, **kwargs)
        self._distribute_strategy = distribute_strategy
        self._input = Input(self, position.claim(self))
        self._distributed_dataset = self._input.dataset

    def get_iterator(self: Any) -> Any:
        return self._input

    cls.__init__ = __init__
    cls._get_iterator = get_iterator
    cls._enumerate_iterator = _enumerate_epoch


class Input:
    """The input of one epoch iterator; `iter` of it begins the next pass."""

    def __init__(self, epoch_iterator: Any, fit: Optional[position.Fit]) -> None:
        self._owner = epoch_iterator
        self._fit = fit
        self._pass = -1  # of the last `iter`
        self.offset = 0
        self._endless: Any = None
        self.strategy = epoch_iterator._distribute_strategy
        ours = source.is_ours(self.strategy)
        self._is_whole = ours and bool(_wholes)
        self.place = source.Place() if self._is_whole else source.place_of(self.strategy)
        self.is_training = fit is not None
        self.is_distributed = False
        self.may_starve = True
        self._arrays: Optional[source.ArraySource] = None
        self.dataset = self._open(epoch_iterator.data_adapter)
        if not self.place.is_alone:
            members.check_inputs(self.strategy, self)

    def _open(self, adapter: Any) -> Any:
        import tensorflow as tf

        name = type(adapter).__name__
        if name == "ArrayDataAdapter" and (
            self._is_whole or self.strategy.num_replicas_in_sync == self.place.replicas
        ):
            seed = self._fit.seed if self._fit is not None else seeds.global_seed()
            self._arrays = source.ArraySource(adapter, self.place, seed)
            self.may_starve = self._arrays.may_starve
            return self._arrays.from_step(0, self._arrays.batches)
        if name == "PyDatasetAdapter":
            self._order_py_dataset(adapter)
        dataset = adapter.get_tf_dataset()
        if isinstance(dataset, tf.data.Dataset):
            dataset = source.untuned(dataset)
            if self._is_whole:
                return dataset
            if self.place.is_alone:  # of one replica, or a strategy that is Keras's business
                return self.strategy.experimental_distribute_dataset(dataset)
            policy = dataset.options().experimental_distribute.auto_shard_policy
            if policy != tf.data.experimental.AutoShardPolicy.OFF:
                return source.shared(dataset, self.place)
            dataset = self.strategy.experimental_distribute_dataset(dataset)
        self.is_distributed = not self.place.is_alone
        return dataset

    def fingerprint(self) -> float:
        """Return a number that tells arrays apart by a sample of their rows; 0 for other inputs."""
        return 0.0 if self._arrays is None else members.checksum(self._arrays.sample())

    def __iter__(self) -> Any:
        skip = self._begin_pass()
        if self._arrays is not None:
            iterator = self._array_pass(self._arrays, skip)
        else:
            iterator = iter(self.dataset.skip(skip) if skip else self.dataset)
        if self.place.is_alone:
            return iterator
        batches = self._owner.data_adapter.num_batches
        left = None if batches is None or self.is_distributed else batches - self.offset
        return Batches(iterator, is_distributed=self.is_distributed, may_starve=self.may_starve, left=left)

    def _begin_pass(self) -> int:
        """Count the pass that begins; return how many of its batches were used by the run that this one continues."""
        self._pass += 1
        self.offset = 0
        if self._pass > 0 or self._fit is None:
            return 0
        batches, steps = self._owner.data_adapter.num_batches, self._owner.steps_per_epoch
        passes, self.offset = self._fit.locate(batches, steps)
        self._pass = self._fit.initial_epoch + passes
        for _ in range(position.iterators(passes, batches, steps)):
            self.wind()
        return 0 if self._skips_itself else self.offset

    def wind(self) -> None:
        """Make an iterator for nothing: a dataset that reshuffles draws its next order."""
        if self._arrays is None and not self._skips_itself:
            iter(self.dataset)

    _skips_itself = False

    def _array_pass(self, arrays: source.ArraySource, skip: int) -> Any:
        if self._fit is None:
            return iter(self.dataset)
        arrays.seed = self._fit.seed
        first = self._pass * arrays.batches + skip
        if self._owner.steps_per_execution > 1:
            return iter(arrays.from_step(first, (self._pass + 1) * arrays.batches))
        # One iterator for all passes: the next epoch's first batches are ready when this one ends.
        if self._endless is None:
            self._endless = iter(arrays.from_step(first))
        return self._endless

    def take_first_batch(self) -> int:
        """Return the batch that the first epoch begins with, once; 0 for all later ones."""
        fit = self._fit
        if fit is None or self._pass >= 0:
            return 0
        return fit.batch

    def _order_py_dataset(self, adapter: Any) -> None:
        """Make a PyDataset's order a function of (seed, pass), and enter it at any batch."""
        if adapter.enqueuer is not None or adapter.py_dataset.num_batches is None:
            return
        self._skips_itself = True

        def finite_generator() -> Iterator[Any]:
            indices = list(range(adapter.py_dataset.num_batches))
            if adapter.shuffle:
                import numpy as np

                seed = self._fit.seed if self._fit is not None else seeds.global_seed()
                indices = np.random.RandomState([seed, self._pass]).permutation(indices).tolist()
            for index in indices[self.offset :]:
                yield adapter._standardize_batch(adapter.py_dataset[index])

        adapter._finite_generator = finite_generator

    def batch_spec(self) -> Any:
        """Return the structure of tensor specs of one replica's batch, None for what is absent.

        A dimension that only the data know is looked up in a batch, but never in a generator, which would lose it.
        """
        import tensorflow as tf

        spec = self.dataset.element_spec
        if not self.place.is_alone and not self.is_distributed:
            spec = spec[0]
        spec = tf.nest.map_structure(_local_spec, spec)
        vague = [s for s in tf.nest.flatten(spec) if s is not None and not _is_defined(s)]
        if vague and type(self._owner.data_adapter).__name__ != "GeneratorDataAdapter" and not self.is_distributed:
            batch = next(iter(self.dataset))
            return batch if self.place.is_alone else batch[0]
        return spec


def _local_spec(spec: Any) -> Any:
    spec = getattr(spec, "_value_specs", [spec])[0]  # PerReplicaSpec holds one of each local replica
    return spec if hasattr(spec, "shape") and hasattr(spec, "dtype") else None


def _is_defined(spec: Any) -> bool:
    return spec.shape.rank is not None and None not in spec.shape.as_list()[1:]


def _enumerate_epoch(epoch_iterator: Any) -> Iterator[Any]:
    """Do what Keras's `_enumerate_iterator` does, and begin an interrupted epoch with its first batch to do.

    Keras makes one more iterator where a pass is known to be over, and drops it when the next epoch begins. A
    dataset that reshuffles notices, so that one is made here too.
    """
    self = epoch_iterator
    input_ = self._input
    batch = input_.take_first_batch()
    size = self.steps_per_execution
    steps = self.steps_per_epoch or self._num_batches or -1
    self.data_adapter.on_epoch_begin()
    if steps > 0:
        if self._current_iterator is None or self.steps_per_epoch is None:
            self._current_iterator = iter(input_)
            self._steps_seen = input_.offset
        for step in range(batch, steps, size):
            if self._num_batches and self._steps_seen >= self._num_batches:
                if self.steps_per_epoch:
                    self._interrupted_warning()
                break
            self._steps_seen += size
            yield _numbered(step, size, self._current_iterator)
        if self._num_batches and self._steps_seen >= self._num_batches:
            if self.steps_per_epoch is None:
                input_.wind()
            else:
                self._current_iterator = iter(input_)
            self._steps_seen = 0
    else:
        iterator = iter(input_)
        step = batch - size
        while True:
            step += size
            self._steps_seen = step + size
            yield _numbered(step, size, iterator)
    self.data_adapter.on_epoch_end()


def _numbered(step: int, size: int, iterator: Any) -> Any:
    """Return what Keras yields for an execution of `size` steps: before 3.11 without its last step."""
    import keras

    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 11):
        return step, iterator
    return step, step + size - 1, iterator
