"""Holding examples back for validation: the last fraction of a permutation that follows from the seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob._order import permuted
from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.order import SPLIT_EPOCH
from trainingjob_trainer.data.source import Source, Stream, plain


def split(source: Source | Stream, fraction: float, seed: int) -> tuple[Source | Stream, Source | Stream]:
    """Return (training, validation). No example is in both, and the same are held back on every member.

    Args:
        source: all examples, n of them.
        fraction: part for validation, between 0 and 1; round(n · fraction) examples, at least one.
        seed: `spec.training.seed`.

    Raises:
        DataError: nothing would be left for training, or there is a single example.
    """
    held_out = max(1, round(source.size * fraction))
    if not 0 < fraction < 1 or held_out >= source.size:
        remedy = "write a fraction between 0 and 1 that leaves examples for both, or a validation.dataset"
        raise DataError("spec.training.validation.split", f"is {fraction} of {source.size} examples; {remedy}")
    kept = source.size - held_out
    if isinstance(source, Stream):
        return _StreamPart(source, seed, 0, kept), _StreamPart(source, seed, kept, held_out)
    return _Part(source, seed, 0, kept), _Part(source, seed, kept, held_out)


class _Part(Source):
    """Positions first … first + size - 1 of the permutation."""

    def __init__(self, whole: Source, seed: int, first: int, size: int) -> None:
        self.field, self.classes, self.in_memory = whole.field, whole.classes, whole.in_memory
        self.x_spec, self.y_spec, self.weighted = whole.x_spec, whole.y_spec, whole.weighted
        self.size = size
        self._whole, self._seed, self._first = whole, seed, first

    def gather(self, indices: Any) -> tuple[Any, Any, Any | None]:
        """Return examples by number (see Source)."""
        return self._whole.gather(permuted(indices + self._first, self._seed, SPLIT_EPOCH, self._whole.size))

    def blame(self) -> DataError | None:
        """Return which example cannot be read (see Source)."""
        return self._whole.blame()


class _StreamPart(Stream):
    """The same examples as `_Part` of an equal source, in the order of the stream."""

    def __init__(self, whole: Stream, seed: int, first: int, size: int) -> None:
        self.field, self.classes, self.window = whole.field, whole.classes, whole.window
        self.x_spec, self.y_spec, self.weighted = whole.x_spec, whole.y_spec, whole.weighted
        self.size = size
        chosen = np.zeros(whole.size, bool)
        chosen[permuted(tf.range(first, first + size, dtype=tf.int64), seed, SPLIT_EPOCH, whole.size).numpy()] = True
        self._whole, self._chosen = whole, tf.constant(chosen)

    def elements(self) -> Any:
        """Return undecoded examples, one after another (see Stream)."""
        chosen = self._chosen
        numbered = self._whole.counted().enumerate()
        own = numbered.filter(plain(lambda number, _: chosen[number]))
        return own.map(plain(lambda _, element: element))

    def decode(self, elements: Any) -> tuple[Any, Any, Any | None]:
        """Return decoded examples (see Stream)."""
        return self._whole.decode(elements)

    def blame(self) -> DataError | None:
        """Return which example cannot be read (see Source)."""
        return self._whole.blame()

    def miscounted(self) -> DataError:
        """Return what to say when the whole has another number of examples (see Stream)."""
        return self._whole.miscounted()
