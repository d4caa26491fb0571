"""From examples as they are stored to what a model trains on: augmentation, normalisation, labels, weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data.augment import Stage, Take, stages
from trainingjob_trainer.data.errors import DataError, check

WHERE = "spec.training.pipeline"
WEIGHTS = "spec.training.classWeights"


class Inputs:
    """x: scaled, augmented when training, normalised; float32. Numbers without a shape become vectors of one."""

    def __init__(self, pipeline: Mapping[str, Any], stored: Any, training: bool) -> None:
        """Prepare for examples of the `tf.TensorSpec` `stored`.

        Raises:
            DataError: normalize or augment do not fit the examples.
        """
        normalize = pipeline.get("normalize") or {}
        self._bytes = stored.dtype == tf.uint8
        self._scale = _number(normalize.get("scale", 1.0), f"{WHERE}.normalize.scale") if normalize else None
        if self._scale is None:
            self._scale = 1 / 255 if self._bytes else 1.0
        shape = stored.shape.as_list()
        width = shape[-1] if shape else 1
        self._mean = _values(normalize.get("mean"), width, f"{WHERE}.normalize.mean")
        std = _values(normalize.get("std"), width, f"{WHERE}.normalize.std")
        if std is not None and not (std > 0).all():
            raise DataError(f"{WHERE}.normalize.std", f"is {normalize['std']!r}; write numbers above 0")
        # Multiplied, not divided: TensorFlow replaces some divisions by constants, not all, and bits would differ.
        self._factor = None if std is None else np.float32(1) / std
        augment = (pipeline.get("augment") or []) if training else []
        if augment and len(shape) not in (2, 3):
            problem = f"changes images, but examples have the shape {tuple(shape)}; remove it"
            raise DataError(f"{WHERE}.augment", f"{problem}, or use images of height, width and channels")
        span = (255.0 if self._bytes else 1.0) * self._scale
        self._stages: list[Stage] = stages(augment, f"{WHERE}.augment", span, self._bytes)
        #: Random numbers that each example takes.
        self.numbers = sum(stage.numbers for stage in self._stages)
        self.spec = tf.TensorSpec(shape or [1], tf.float32)

    def __call__(self, x: Any, uniform: Any, take: Take) -> Any:
        """Return float32 (b, *spec.shape) for stored examples x (b, …); `uniform` is (numbers, global batch)."""
        flat = len(x.shape) == 3 and bool(self._stages)  # images without channels
        x = x[..., None] if flat else x
        scaled = False
        for stage in self._stages:
            if stage.floats and not scaled:
                x, scaled = self._scaled(x), True
            x = stage.apply(x, uniform[: stage.numbers], take)
            uniform = uniform[stage.numbers :]
        x = x if scaled else self._scaled(x)
        x = x[..., 0] if flat else x
        x = x if self._mean is None else x - self._mean
        x = x if self._factor is None else x * self._factor
        return tf.reshape(x, [-1, *self.spec.shape])

    def _scaled(self, x: Any) -> Any:
        x = tf.cast(x, tf.float32)
        return x if self._scale == 1.0 else x * self._scale


class Labels:
    """y: whole numbers as int64, others as float32; one-hot vectors where the pipeline says so."""

    def __init__(self, pipeline: Mapping[str, Any], stored: Any) -> None:
        """Prepare for labels of the `tf.TensorSpec` `stored`.

        Raises:
            DataError: oneHot does not fit the labels.
        """
        whole = stored.dtype.is_integer or stored.dtype.is_bool
        shape = stored.shape.as_list()
        self._dtype = tf.int64 if whole else tf.float32
        self._classes = pipeline.get("oneHot")
        if self._classes is not None:
            self._classes = int(self._classes)
            if not whole or shape not in ([], [1]):
                problem = f"is {self._classes}, but labels are {stored.dtype.name} of shape {tuple(shape)}"
                raise DataError(
                    f"{WHERE}.oneHot", f"{problem}; it needs one whole number for each example: remove it"
                )
        self.spec = tf.TensorSpec(
            [self._classes] if self._classes else shape, tf.float32 if self._classes else self._dtype
        )

    def __call__(self, y: Any) -> Any:
        """Return (b, *spec.shape) of dtype int64 or float32 for stored labels y (b, …)."""
        y = tf.cast(y, self._dtype)
        if self._classes is None:
            return y
        y = tf.reshape(y, [-1])
        low, high = tf.reduce_min(y), tf.reduce_max(y)
        problem = (
            f"is {self._classes}, so labels are 0 to {self._classes - 1}, but there are labels from {{}} to {{}}"
        )
        known = check((low >= 0) & (high < self._classes), f"{WHERE}.oneHot", problem, low, high)
        with tf.control_dependencies([known]):
            return tf.one_hot(y, self._classes)


class ClassWeights:
    """The weight of an example by its class; classes that are not named weigh 1."""

    def __init__(self, weights: Mapping[Any, float] | None, labels: Any, classes: tuple[str, ...]) -> None:
        """Prepare for labels of the `tf.TensorSpec` `labels`, as they leave the pipeline.

        Raises:
            DataError: a key is no class, or labels are no classes.
        """
        self._table = None
        if not weights:
            return
        shape = labels.shape.as_list()
        self._one_hot = len(shape) == 1 and shape[0] > 1
        if len(shape) > 1:
            problem = f"labels have the shape {tuple(shape)} and are no classes; remove it and use sample weights"
            raise DataError(WEIGHTS, problem)
        numbered = {_class_number(key, classes): float(weight) for key, weight in weights.items()}
        if self._one_hot and max(numbered) >= shape[0]:
            problem = f"names class {max(numbered)}, but labels have {shape[0]} classes, 0 to {shape[0] - 1}"
            raise DataError(WEIGHTS, problem)
        table = [numbered.get(number, 1.0) for number in range(max(numbered) + 1)]
        self._table = tf.constant([*table, 1.0], tf.float32)  # the last one: classes beyond the table

    def __call__(self, y: Any) -> Any | None:
        """Return float32 (b,), or None when all classes weigh the same."""
        if self._table is None:
            return None
        if self._one_hot:
            number = tf.argmax(y, axis=1)
        else:
            number = tf.cast(tf.reshape(y if y.dtype.is_integer else tf.round(y), [-1]), tf.int64)
        beyond = tf.constant(self._table.shape[0] - 1, tf.int64)
        return tf.gather(self._table, tf.where((number < 0) | (number > beyond), beyond, number))


def _class_number(key: Any, classes: tuple[str, ...]) -> int:
    if str(key) in classes:
        return classes.index(str(key))
    try:
        number = int(key)
    except (TypeError, ValueError):
        number = -1
    if number < 0 or (classes and number >= len(classes)):
        known = f"one of {', '.join(classes[:20])}" if classes else "its number, 0 or more"
        raise DataError(f"{WEIGHTS}.{key}", f"there is no class {key!r}; write {known}")
    return number


def _number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(field, f"is {value!r}; write a number")
    return float(value)


def _values(value: Any, width: int, field: str) -> Any | None:
    """Return float32 numbers (1,) or (width,), or None."""
    if value is None:
        return None
    numbers = [_number(one, field) for one in (value if isinstance(value, (list, tuple)) else [value])]
    if len(numbers) not in (1, width):
        raise DataError(field, f"has {len(numbers)} numbers; write one, or {width} for the last axis of the examples")
    return np.array(numbers, np.float32)
