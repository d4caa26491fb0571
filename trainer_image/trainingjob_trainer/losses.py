"""Losses per example: what the loop weighs and sums itself, so that the sum is exact over any number of members."""

from __future__ import annotations

from typing import Any

from trainingjob_trainer.errors import SpecError, one_line
from trainingjob_trainer.keras_objects import construct, find, notation

FIELD = "spec.training.loss"
#: Losses over a whole batch: unless they are told their axes, no part of the batch has a loss of its own.
NEEDS_AXIS = ("Dice", "Tversky")
#: A loss that takes class numbers although its name does not say so.
SPARSE = ("CategoricalGeneralizedCrossEntropy",)
#: Losses that compare the examples of a batch with each other.
ACROSS_EXAMPLES = ("Circle",)


class PerExample:
    """A Keras loss as (labels, outputs) → one float32 for each example."""

    def __init__(self, spec: Any, y_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]) -> None:
        """Build the loss that the KERAS_OBJECT `spec` says for labels and outputs of these shapes (with the batch).

        Raises:
            SpecError: unknown name, bad parameters, or labels that are not those of this loss.
        """
        name, parameters = notation(spec, FIELD)
        self.field = f"{FIELD}.{name}"
        if "reduction" in parameters:
            raise SpecError(
                f"{self.field}.reduction", "is not taken; the loss is always the mean over the global batch"
            )
        if name.lower() in ("crossentropy", "ce"):
            name = crossentropy_for(y_shape, output_shape)
        cls = find("loss", name, FIELD, {"WeightedBinaryCrossentropy": _weighted_class()})
        if cls.__name__ in ACROSS_EXAMPLES:
            raise SpecError(
                FIELD, f"{name} compares the examples of a batch with each other; members cannot share that"
            )
        if cls.__name__ in NEEDS_AXIS and parameters.get("axis") is None:
            axes = list(range(1, len(output_shape))) or [1]
            raise SpecError(f"{self.field}.axis", f"is missing; without it examples mix over the batch. Write {axes}")
        self._loss = construct(cls, name, {**parameters, "reduction": "none"}, FIELD)
        check_labels(cls.__name__, y_shape, output_shape, FIELD)

    def __call__(self, labels: Any, outputs: Any) -> Any:
        """Return the losses, shape (batch,). Steps that a layer's mask hides are no part of their example's mean."""
        import tensorflow as tf

        mask = getattr(outputs, "_keras_mask", None)
        outputs = tf.cast(outputs, tf.float32)
        try:
            values = tf.convert_to_tensor(self._loss(labels, outputs))
        except (ValueError, TypeError) as error:
            shapes = f"labels {labels.shape[1:]} and outputs {outputs.shape[1:]}"
            raise SpecError(self.field, f"does not take {shapes}: {one_line(error)}") from error
        axes = list(range(1, len(values.shape)))
        if not axes:
            return values
        if mask is None or mask.shape.rank != values.shape.rank:
            return tf.reduce_mean(values, axes)
        shown = tf.cast(mask, values.dtype)
        return tf.reduce_sum(values * shown, axes) / tf.maximum(tf.reduce_sum(shown, axes), 1.0)


def crossentropy_for(y_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]) -> str:
    """What `compile(loss="crossentropy")` takes for labels and outputs of these shapes."""
    if output_shape[-1] == 1:
        return "BinaryCrossentropy"
    return "SparseCategoricalCrossentropy" if is_sparse(y_shape, output_shape) else "CategoricalCrossentropy"


def is_sparse(y_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]) -> bool:
    """Whether labels of `y_shape` are class numbers for outputs that hold a value for each class."""
    classes = output_shape[-1]
    if classes == 1:
        return False
    return len(y_shape) < len(output_shape) or (y_shape[-1] == 1 and classes != 1)


def check_labels(
    loss: str, y_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...], field: str
) -> None:
    """Refuse labels whose form cannot be that of the loss: broadcasting would train on nonsense in silence."""
    labels, outputs = list(y_shape[1:]), list(output_shape[1:])
    if loss == "CTC":
        return
    sparse = is_sparse(y_shape, output_shape)
    if loss.startswith("Sparse") or loss in SPARSE:
        if not sparse and output_shape[-1] != 1:
            remedy = f"write {loss.removeprefix('Sparse')}, or leave out pipeline.oneHot"
            raise SpecError(field, f"{loss} takes class numbers, and the labels have the shape {labels}; {remedy}")
    elif sparse:
        remedy = "set the last layer's units to the labels' size"
        if loss.startswith("Categorical"):
            remedy = f"write pipeline.oneHot: {output_shape[-1]}"
            if loss == "CategoricalCrossentropy":
                remedy += ", or SparseCategoricalCrossentropy"
        raise SpecError(field, f"{loss} compares outputs {outputs} with labels {labels} of another shape; {remedy}")


def _weighted_class() -> Any:
    """Return the class; made here because Keras is not imported with this module."""
    import keras

    class WeightedBinaryCrossentropy(keras.losses.Loss):
        """Binary cross-entropy in which a positive example counts `pos_weight` times."""

        def __init__(
            self,
            pos_weight: float = 1.0,
            from_logits: bool = False,
            label_smoothing: float = 0.0,
            axis: int = -1,
            reduction: str = "sum_over_batch_size",
            name: str = "weighted_binary_crossentropy",
        ) -> None:
            super().__init__(name=name, reduction=reduction)
            if isinstance(pos_weight, bool) or not isinstance(pos_weight, (int, float)) or pos_weight <= 0:
                raise ValueError(f"pos_weight is {pos_weight!r}; write a number above 0")
            self.pos_weight, self.from_logits = float(pos_weight), from_logits
            self.label_smoothing, self.axis = label_smoothing, axis

        def call(self, y_true: Any, y_pred: Any) -> Any:
            ops = keras.ops
            y_pred = ops.convert_to_tensor(y_pred)
            y_true = ops.cast(y_true, y_pred.dtype)
            if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
                y_true = ops.expand_dims(y_true, -1)
            weights = 1.0 + (self.pos_weight - 1.0) * y_true
            if self.label_smoothing:
                y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
            values = ops.binary_crossentropy(y_true, y_pred, from_logits=self.from_logits)
            return ops.mean(weights * values, axis=self.axis)

    return WeightedBinaryCrossentropy
