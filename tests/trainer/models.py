"""The same model and data for Keras's own evaluate and for the trainer's."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np

import trainingjob
from tests.trainer.trainers import document, training
from trainingjob_trainer.cluster import Member, connect
from trainingjob_trainer.document import parse
from trainingjob_trainer.evaluate import Validation
from trainingjob_trainer.job import Job, build_job

LAYERS = [
    "Flatten",
    {"Dense": {"units": 16, "activation": "relu", "kernel_regularizer": {"L2": {"l2": 0.05}}}},
    {"Dense": {"units": 10, "activation": "softmax"}},
]


def job_of(spec: dict[str, Any], **others: Any) -> Job:
    """Put a job together in this process."""
    return build_job(parse(json.dumps(document(spec, **others))), connect(Member(), "auto"))


def evaluated_by_us() -> dict[str, float]:
    """Loss and metrics on the 2,000 test digits, in batches of 96, by the trainer."""
    validation = {"dataset": {"builtin": {"name": "mnist", "part": "test"}}}
    metrics = ["accuracy", {"F1Score": {"average": "macro"}}, "auc"]
    job = job_of(training(model={"layers": LAYERS}, validation=validation, metrics=metrics))
    found = Validation(job).measure(lambda: False)
    assert found is not None
    return found


def evaluated_by_keras() -> dict[str, float]:
    """The same by `compile` and `evaluate`, with one-hot labels, which its F1 wants."""
    keras.utils.set_random_seed(7)
    dense = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(0.05)),
            dense(10, activation="softmax"),
        ]
    )
    metrics = ["accuracy", keras.metrics.F1Score(average="macro"), keras.metrics.AUC(name="auc")]
    model.compile(loss="categorical_crossentropy", metrics=metrics)
    _, (x, y) = trainingjob.datasets.mnist()
    found = model.evaluate(x[..., None] / np.float32(255), np.eye(10)[y], batch_size=96, return_dict=True, verbose=0)
    return {f"val_{name}": value for name, value in found.items()}
