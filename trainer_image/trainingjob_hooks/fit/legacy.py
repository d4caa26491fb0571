"""tf-keras and Keras 2: how a `fit` begins in the middle of an epoch.

Their `fit` asks the model for the epoch and the step to begin with, and gives the data from the beginning all the
same. So the data is wound forward: the batches that are done are fetched and dropped. The order of arrays with
shuffle=True, and of a tf.data shuffle, is the same again, as both follow from TensorFlow's global seed; that of a
keras.utils.Sequence or of a generator is its own affair. Dropout in Keras 2 draws from states inside of operations,
which can't be saved: a resumed run drops other units than an unbroken one.
"""

from __future__ import annotations

import importlib
from typing import Any, List, Tuple

_pending: List[Tuple[int, int]] = []
_wound: List[str] = []


def start_at(model: Any, package: str, epoch: int, batch: int, *, wind: bool) -> None:
    """Let the `fit` of `model` that runs begin at `batch` of `epoch`; only `wind` makes the data do so, too."""

    def counters(steps_per_epoch: Any, initial_epoch: int) -> Tuple[int, int]:
        if wind:
            _pending.append((epoch - initial_epoch, batch))
        return epoch, batch if wind else 0

    if wind:
        _install(package)
    object.__setattr__(model, "_maybe_load_initial_counters_from_ckpt", counters)


def forget(model: Any) -> None:
    """Undo `start_at`."""
    vars(model).pop("_maybe_load_initial_counters_from_ckpt", None)
    _pending.clear()


def _install(package: str) -> None:
    if package in _wound:
        return
    _wound.append(package)
    handler = importlib.import_module(f"{package}.engine.data_adapter").DataHandler
    enumerate_epochs = handler.enumerate_epochs

    def wound(self: Any) -> Any:
        if not _pending:
            yield from enumerate_epochs(self)
            return
        epochs, batch = _pending.pop()
        count = batch
        if self._adapter.should_recreate_iterator():
            for _ in range(epochs):
                iter(self._dataset)  # a shuffle that reshuffles draws its next order
        else:
            count += epochs * int(self._steps_per_epoch or self._inferred_steps or 0)
        for epoch, iterator in enumerate_epochs(self):
            for _ in range(count):
                next(iterator)
            count = 0
            yield epoch, iterator

    handler.enumerate_epochs = wound


def build(model: Any, x: Any, strategy: Any) -> None:
    """Make the variables of a model that waits for its first batch."""
    if getattr(model, "built", True):
        return
    import tensorflow as tf

    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x))
        inputs = batch[0] if isinstance(batch, tuple) else batch
    elif hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end"):  # keras.utils.Sequence
        inputs = x[0][0]
    else:
        inputs = tf.nest.map_structure(lambda array: tf.convert_to_tensor(array[:1]), x)
    with strategy.scope():
        model(tf.nest.map_structure(lambda tensor: tensor[:1], inputs))


def global_seed() -> Any:
    """TensorFlow's global seed; None when there is none."""
    from tensorflow.python.eager import context

    return context.global_seed()


def set_global_seed(seed: Any) -> None:
    """Go on with the interrupted run's seed, as a new job has one of its own."""
    import tensorflow as tf

    if seed is not None and seed != global_seed():
        tf.random.set_seed(int(seed))
