"""Reasons of failures as labels: a fixed set, whatever programs and clusters say. Pure."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

OTHER = "other"
#: Reasons of launchers, of the operator, and of kubelet, scheduler and node controller, as status.failure has them.
REASONS = frozenset(
    {
        "TrainerFailed", "TrainerKilled", "TrainerFrozen", "TrainerUnkillable", "TrainerUnresponsive", "Stalled",
        "MemberLost", "MemberFailed", "RendezvousFailed", "Terminated", "BackoffLimitExceeded", "DeadlineExceeded",
        "StartupDeadlineExceeded", "ActiveDeadlineExceeded", "OOMKilled", "OutOfMemory", "Evicted", "Preempted",
        "NodeLost", "NodeRestarted", "Drained", "StartError", "ContainerCannotRun", "LauncherRefused",
    }
)  # fmt: skip


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
