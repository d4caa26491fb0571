"""From Kubeflow's TFJob (kubeflow.org/v1) to a TrainingJob.

Every field of the TFJob is either in the TrainingJob or in a note: fields are taken one by one from readers that tell
what nobody took, and what a TrainingJob has no field for goes into its podTemplate as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.evaluator import read_evaluator
from trainingjob_client.tfjob.metadata import job_metadata
from trainingjob_client.tfjob.notes import Level, Note, Notes
from trainingjob_client.tfjob.pod import read_template
from trainingjob_client.tfjob.reader import Reader
from trainingjob_client.tfjob.roles import read_gang
from trainingjob_client.tfjob.run_policy import read_policies

API_VERSION = "trainingjob.dev/v1alpha1"
TFJOB_VERSION = "kubeflow.org/v1"
#: Deeper than any pod, and than YAML with an anchor that contains itself may go.
_MAX_DEPTH = 40


@dataclass(frozen=True)
class Conversion:
    """What became of a TFJob."""

    job: "dict[str, Any] | None"
    """The TrainingJob; None when there can be none, and a note says why."""
    notes: tuple[Note, ...]
    """What was not carried over as it was, what a person must do first."""


def convert(
    tfjob: Mapping[str, Any], *, command: "Sequence[str] | None" = None, checkpoint: "str | None" = None
) -> Conversion:
    """Return the TrainingJob that trains as a TFJob does; never raises.

    Args:
        tfjob: the object as YAML or JSON has it.
        command: the program, for a TFJob that leaves it to the image's entrypoint.
        checkpoint: the folder of the checkpoints that the evaluator reads, for a TFJob that has an Evaluator.
    """
    notes = Notes()
    whole = Reader(_plain(tfjob, notes), "", notes)
    version, kind = whole.text("apiVersion"), whole.text("kind")
    if version != TFJOB_VERSION or kind != "TFJob":
        notes.add(
            Level.TODO,
            "apiVersion",
            f"{version} {kind}",
            f"only TFJobs of {TFJOB_VERSION} are known: rewrite it as one",
        )
        return Conversion(None, notes.all())
    if whole.take("status") is not None:
        notes.add(Level.SAME, "status", None, "is written by the operator")
    metadata = job_metadata(whole.child("metadata"))
    spec = whole.child("spec")
    whole.lose_rest()
    gang = read_gang(spec.child("tfReplicaSpecs"))
    if gang is None:
        return Conversion(None, notes.all())
    draft = Draft(workers=gang.workers)
    read_template(gang.template, draft, command)
    read_policies(spec, draft, members=gang.workers + 1)
    if gang.evaluator is not None:
        read_evaluator(gang, gang.evaluator, draft, notes, checkpoint)
    spec.lose_rest()
    job = {"apiVersion": API_VERSION, "kind": "TrainingJob", "metadata": metadata, "spec": draft.spec()}
    return Conversion(job, notes.all())


def _plain(value: Any, notes: Notes, depth: int = 0) -> Any:
    """Return a copy of plain objects and lists: whatever is done to it, the caller's own stays as it is."""
    if depth > _MAX_DEPTH:
        notes.add(Level.LOST, "spec", None, f"what lies more than {_MAX_DEPTH} levels deep is left out")
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, notes, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, notes, depth + 1) for item in value]
    return value


__all__ = ["Conversion", "Level", "Note", "convert"]
