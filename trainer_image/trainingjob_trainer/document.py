"""The training document: what the job's author wrote, as the operator hands it on in TRAININGJOB_SPEC.

The operator has validated it. What is checked here is what a document written by hand can get wrong, so that the
trainer runs the same without a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainingjob_trainer.errors import SpecError

VARIABLE = "TRAININGJOB_SPEC"
VERSION = 1
PRECISIONS = ("float32", "bfloat16", "float16")
COMMUNICATIONS = ("auto", "ring", "nccl")
EXPORT_FORMATS = ("keras", "savedModel")
CLIPPINGS = ("value", "norm", "globalNorm")


@dataclass(frozen=True)
class Training:
    """`spec.training`. What names Keras objects stays in the user's notation until they are built."""

    dataset: Mapping[str, Any]
    model: Mapping[str, Any]
    optimizer: Any
    loss: Any
    global_batch: int
    epochs: int | None = None
    steps: int | None = None
    metrics: tuple[Any, ...] = ()
    validation: Mapping[str, Any] | None = None
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    class_weights: Mapping[int | str, float] | None = None
    clipping: tuple[str, float] | None = None
    accumulation: int = 1
    precision: str = "float32"
    seed: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """`spec.checkpoint`; at most one of the two intervals is given."""

    path: str
    every_steps: int | None = None
    every_seconds: float | None = None
    keep: int = 3


@dataclass(frozen=True)
class Output:
    """`spec.output`: where the trained model goes."""

    path: str
    format: str = "keras"


@dataclass(frozen=True)
class StopWhen:
    """`spec.stopWhen`: `reaches` is a value of the metric, `patience` a number of observations without a better one.

    With both, whichever comes first.
    """

    metric: str
    reaches: float | None = None
    patience: int | None = None
    mode: str = "auto"
    min_delta: float = 0.0
    restore_best: bool = False


@dataclass(frozen=True)
class Document:
    """The whole of TRAININGJOB_SPEC that concerns the trainer."""

    training: Training
    checkpoint: Checkpoint | None = None
    output: Output | None = None
    stop_when: StopWhen | None = None
    communication: str = "auto"


def parse(text: str) -> Document:
    """Read TRAININGJOB_SPEC.

    Raises:
        SpecError: the text is no such document; names the field, its value and what to write.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SpecError(VARIABLE, f"is no JSON ({error}); it holds one object with the key `training`") from None
    if not isinstance(document, Mapping) or not isinstance(document.get("training"), Mapping):
        raise SpecError(
            VARIABLE, "has no object `training`; only jobs with spec.training run the declarative trainer"
        )
    if document.get("version", VERSION) != VERSION:
        raise SpecError(f"{VARIABLE}.version", f"is {document['version']!r}; this trainer reads version {VERSION}")
    checkpoint, output, stop = (document.get(name) for name in ("checkpoint", "output", "stopWhen"))
    return Document(
        training=_training(document["training"]),
        checkpoint=_checkpoint(checkpoint) if checkpoint else None,
        output=_output(output) if output else None,
        stop_when=_stop_when(stop) if stop else None,
        communication=_one_of("spec.communication", document.get("communication", "auto"), COMMUNICATIONS),
    )


def _training(raw: Mapping[str, Any]) -> Training:
    where = "spec.training"
    for name in ("dataset", "model", "optimizer", "loss", "globalBatchSize"):
        if raw.get(name) is None:
            raise SpecError(f"{where}.{name}", "is missing")
    if (raw.get("epochs") is None) == (raw.get("steps") is None):
        raise SpecError(f"{where}.epochs", "write exactly one of epochs and steps")
    return Training(
        dataset=raw["dataset"],
        model=raw["model"],
        optimizer=raw["optimizer"],
        loss=raw["loss"],
        global_batch=_count(f"{where}.globalBatchSize", raw["globalBatchSize"]),
        epochs=_count(f"{where}.epochs", raw["epochs"]) if raw.get("epochs") is not None else None,
        steps=_count(f"{where}.steps", raw["steps"]) if raw.get("steps") is not None else None,
        metrics=tuple(raw.get("metrics") or ()),
        validation=raw.get("validation") or None,
        pipeline=raw.get("pipeline") or {},
        class_weights=_class_weights(raw.get("classWeights")),
        clipping=_clipping(raw.get("gradientClipping")),
        accumulation=_count(f"{where}.gradientAccumulation", raw.get("gradientAccumulation") or 1),
        precision=_one_of(f"{where}.precision", raw.get("precision") or "float32", PRECISIONS),
        seed=int(raw.get("seed") or 0),
    )


def _class_weights(raw: Any) -> Mapping[int | str, float] | None:
    if not raw:
        return None
    weights: dict[int | str, float] = {}
    for label, weight in dict(raw).items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            field = f"spec.training.classWeights.{label}"
            raise SpecError(field, f"is {weight!r}; write a number of at least 0")
        weights[int(label) if str(label).isdecimal() else label] = float(weight)  # classes may have names
    return weights


def _clipping(raw: Any) -> tuple[str, float] | None:
    if not raw:
        return None
    where = "spec.training.gradientClipping"
    given = [(name, value) for name, value in dict(raw).items() if value is not None]
    if len(given) != 1 or given[0][0] not in CLIPPINGS:
        raise SpecError(where, f"is {raw!r}; write exactly one of {', '.join(CLIPPINGS)}")
    return given[0][0], _positive(f"{where}.{given[0][0]}", given[0][1])


def _checkpoint(raw: Mapping[str, Any]) -> Checkpoint:
    if not raw.get("path"):
        raise SpecError("spec.checkpoint.path", "is missing; write a folder or an address such as gs://bucket/folder")
    steps, seconds = raw.get("everySteps"), raw.get("everySeconds")
    return Checkpoint(
        path=str(raw["path"]),
        every_steps=_count("spec.checkpoint.everySteps", steps) if steps is not None else None,
        every_seconds=_positive("spec.checkpoint.everySeconds", seconds) if seconds is not None else None,
        keep=_count("spec.checkpoint.keep", raw.get("keep", 3)),
    )


def _output(raw: Mapping[str, Any]) -> Output:
    if not raw.get("path"):
        raise SpecError("spec.output.path", "is missing; write a folder or an address such as gs://bucket/folder")
    return Output(str(raw["path"]), _one_of("spec.output.format", raw.get("format", "keras"), EXPORT_FORMATS))


def _stop_when(raw: Mapping[str, Any]) -> StopWhen:
    if not raw.get("metric"):
        raise SpecError("spec.stopWhen.metric", "is missing; write a metric's name, such as val_loss")
    reaches, patience = raw.get("reaches"), raw.get("patience")
    if reaches is None and patience is None:
        raise SpecError("spec.stopWhen", "write reaches, patience, or both")
    return StopWhen(
        metric=str(raw["metric"]),
        reaches=float(reaches) if reaches is not None else None,
        patience=_count("spec.stopWhen.patience", patience) if patience is not None else None,
        mode=_one_of("spec.stopWhen.mode", raw.get("mode", "auto"), ("auto", "min", "max")),
        min_delta=float(raw.get("minDelta") or 0.0),
        restore_best=bool(raw.get("restoreBest", False)),
    )


def _one_of(where: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise SpecError(where, f"is {value!r}; write one of {', '.join(choices)}")
    return str(value)


def _count(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(where, f"is {value!r}; write a whole number of at least 1")
    return value


def _positive(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise SpecError(where, f"is {value!r}; write a number above 0")
    return float(value)
