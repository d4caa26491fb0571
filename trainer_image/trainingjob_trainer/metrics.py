"""Keras's metrics without their variables: sums that members add up.

Every metric of Keras is a function of sums over examples. Its states start from zero for each batch and are added up
in one vector, on the device, then over members, then on the host in float64; the host alone makes results of them. So
a metric costs no collective of its own, is exact over any number of members, and its sums fit in a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trainingjob_trainer.errors import SpecError, one_line
from trainingjob_trainer.keras_objects import build, construct, find, notation
from trainingjob_trainer.losses import crossentropy_for, is_sparse

FIELD = "spec.training.metrics"
ACCURACY = ("accuracy", "acc")
CROSSENTROPY = ("crossentropy", "ce")
#: Metrics that take class numbers as labels, whatever the outputs are.
SPARSE_LABELS = ("IoU", "MeanIoU")

Shape = tuple[int | None, ...]


class MetricSet:
    """The metrics of a job; `size` is the length of their sums."""

    def __init__(self, specs: Sequence[Any], y_shape: Shape, output_shape: Shape) -> None:
        """Build what the KERAS_OBJECTs say, as `compile()` would for labels and outputs of these shapes."""
        self._y_shape, self._output_shape = y_shape, output_shape
        self._metrics = [
            _metric(spec, f"{FIELD}[{index}]", y_shape, output_shape) for index, spec in enumerate(specs)
        ]
        for index, metric in enumerate(self._metrics):
            self._make_states(metric, f"{FIELD}[{index}]")
        self._names = _unique([str(metric.name) for metric in self._metrics])
        self._sizes = [[_size(variable.shape) for variable in metric.variables] for metric in self._metrics]
        self.size = sum(sum(sizes) for sizes in self._sizes)

    @property
    def directions(self) -> dict[str, str]:
        """Metric name → `up` or `down`, of those that know whether more is better."""
        found = {name: getattr(m, "_direction", None) for name, m in zip(self._names, self._metrics, strict=True)}
        return {name: direction for name, direction in found.items() if direction in ("up", "down")}

    def sums(self, labels: Any, outputs: Any, mask: Any) -> Any:
        """Return the float64 vector (size,) that this batch adds; `mask` (batch,) is 0 for rows that do not count."""
        import tensorflow as tf

        parts: list[Any] = []
        outputs = tf.cast(outputs, tf.float32)
        for metric in self._metrics:
            y, p = _adapted(metric, labels, outputs)
            zeros = [tf.zeros(variable.shape, variable.dtype) for variable in metric.variables]
            weights = _weights(metric, mask, y, p)
            states = metric.stateless_update_state(zeros, y, p, sample_weight=weights)
            if type(metric).__name__ == "R2Score":  # counts every row, also those of weight 0
                states[0] = tf.cast(tf.reduce_sum(mask), states[0].dtype) * tf.cast(p.shape[-1], states[0].dtype)
            parts += [tf.reshape(tf.cast(state, tf.float64), [-1]) for state in states]
        return tf.concat(parts, 0) if parts else tf.zeros([0], tf.float64)

    def results(self, sums: Any) -> dict[str, float]:
        """Return name → value from the summed vector (numpy, float64); a vector or dict gives one name per entry."""
        found: dict[str, float] = {}
        at = 0
        for name, metric, sizes in zip(self._names, self._metrics, self._sizes, strict=True):
            states = []
            for variable, size in zip(metric.variables, sizes, strict=True):
                states.append(sums[at : at + size].reshape(tuple(variable.shape)).astype(str(variable.dtype)))
                at += size
            found.update(_named(name, metric.stateless_result(states)))
        return found

    def _make_states(self, metric: Any, field: str) -> None:
        """Have a metric make states whose shapes follow from its first batch, and see that it takes these shapes."""
        import tensorflow as tf

        if getattr(metric, "_built", True) and not isinstance(metric, _curves()):
            return
        labels = tf.zeros([2, *(size or 1 for size in self._y_shape[1:])])
        outputs = tf.zeros([2, *(size or 1 for size in self._output_shape[1:])])
        try:
            y, p = _adapted(metric, labels, outputs)
            metric.update_state(y, p, sample_weight=_weights(metric, tf.zeros([2]), y, p))
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise SpecError(field, one_line(error)) from error


def _metric(spec: Any, field: str, y_shape: Shape, output_shape: Shape) -> Any:
    name, parameters = notation(spec, field)
    folded = name.lower()
    if folded in ACCURACY and set(parameters) <= {"name", "dtype"}:
        cls = find("metric", _accuracy_for(y_shape, output_shape), field)
        return construct(cls, name, {"name": folded, **parameters}, field)
    if folded in CROSSENTROPY:
        cls = find("metric", crossentropy_for(y_shape, output_shape), field)
        return construct(cls, name, {"name": folded, **parameters}, field)
    try:
        metric = build("metric", spec, field)
    except SpecError as error:
        metric = _of_loss(name, parameters, field)
        if metric is None:
            raise error
    if isinstance(spec, str) and spec.islower():
        metric.name = spec  # compile() shows it as it was written: mse, not mean_squared_error
    elif "name" not in parameters:
        metric.name = re.sub(r"_\d+$", "", str(metric.name))  # Keras counts the metrics of the process
    return metric


def _of_loss(name: str, parameters: dict[str, Any], field: str) -> Any:
    """The mean of a loss function that Keras also lists among metrics, such as huber; None when there is none."""
    import keras

    function = vars(keras.metrics).get(name)
    if function is None or not callable(function) or isinstance(function, type) or name in ("get", "deserialize"):
        return None
    return construct(keras.metrics.MeanMetricWrapper, name, {"fn": function, "name": name, **parameters}, field)


def _accuracy_for(y_shape: Shape, output_shape: Shape) -> str:
    if output_shape[-1] == 1:
        return "BinaryAccuracy"
    return "SparseCategoricalAccuracy" if is_sparse(y_shape, output_shape) else "CategoricalAccuracy"


def _adapted(metric: Any, labels: Any, outputs: Any) -> tuple[Any, Any]:
    """Return labels and outputs in the form that the metric takes: class numbers or one-hot, and of one rank."""
    import tensorflow as tf

    name = type(metric).__name__
    takes_numbers = name.startswith("Sparse") or name in SPARSE_LABELS
    y_shape, output_shape = tuple(labels.shape), tuple(outputs.shape)
    classes = output_shape[-1]
    sparse = is_sparse(y_shape, output_shape)
    if takes_numbers:
        if not sparse and y_shape == output_shape and classes != 1:
            labels = tf.argmax(labels, -1)
        if name in SPARSE_LABELS and metric.sparse_y_pred and len(output_shape) > 1 and classes == metric.num_classes:
            outputs = tf.argmax(outputs, -1)
        return labels, outputs
    if sparse and _wants_one_hot(metric):
        numbers = tf.squeeze(labels, -1) if len(y_shape) == len(output_shape) else labels
        return tf.one_hot(tf.cast(numbers, tf.int32), classes), outputs
    if classes == 1 and len(y_shape) == len(output_shape) - 1:
        labels = labels[..., tf.newaxis]
    return tf.cast(labels, outputs.dtype), outputs


def _wants_one_hot(metric: Any) -> bool:
    return not getattr(metric, "sparse_y_true", False)


def _weights(metric: Any, mask: Any, labels: Any, outputs: Any) -> Any:
    """The mask in the shape that the metric takes weights in."""
    import tensorflow as tf

    name = type(metric).__name__
    if "IoU" in name:
        entries = labels if metric.sparse_y_true else labels[..., 0]
        if name == "BinaryIoU":
            entries = labels
        shape = tf.shape(entries)
        return tf.reshape(tf.broadcast_to(tf.reshape(mask, _column(entries)), shape), [-1])
    if len(outputs.shape) > 2 and not hasattr(metric, "_fn"):
        return tf.broadcast_to(tf.reshape(mask, _column(outputs)), tf.shape(outputs))
    return mask


def _column(like: Any) -> list[int]:
    return [-1, *[1] * (len(like.shape) - 1)]


def _curves() -> Any:
    import keras

    return (keras.metrics.AUC,)


def _named(name: str, result: Any) -> dict[str, float]:
    import numpy as np

    if isinstance(result, dict):
        return {f"{name}_{_clean(str(key))}": float(value) for key, value in result.items()}
    values = np.asarray(result)
    if values.ndim == 0:
        return {_clean(name): float(values)}
    return {f"{_clean(name)}_{index}": float(value) for index, value in enumerate(values.ravel())}


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name)[:50]


def _unique(names: list[str]) -> list[str]:
    """Number what has the name of another, as Keras does: auc, auc_1."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        unique.append(f"{name}_{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return unique


def _size(shape: Any) -> int:
    total = 1
    for size in shape:
        total *= int(size)
    return total
