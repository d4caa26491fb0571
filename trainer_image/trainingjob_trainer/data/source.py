"""Where examples come from: by number (Source), or only one after another (Stream).

By number is what a pure function of the step needs, so everything that can be is a plain Source: arrays, image files,
uncompressed TFRecord files. A Stream is for what can't: compressed files, a user's own `tf.data.Dataset`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data.errors import DataError, explain

#: Shuffling a stream holds so many bytes of examples in memory, at most …
WINDOW_BYTES = 256 << 20
#: … and so many examples; at least the smaller number, however large they are.
WINDOW_EXAMPLES = (256, 65_536)

#: How TensorFlow says that `Stream.counted` has failed.
_MISCOUNTED = re.compile(r"expected to contain \d+ element")


class Source(ABC):
    """Examples that can be fetched by their number, 0 to size - 1.

    Attributes:
        field: the data set's path in the resource, for error messages.
        size: number of examples, at least 1.
        x_spec, y_spec: `tf.TensorSpec` of one example: shape without batch, and dtype as stored.
        weighted: whether `gather` gives sample weights.
        classes: names of the classes 0, 1, …, where labels were texts or folders.
        in_memory: whether `gather` only copies.
    """

    field: str
    size: int
    x_spec: Any
    y_spec: Any
    weighted: bool = False
    classes: tuple[str, ...] = ()
    in_memory: bool = False

    @abstractmethod
    def gather(self, indices: Any) -> tuple[Any, Any, Any | None]:
        """Return (x, y, weights or None) of the examples with these numbers, as TensorFlow operations.

        Args:
            indices: int64 of shape (b,), each in 0 … size - 1.

        Returns:
            x of shape (b, *x_spec.shape), y of shape (b, *y_spec.shape), weights float32 of shape (b,) or None.
        """

    def blame(self) -> DataError | None:
        """Return which example cannot be read and why, after a batch failed; None if that is not known."""
        return None


class Stream(ABC):
    """Examples that come one after another, always in the same order.

    Attributes: as in Source.
    """

    field: str
    size: int
    x_spec: Any
    y_spec: Any
    weighted: bool = False
    classes: tuple[str, ...] = ()
    in_memory: bool = False
    #: How many examples a shuffle holds in memory: the same on all members, or their orders would differ.
    window: int = WINDOW_EXAMPLES[0]

    def counted(self) -> Any:
        """Return `elements()`, failing where there are more or fewer than `size`: batches would shift."""
        return self.elements().apply(tf.data.experimental.assert_cardinality(self.size))

    def miscounted(self) -> DataError:
        """Return what to say when there are more or fewer examples than `size`."""
        return DataError(
            self.field, f"gave {self.size} examples once and another number later; make it give the same"
        )

    @abstractmethod
    def elements(self) -> Any:
        """Return a `tf.data.Dataset` of `size` single examples, in one order that never changes.

        Each is a dict of tensors, as little decoded as possible: members skip what is not theirs.
        """

    @abstractmethod
    def decode(self, elements: Any) -> tuple[Any, Any, Any | None]:
        """Turn a batch of elements into (x, y, weights or None), as `Source.gather` returns them."""

    def blame(self) -> DataError | None:
        """Return which example cannot be read and why, after a batch failed; None if that is not known."""
        return None


class Arrays(Source):
    """Examples that lie in memory."""

    def __init__(self, field: str, x: Any, y: Any, weights: Any | None = None, classes: tuple[str, ...] = ()) -> None:
        """Take arrays of equal length: x (n, …), y (n, …), weights (n,)."""
        self.field, self.size, self.classes, self.in_memory = field, len(x), classes, True
        # Not on an accelerator: there they would take the model's place.
        with tf.device("CPU:0"):
            self._x, self._y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
            self._weights = None if weights is None else tf.convert_to_tensor(np.asarray(weights, np.float32))
        self.weighted = weights is not None
        self.x_spec = tf.TensorSpec(self._x.shape[1:], self._x.dtype)
        self.y_spec = tf.TensorSpec(self._y.shape[1:], self._y.dtype)

    def gather(self, indices: Any) -> tuple[Any, Any, Any | None]:
        """Return examples by number (see Source)."""
        weights = None if self._weights is None else tf.gather(self._weights, indices)
        return tf.gather(self._x, indices), tf.gather(self._y, indices), weights


def plain(function: Any) -> Any:
    """Return the function as `tf.data` shall take it: as it is. Translating it first (AutoGraph) costs 0.1 s each."""
    return tf.autograph.experimental.do_not_convert(function)


def window_of(example_bytes: int) -> int:
    """Return how many examples of this size a stream's shuffle may hold in memory."""
    low, high = WINDOW_EXAMPLES
    return max(low, min(high, WINDOW_BYTES // max(example_bytes, 1)))


def in_memory(source: Source | Stream, chunk: int = 256) -> Source:
    """Read and decode every example once, and keep them (`pipeline.cache: memory`).

    Raises:
        DataError: an example cannot be read.
    """
    if isinstance(source, Arrays):
        return source
    if isinstance(source, Stream):
        batches = source.counted().batch(chunk).map(plain(source.decode), num_parallel_calls=tf.data.AUTOTUNE)
    else:
        gather, size = source.gather, source.size
        batches = tf.data.Dataset.range(0, size, chunk).map(
            plain(lambda start: gather(tf.range(start, tf.minimum(start + chunk, size), dtype=tf.int64))),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    parts: list[list[Any]] = [[], [], []]
    try:
        for batch in batches:
            for kept, part in zip(parts, batch, strict=True):
                if part is not None:
                    kept.append(part.numpy())
    except tf.errors.OpError as error:
        raise blamed(source, error) or error from None
    x, y, weights = (np.concatenate(kept) if kept else None for kept in parts)
    return Arrays(source.field, x, y, weights, source.classes)


def blamed(source: Source | Stream, error: BaseException) -> DataError | None:
    """Return what is wrong with the data, after reading it raised `error`; None if it is not the data."""
    if isinstance(source, Stream) and _MISCOUNTED.search(str(error)):
        return source.miscounted()
    return source.blame() or explain(error)
