"""A user's own function: it returns arrays, or a `tf.data.Dataset` of single examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.builders import call_builder
from trainingjob_trainer.data.errors import DataError, check
from trainingjob_trainer.data.files import reason
from trainingjob_trainer.data.source import Source, Stream, plain, window_of
from trainingjob_trainer.data.sources.arrays import checked

_RETURNS = "return (x, y) or (x, y, sample weights) as arrays, or a tf.data.Dataset of single examples"


def open_source(options: Mapping[str, Any], *, seed: int, field: str, **_: Any) -> Source | Stream:  # noqa: ARG001 - all kinds alike
    """Call the function, once on each member."""
    made = call_builder(options, field)
    if isinstance(made, tf.data.Dataset):
        return ExampleStream(field, made)
    if isinstance(made, (tuple, list)) and len(made) in (2, 3):
        try:
            x, y, weights = (None if part is None else np.asarray(part) for part in (*made, None)[:3])
        except ValueError:
            raise DataError(field, f"{_name(options)} returned rows of different lengths; {_RETURNS}") from None
        if x is not None and y is not None:
            return checked(field, x, y, weights)
    told = f"{type(made).__name__} of {len(made)}" if isinstance(made, (tuple, list)) else type(made).__name__
    raise DataError(field, f"{_name(options)} returned {told}; {_RETURNS}")


def _name(options: Mapping[str, Any]) -> str:
    return str(options.get("function"))


class ExampleStream(Stream):
    """A user's dataset. Every member goes through all of it, in the same order."""

    def __init__(self, field: str, dataset: Any) -> None:
        self.field = field
        options = tf.data.Options()
        options.deterministic = True
        self._dataset = dataset.with_options(options)
        spec = dataset.element_spec
        if (
            not isinstance(spec, tuple)
            or len(spec) not in (2, 3)
            or not all(isinstance(s, tf.TensorSpec) for s in spec)
        ):
            problem = f"the dataset's elements are {spec}; they should be (x, y) or (x, y, weight), a tensor each"
            raise DataError(field, problem)
        self._names = ("x", "y", "w")[: len(spec)]
        self._refuse_own_shuffle()
        for name, part in zip(self._names, spec, strict=True):
            if not (part.dtype.is_floating or part.dtype.is_integer or part.dtype.is_bool):
                raise DataError(field, f"{name} holds {part.dtype.name}; write numbers")
            if not part.shape.is_fully_defined():
                problem = f"{name} has the shape {part.shape}; all examples need one known shape and no batch axis"
                raise DataError(field, f"{problem}: remove .batch(), or use tf.ensure_shape")
        self.weighted = len(spec) == 3
        if self.weighted and spec[2].shape.num_elements() != 1:
            raise DataError(field, f"the weight has the shape {spec[2].shape}; write one number for each example")
        self.x_spec, self.y_spec = (tf.TensorSpec(part.shape, part.dtype) for part in spec[:2])
        self.window = window_of(sum(part.shape.num_elements() * part.dtype.size for part in spec))
        self.size = self._size()

    def _refuse_own_shuffle(self) -> None:
        """A shuffle of the user's own differs between members and between starts: examples get lost."""
        todo = [self._dataset]
        while todo:
            dataset = todo.pop()
            if (
                type(dataset).__name__ == "_ShuffleDataset"
                and getattr(dataset, "_reshuffle_each_iteration", True) is not False
            ):
                problem = "the dataset shuffles by itself, differently on every member and in every epoch"
                remedy = "remove .shuffle() (pipeline.shuffle does it), or give it reshuffle_each_iteration=False"
                raise DataError(self.field, f"{problem}; {remedy} and a seed")
            todo += dataset._inputs()  # of all datasets; it has no public name

    def _size(self) -> int:
        size = int(self._dataset.cardinality())
        if size == tf.data.INFINITE_CARDINALITY:
            raise DataError(self.field, "the dataset has no end; remove .repeat(): epochs and steps are the spec's")
        if size == tf.data.UNKNOWN_CARDINALITY:
            try:
                size = int(self._dataset.reduce(np.int64(0), plain(lambda count, *_: count + 1)))
            except tf.errors.OpError as error:
                raise DataError(
                    self.field, f"the dataset failed while examples were counted: {reason(error)}"
                ) from None
        if not size:
            raise DataError(self.field, "the dataset has no examples")
        return size

    def elements(self) -> Any:
        """Return undecoded examples, one after another (see Stream)."""
        names = self._names
        return self._dataset.map(plain(lambda *parts: dict(zip(names, parts, strict=True))))

    def decode(self, elements: Any) -> tuple[Any, Any, Any | None]:
        """Return decoded examples (see Stream)."""
        weights = tf.cast(tf.reshape(elements["w"], [-1]), tf.float32) if self.weighted else None
        told = "the dataset gave a label or weight that is no finite number; mend or leave out the example"
        floats = [part for part in (elements["y"], weights) if part is not None and part.dtype.is_floating]
        with tf.control_dependencies(
            [check(tf.reduce_all(tf.math.is_finite(part)), self.field, told) for part in floats]
        ):
            return elements["x"], tf.identity(elements["y"]), weights
