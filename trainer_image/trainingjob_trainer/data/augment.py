"""Random changes of training images, for a whole batch at once.

Random numbers are drawn for the global batch, from (seed, step), and each member then takes those of its own
positions: so an image is changed the same way wherever it is trained, and a resumed job goes on as if never stopped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from trainingjob_trainer.data.errors import DataError

#: Takes a member's own part of a tensor whose first axis is the global batch.
Take = Callable[[Any], Any]


class Stage(ABC):
    """One change, or several that are done together. Images are (b, height, width, channels)."""

    #: Random numbers that each image takes.
    numbers: int
    #: Whether images have to be float32 already.
    floats: bool

    @abstractmethod
    def apply(self, images: Any, uniform: Any, take: Take) -> Any:
        """Return the changed images.

        Args:
            images: (b, height, width, channels).
            uniform: float32 (numbers, global batch), each in [0, 1).
            take: what is computed from them is computed for the global batch and then taken, because vectorised
                functions may round differently at another place in a tensor.
        """


class Move(Stage):
    """Flips and shifts: every row and column of the result is one of the image, or zero. Any dtype, exact."""

    floats = False

    def __init__(self, moves: Sequence[Mapping[str, Any]]) -> None:
        self._moves = moves
        self._border = sum(move["crop"]["padding"] for move in moves if move.get("crop"))
        self.numbers = sum(2 if move.get("crop") or move["flip"] == "both" else 1 for move in moves)

    def apply(self, images: Any, uniform: Any, take: Take) -> Any:
        """Return the changed images (see Stage)."""
        height, width = images.shape[1:3]
        rows, columns = tf.range(height)[None, :], tf.range(width)[None, :]
        numbers = list(tf.unstack(uniform, num=self.numbers))
        moves = [(move, [numbers.pop(0) for _ in range(Move([move]).numbers)]) for move in self._moves]
        # from the result back to the image: the last change first
        for move, drawn in reversed(moves):
            if move.get("crop"):
                rows, columns = (
                    at + _shift(take(one), move["crop"]["padding"])
                    for at, one in zip((rows, columns), drawn, strict=True)
                )
                continue
            if move["flip"] in ("horizontal", "both"):
                columns = tf.where(take(drawn[0])[:, None] < 0.5, width - 1 - columns, columns)
            if move["flip"] in ("vertical", "both"):
                rows = tf.where(take(drawn[-1])[:, None] < 0.5, height - 1 - rows, rows)
        if self._border:
            edge = [self._border, self._border]
            images = tf.pad(images, [[0, 0], edge, edge, [0, 0]])
        for axis, at in ((1, rows), (2, columns)):
            if at.shape[0] != 1:  # moved in this direction
                images = tf.gather(images, at + self._border, batch_dims=1, axis=axis)
        return images


def _shift(uniform: Any, padding: int) -> Any:
    """Return whole shifts from -padding to padding: int32 (b, 1)."""
    shift = tf.cast(uniform * (2 * padding + 1), tf.int32) - padding
    return tf.minimum(shift, padding)[:, None]  # a number just below 1 may round up to it


class Rotate(Stage):
    """Turns around the centre; what comes in from outside is zero; pixels are interpolated."""

    numbers, floats = 1, True

    def __init__(self, degrees: float) -> None:
        self._largest = math.radians(degrees)

    def apply(self, images: Any, uniform: Any, take: Take) -> Any:
        """Return the changed images (see Stage)."""
        angle = (uniform[0] * 2.0 - 1.0) * self._largest
        cos, sin = take(tf.cos(angle)), take(tf.sin(angle))
        x, y = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2
        zero = tf.zeros_like(cos)
        matrix = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y, zero, zero]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack(matrix, axis=1),
            output_shape=tf.constant(images.shape[1:3].as_list(), tf.int32),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )


class Brightness(Stage):
    """Adds one number to all values of an image; values stay within their range where it is known."""

    numbers, floats = 1, True

    def __init__(self, delta: float, span: float, bounded: bool) -> None:
        """Take the largest change as a part of `span`, the width of the values' range, which begins at 0."""
        self._delta, self._bounds = delta * span, (min(0.0, span), max(0.0, span)) if bounded else None

    def apply(self, images: Any, uniform: Any, take: Take) -> Any:
        """Return the changed images (see Stage)."""
        images += take((uniform[0] * 2.0 - 1.0) * self._delta)[:, None, None, None]
        return tf.clip_by_value(images, *self._bounds) if self._bounds else images


def stages(augment: Sequence[Mapping[str, Any]], field: str, span: float, bounded: bool) -> list[Stage]:
    """Turn `pipeline.augment` into stages, in its order; flips and shifts beside each other become one.

    Args:
        augment: the list in the spec.
        field: its path in the resource.
        span: width of the range of pixel values after scaling.
        bounded: whether values outside of that range cannot be.

    Raises:
        DataError: an entry is not exactly one known change with good values.
    """
    result: list[Stage] = []
    moves: list[Mapping[str, Any]] = []
    for number, entry in enumerate(augment):
        change = {name: value for name, value in entry.items() if value is not None}
        name, value = _one_change(change, f"{field}[{number}]")
        if name in ("flip", "crop"):
            moves.append(change)
            continue
        if moves:
            result.append(Move(moves))
            moves = []
        result.append(Rotate(value) if name == "rotate" else Brightness(value, span, bounded))
    return [*result, Move(moves)] if moves else result


def _one_change(change: Mapping[str, Any], field: str) -> tuple[str, Any]:
    """Return (name, its value) of one entry; the value of rotate and brightness is their one number."""
    parameters = {"crop": "padding", "rotate": "degrees", "brightness": "delta"}
    if len(change) != 1 or not set(change) <= {"flip", *parameters}:
        raise DataError(field, f"is {dict(change)!r}; write exactly one of flip, crop, rotate, brightness")
    ((name, value),) = change.items()
    if name == "flip":
        if value not in ("horizontal", "vertical", "both"):
            raise DataError(f"{field}.flip", f"is {value!r}; write horizontal, vertical or both")
        return name, value
    parameter = parameters[name]
    number = value.get(parameter) if isinstance(value, Mapping) else None
    whole = name == "crop"
    if isinstance(number, bool) or not isinstance(number, int if whole else (int, float)) or not number > 0:
        kind = "whole number of pixels above 0" if whole else "number above 0"
        raise DataError(f"{field}.{name}", f"is {value!r}; write {{{parameter}: …}} with a {kind}")
    return name, number
