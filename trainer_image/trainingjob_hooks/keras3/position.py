"""Where a `fit` begins: at its first batch, or where the run that it continues was stopped.

    start_at(model, epoch, batch)    before `fit`, or from a callback's on_train_begin

The next epoch that `fit` runs is then `epoch` (counted from 0), and its first batch is `batch`. What comes before is
not computed: arrays and PyDatasets are entered at that index, a tf.data input skips elements. A tf.data shuffle
that reshuffles is brought to the order of that epoch, by making and dropping one iterator for each earlier one.
Random operations inside of a tf.data map (augmentation) can't be wound forward.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Dict, Iterator, List, Optional, Tuple

from trainingjob_hooks.keras3 import seeds

_pending: weakref.WeakKeyDictionary[Any, Tuple[int, int, Optional[int]]] = weakref.WeakKeyDictionary()
_running: List[Fit] = []
_fits = 0


class Fit:
    """One call of `fit`. `ordinal` counts the calls of the process; order of arrays follows from (seed, pass)."""

    def __init__(self, model: Any, initial_epoch: int) -> None:
        self.model = model
        self.ordinal = _fits
        self.initial_epoch = self.epoch = initial_epoch
        self.batch = 0
        self.seed = (seeds.global_seed() + 7919 * self.ordinal) & 0x7FFFFFFF
        self.iterator: Any = None

    def start_at(self, epoch: int, batch: int, seed: Optional[int]) -> None:
        """Begin elsewhere; see the function of this name."""
        self.epoch, self.batch = epoch, batch
        self.seed = self.seed if seed is None else seed
        self.model._initial_epoch = epoch

    def locate(self, batches: Optional[int], steps_per_epoch: Optional[int]) -> Tuple[int, int]:
        """Return how many passes over the input lie before the start, and how many batches of the next one."""
        return locate(self.epoch - self.initial_epoch, self.batch, batches, steps_per_epoch)


def locate(epochs: int, batch: int, batches: Optional[int], steps_per_epoch: Optional[int]) -> Tuple[int, int]:
    """Return (passes, batches of the next pass) that Keras has used up after `epochs` epochs and `batch` batches.

    `batches` is the length of one pass, None when unknown or endless. With `steps_per_epoch` Keras goes on in the
    same pass in the next epoch, and ends an epoch early where a pass ends.
    """
    if steps_per_epoch is None:
        return epochs, batch
    if not batches:
        return 0, epochs * steps_per_epoch + batch
    passes = used = 0
    for _ in range(epochs):
        used += min(steps_per_epoch, batches - used)
        if used >= batches:
            passes, used = passes + 1, 0
    return passes, used + batch


def iterators(passes: int, batches: Optional[int], steps_per_epoch: Optional[int]) -> int:
    """Return how many iterators Keras has made for `passes` passes over an input of `batches` batches.

    Where it knows that a pass is over it makes one that it drops again, unless it goes on with it in the next epoch;
    the length of an unknown input it knows after the first pass.
    """
    if steps_per_epoch is not None:
        return passes
    return 2 * passes if batches else max(0, 2 * passes - 1)


def start_at(model: Any, epoch: int, batch: int = 0, seed: Optional[int] = None) -> None:
    """Let the running `fit` of `model`, else its next one, begin with batch `batch` of epoch `epoch`.

    `seed` is the interrupted run's, as `describe` gave it; without it the order is that of this run's seed. From
    `fit` on, so from `on_train_begin` too, it must come before the first batch.
    """
    if epoch < 0 or batch < 0:
        raise ValueError(f"start_at(epoch={epoch}, batch={batch}): both count from 0")
    for fit in reversed(_running):
        if fit.model is model:
            fit.start_at(epoch, batch, seed)
            return
    _pending[model] = (epoch, batch, seed)


def describe(model: Any) -> Dict[str, int]:
    """Return what a checkpoint must hold besides epoch and batch: the running fit's `seed` and its `fit` number."""
    for fit in reversed(_running):
        if fit.model is model:
            return {"seed": fit.seed, "fit": fit.ordinal}
    return {"seed": seeds.global_seed(), "fit": _fits}


def count_fit() -> None:
    """Count a call of `fit` that is not made, because the interrupted run had completed it."""
    global _fits
    _fits += 1


@contextlib.contextmanager
def fitting(model: Any, initial_epoch: int) -> Iterator[Fit]:
    """Keep the `Fit` of a running call; afterwards the model starts at its own initial epoch again."""
    fit = Fit(model, initial_epoch)
    count_fit()
    before = getattr(model, "_initial_epoch", None)
    pending = _pending.pop(model, None)
    if pending is not None:
        fit.start_at(*pending)
    _running.append(fit)
    try:
        yield fit
    finally:
        _running.remove(fit)
        model._initial_epoch = before


def claim(iterator: Any) -> Optional[Fit]:
    """Return the running fit when `iterator` is its input: the first epoch iterator that it makes."""
    if _running and _running[-1].iterator is None:
        _running[-1].iterator = iterator
        return _running[-1]
    return None
