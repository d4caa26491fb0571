"""Metrics as sums: what Keras's own metrics and `model.evaluate` say, for every metric that Keras has."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainingjob_trainer.keras_objects import names_of
from trainingjob_trainer.metrics import MetricSet

ROWS, CLASSES = 61, 4
RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[NUMBERS]
LOGITS = np.exp(RANDOM.normal(size=(ROWS, CLASSES)) * 2)
SOFTMAX = (LOGITS / LOGITS.sum(-1, keepdims=True)).astype(np.float32)
BINARY = RANDOM.integers(0, 2, ROWS)
SIGMOID = RANDOM.random((ROWS, 1)).astype(np.float32)
REAL = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
NEAR = (REAL + RANDOM.normal(size=(ROWS, 3)) * 0.3).astype(np.float32)

PARAMETERS: dict[str, dict[str, Any]] = {
    "FBetaScore": {"beta": 2.0, "average": "weighted"},
    "F1Score": {"average": "macro"},
    "IoU": {"num_classes": CLASSES, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": CLASSES},
    "OneHotIoU": {"num_classes": CLASSES, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": CLASSES},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "TopKCategoricalAccuracy": {"k": 2},
}
CLASS_NUMBERS = (
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "IoU",
    "MeanIoU",
)
#: Metrics of the family that has binary labels, or one output in 0 … 1.
OF_TWO_CLASSES = ("BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "Hinge", "SquaredHinge", "FalseNegatives",
                  "FalsePositives", "TrueNegatives", "TruePositives", "Precision", "Recall", "AUC", "PrecisionAtRecall",
                  "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")  # fmt: skip
OF_NUMBERS = ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError",
              "RootMeanSquaredError", "LogCoshError", "R2Score", "CosineSimilarity", "Poisson", "PearsonCorrelation",
              "ConcordanceCorrelation", "KLDivergence")  # fmt: skip


def measured(spec: Any, labels: Any, outputs: Any, parts: int) -> dict[str, float]:
    """Sum over `parts` batches, each filled up with rows that the mask takes out, and make results of the sums."""
    metrics = MetricSet([spec], (None, *labels.shape[1:]), (None, *outputs.shape[1:]))
    rows = -(-len(labels) // parts) + 2
    sums = np.zeros(metrics.size)
    for start in range(0, len(labels), rows - 2):
        stop = min(start + rows - 2, len(labels))
        places = np.minimum(np.arange(start, start + rows), len(labels) - 1)
        mask = (np.arange(start, start + rows) < stop).astype(np.float32)
        sums += metrics.sums(tf.constant(labels[places]), tf.constant(outputs[places]), tf.constant(mask)).numpy()
    return metrics.results(sums)


def keras_says(name: str, labels: Any, outputs: Any) -> Any:
    metric = getattr(keras.metrics, name)(**PARAMETERS.get(name, {}))
    metric.update_state(labels, outputs)
    return keras.ops.convert_to_numpy(metric.result())


@pytest.mark.parametrize("name", sorted(set(names_of("metric")) - {"Accuracy"}))
def test_every_metric_says_what_keras_says(name: str) -> None:
    """One batch of Keras's own metric against sums of three with padding, with labels in the form that Keras wants."""
    spec = {name: PARAMETERS.get(name, {})}
    if name in OF_TWO_CLASSES:
        labels, outputs = BINARY[:, None].astype(np.float32), SIGMOID
        ours = measured(spec, BINARY, SIGMOID, 3)
    elif name in OF_NUMBERS:
        labels, outputs = (abs(REAL), abs(NEAR)) if name == "Poisson" else (REAL, NEAR)
        ours = measured(spec, labels, outputs, 3)
    elif name in CLASS_NUMBERS:
        labels, outputs = NUMBERS, SOFTMAX
        if name in ("IoU", "MeanIoU"):
            outputs = SOFTMAX.argmax(-1)
        ours = measured(spec, NUMBERS, SOFTMAX, 3)
    else:
        labels, outputs = ONE_HOT, SOFTMAX
        ours = measured(spec, ONE_HOT, SOFTMAX, 3)
    assert list(ours.values()) == pytest.approx(np.ravel(keras_says(name, labels, outputs)).tolist(), rel=2e-6)


@pytest.mark.parametrize(
    "name",
    ["F1Score", "FBetaScore", "CategoricalAccuracy", "CategoricalCrossentropy", "TopKCategoricalAccuracy",
     "OneHotMeanIoU", "OneHotIoU", "CategoricalHinge"],
)  # fmt: skip
def test_metrics_of_one_hot_labels_take_class_numbers(name: str) -> None:
    spec = {name: PARAMETERS.get(name, {})}
    assert measured(spec, NUMBERS, SOFTMAX, 2) == measured(spec, ONE_HOT, SOFTMAX, 2)


@pytest.mark.parametrize("name", ["Precision", "Recall", "AUC", "TruePositives"])
def test_metrics_of_hits_take_class_numbers_for_many_classes(name: str) -> None:
    ours = measured(name, NUMBERS, SOFTMAX, 3)
    assert list(ours.values()) == pytest.approx([float(keras_says(name, ONE_HOT, SOFTMAX))], rel=2e-6)


def test_metrics_of_class_numbers_take_one_hot_labels() -> None:
    spec = "sparse_categorical_accuracy"
    assert measured(spec, ONE_HOT, SOFTMAX, 2) == measured(spec, NUMBERS, SOFTMAX, 2)


@pytest.mark.parametrize(
    ("labels", "outputs", "meant"),
    [(NUMBERS, SOFTMAX, "SparseCategoricalAccuracy"), (ONE_HOT, SOFTMAX, "CategoricalAccuracy"),
     (BINARY, SIGMOID, "BinaryAccuracy")],
)  # fmt: skip
@pytest.mark.parametrize("written", ["accuracy", "acc", {"accuracy": {"name": "accuracy"}}, {"Accuracy": {}}])
def test_accuracy_is_the_one_that_labels_and_outputs_call_for(
    written: Any, labels: Any, outputs: Any, meant: str
) -> None:
    assert list(measured(written, labels, outputs, 2).values()) == pytest.approx(
        list(measured(meant, labels, outputs, 2).values())
    )


def test_names_are_those_that_compile_gives() -> None:
    labels, outputs = NUMBERS, SOFTMAX
    specs = [
        "accuracy",
        "mse",
        {"F1Score": {"average": None}},
        "AUC",
        {"AUC": {"curve": "PR"}},
        {"AUC": {"name": "pr"}},
    ]
    metrics = MetricSet(specs, (None,), (None, CLASSES))
    mask = np.ones(ROWS, np.float32)
    found = metrics.results(metrics.sums(tf.constant(labels), tf.constant(outputs), tf.constant(mask)).numpy())
    assert list(found) == [
        "accuracy",
        "mse",
        "f1_score_0",
        "f1_score_1",
        "f1_score_2",
        "f1_score_3",
        "auc",
        "auc_1",
        "pr",
    ]


def test_evaluate_of_keras_says_the_same_for_a_whole_model() -> None:
    """Loss with regularisation, and metrics, over a model that has not seen our loop."""
    from tests.trainer.models import evaluated_by_keras, evaluated_by_us

    ours, theirs = evaluated_by_us(), evaluated_by_keras()
    assert ours == pytest.approx(theirs, rel=1e-5)
