"""The document of what to train, as launcher and trainer get it (`TRAININGJOB_SPEC`): the spec's own words."""

import json
from typing import Any

from trainingjob_operator.api.contract import VERSION
from trainingjob_operator.api.types import Model
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.core.training import canonical_training
from trainingjob_operator.core.volumes import CHECKPOINT_DIR, OUTPUT_DIR

#: How often state is saved where a job does not say.
CHECKPOINT_SECONDS = 60


def build_document(spec: TrainingJobSpec) -> dict[str, Any]:
    """Return the document of a job, with every default filled in. What the job does not ask for is absent.

    A volume of checkpoints or output has become the path where members see it. `training.source` is left out: its
    files are placed by the launcher. What Keras has a name for is in its one form.
    """
    document: dict[str, Any] = {"version": VERSION}
    if spec.training is not None:
        document["training"] = canonical_training(_plain(spec.training, exclude={"source"}))
    if spec.checkpoint is not None:
        document["checkpoint"] = checkpoint = _plain(spec.checkpoint, exclude={"volume"})
        checkpoint.setdefault("path", CHECKPOINT_DIR)
        if "everySteps" not in checkpoint:
            checkpoint.setdefault("everySeconds", CHECKPOINT_SECONDS)
    if spec.output is not None:
        document["output"] = output = _plain(spec.output, exclude={"volume"})
        output.setdefault("path", OUTPUT_DIR)
    if spec.stop_when is not None:
        document["stopWhen"] = _plain(spec.stop_when)
    if spec.program is not None:
        document["keras"] = _plain(spec.program.keras)
    document["communication"] = spec.communication
    if spec.evaluator is not None:
        document["evaluator"] = True
    return document


def encode_document(spec: TrainingJobSpec) -> str:
    """Return the document as the text that travels. The same spec gives the same text."""
    return json.dumps(build_document(spec), ensure_ascii=False, separators=(",", ":"))


def _plain(model: Model, exclude: set[str] | None = None) -> dict[str, Any]:
    # A null that the user wrote within a Keras object stays: it is an argument's value.
    return model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=exclude)
