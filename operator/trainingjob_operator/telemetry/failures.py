"""Reasons of failures as labels: a fixed set, whatever programs and clusters say. Pure."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

OTHER = "other"
#: What launchers say: why a trainer ended, why a member is missed, why a generation was ended on purpose.
OF_LAUNCHERS = frozenset(
    {
        "TrainerFailed", "TrainerKilled", "TrainerFrozen", "TrainerUnkillable", "TrainerUnresponsive", "Stalled",
        "CommandNotFound", "CommandNotExecutable", "CommandNotStarted", "WorkingDirInvalid", "ProgramInvalid",
        "MemberLost", "OOMKilled", "RendezvousFailed", "Refused", "Replaced", "Resized", "Terminated",
        "BackoffLimitExceeded",
    }
)  # fmt: skip
#: What the operator says of pods that are gone or left no word, and of its deadlines.
OF_THE_OPERATOR = frozenset(
    {
        "MemberLost", "MemberFailed", "NodeLost", "NodeRestarted", "Evicted", "Preempted", "BackoffLimitExceeded",
        "StartupDeadlineExceeded", "DeadlineExceeded",
    }
)  # fmt: skip
#: The kubelet's words go into the status as they are: of a container's end, and of a pod that it did not let in.
OF_THE_KUBELET = frozenset(
    {
        "OOMKilled", "StartError", "ContainerCannotRun", "DeadlineExceeded", "Evicted", "Preempting", "NodeShutdown",
        "NodeAffinity", "UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods",
    }
)  # fmt: skip
#: Reasons as status.failure has them.
REASONS = OF_LAUNCHERS | OF_THE_OPERATOR | OF_THE_KUBELET


def reason_label(reason: Any) -> str:
    """Return the label of a reason."""
    return reason if reason in REASONS else OTHER


def new_failure(before: Json | None, after: Json) -> str | None:
    """Return the label of a failure that a TrainingJob shows now and did not show before; None where there is none.

    A job that is seen for the first time has nothing new: its failure may be days old.
    """
    known, shown = _failure(before), _failure(after)
    if before is None or not shown or _same(known, shown):
        return None
    return reason_label(shown.get("reason"))


def _failure(job: Json | None) -> Json:
    return ((job or {}).get("status") or {}).get("failure") or {}


def _same(known: Json, shown: Json) -> bool:
    """Whether it is the same failure: its pod, its node and the like may be known only later."""
    if any(known.get(name) != shown.get(name) for name in ("generation", "member", "reason")):
        return False
    return not known.get("pod") or known["pod"] == shown.get("pod")
