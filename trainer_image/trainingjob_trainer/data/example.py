"""Example messages: from serialized records to input, label and weight, by the features of the spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from trainingjob_trainer.data import pictures
from trainingjob_trainer.data.errors import DataError, check
from trainingjob_trainer.errors import nearest

_TYPES = {"bytes": tf.string, "float": tf.float32, "int": tf.int64}


@dataclass(frozen=True)
class Feature:
    """One feature that is read. `shape` None: that of the image in the first record."""

    name: str
    field: str
    type: str
    decode: str | None
    dtype: Any
    shape: tuple[int, ...] | None
    channels: int

    @property
    def parsed(self) -> Any:
        """How TensorFlow is to read it."""
        return tf.io.FixedLenFeature([] if self.type == "bytes" else list(self.shape or ()), _TYPES[self.type])

    def values(self, parsed: Any) -> Any:
        """Return (b, *shape) of `dtype` for what was parsed."""
        if self.decode is None:
            return parsed
        if self.decode == "image":
            spec = tf.TensorSpec(self.shape, tf.uint8)
            return tf.map_fn(self._image, parsed, fn_output_signature=spec, parallel_iterations=8)
        size = math.prod(self.shape or ()) * self.dtype.size
        longest, shortest = (f(tf.strings.length(parsed)) for f in (tf.reduce_max, tf.reduce_min))
        told = f"{size} bytes of {self.dtype.name} of shape {list(self.shape or ())} are expected, and there are {{}}"
        wrong = tf.where(longest == size, shortest, longest)
        with tf.control_dependencies([check((longest == size) & (shortest == size), self.field, told, wrong)]):
            values = tf.io.decode_raw(parsed, self.dtype, fixed_length=size)
        return tf.reshape(values, [-1, *(self.shape or ())])

    def _image(self, content: Any) -> Any:
        image = pictures.decoded(content, self.channels)
        if self.shape is None:
            return image
        shape = tf.shape(image)
        told = f"the image should have the shape {list(self.shape)}, and it has {{}}"
        with tf.control_dependencies([check(tf.reduce_all(shape == self.shape), self.field, told, shape)]):
            return tf.ensure_shape(tf.identity(image), self.shape)


@dataclass(frozen=True)
class Decoder:
    """What makes input, label and weight out of records."""

    x: Feature
    y: Feature
    weight: Feature | None

    def __call__(self, records: Any) -> tuple[Any, Any, Any | None]:
        """Return (x, y, weights or None) for serialized Examples: string (b,)."""
        wanted = {feature.name: feature for feature in (self.x, self.y, self.weight) if feature}
        parsed = tf.io.parse_example(records, {name: feature.parsed for name, feature in wanted.items()})
        values = {name: feature.values(parsed[name]) for name, feature in wanted.items()}
        y = _finite(values[self.y.name], self.y, "the label")
        if self.weight is None:
            return values[self.x.name], y, None
        weights = tf.cast(tf.reshape(values[self.weight.name], [-1]), tf.float32)
        return values[self.x.name], y, _finite(weights, self.weight, "the sample weight")

    def with_shapes(self, x: Any, y: Any) -> Decoder:
        """Return the decoder with the shapes that the first example has: an image may have none in the spec."""
        return replace(self, x=replace(self.x, shape=tuple(x.shape[1:])), y=replace(self.y, shape=tuple(y.shape[1:])))


def _finite(values: Any, feature: Feature, what: str) -> Any:
    if not values.dtype.is_floating:
        return values
    finite = check(tf.reduce_all(tf.math.is_finite(values)), feature.field, f"{what} is no finite number")
    with tf.control_dependencies([finite]):
        return tf.identity(values)


def decoder(options: Mapping[str, Any], field: str) -> Decoder:
    """Read the spec's features.

    Raises:
        DataError: input, label or sampleWeight is no feature, or one cannot be made numbers.
    """
    features = options.get("features") or {}
    x, y = (
        _feature(options.get(key) or default, key, features, field)
        for key, default in (("input", "x"), ("label", "y"))
    )
    weight = (
        _feature(options["sampleWeight"], "sampleWeight", features, field) if options.get("sampleWeight") else None
    )
    if weight and weight.shape not in ((), (1,)):
        raise DataError(f"{weight.field}.shape", "is that of a sample weight, which is one number; remove it")
    return Decoder(x, y, weight)


def _feature(name: str, key: str, features: Mapping[str, Any], field: str) -> Feature:
    if name not in features:
        shown = ", ".join(features) or "nothing"
        raise DataError(f"{field}.{key}", f"is {name!r}, but features names {shown}.{nearest(name, features)}")
    where, options = f"{field}.features.{name}", features[name]
    kind, decode = options.get("type"), options.get("decode")
    if kind not in _TYPES:
        raise DataError(f"{where}.type", f"is {kind!r}; write one of {', '.join(_TYPES)}")
    if kind == "bytes" and decode not in ("raw", "image"):
        raise DataError(f"{where}.decode", f"is {decode!r}; write raw or image: bytes are no numbers")
    if kind != "bytes" and decode:
        raise DataError(f"{where}.decode", f"is {decode!r}, but type is {kind}; remove it, or write type: bytes")
    shape = tuple(int(length) for length in options["shape"]) if options.get("shape") is not None else None
    channels = options.get("channels") or 3
    if decode == "image":
        shape = (*shape, channels) if shape and len(shape) == 2 else shape
        if shape is not None and (len(shape) != 3 or shape[2] != channels):
            raise DataError(f"{where}.shape", f"is {list(shape)}; write [height, width, {channels}], or channels")
    else:
        shape = shape or ()
    dtype = tf.as_dtype(options.get("dtype") or "uint8") if decode == "raw" else None
    dtype = dtype or (tf.uint8 if decode == "image" else _TYPES[kind])
    return Feature(name, where, kind, decode, dtype, shape, channels)
