"""Suspend policy: what `spec.suspend` means for the pods, for the job's clock, and what the status says of it.

A job is suspended in two steps, each of which may be the last that the operator lives to do. First the status says
Suspended, with every member's incarnation; then all pods that run are deleted. Their grace lets the trainers save.
So a pod that goes because of it is never taken for a loss, and no incarnation is given twice when all pods are gone.

The clock of a job runs while it is not suspended: since `status.startTime`, which is set anew when it is resumed, and
`status.activeSeconds` before that. A resumed job goes through the phases again, with the next incarnation of every
member, also while pods of the last one are still saving. It costs nothing: what the job has been through is counted
in the ledger and in the pods' tally, and both outlive the pods.
"""

from datetime import datetime
from typing import Any

from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.core.conditions import Claim, format_time
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time
from trainingjob_operator.core.situation import Event


def wants_rest(job: JobFact) -> bool:
    """Whether a job that has not finished is to have no pods."""
    return job.spec is not None and job.spec.suspend


def to_delete(pods: tuple[PodFact, ...]) -> tuple[PodFact, ...]:
    """Return the pods that must go of a job whose status says Suspended. Ended ones stay, for their logs."""
    return tuple(pod for pod in pods if not pod.finished and not pod.deleting)


def active_seconds(job: JobFact, now: datetime) -> float | None:
    """Return for how long a job has been active until now, suspended time left out; None if it never was."""
    start, before = parse_time(job.status.get("startTime")), _before(job)
    if start is None:
        return before
    return round((before or 0.0) + max(0.0, (now - start).total_seconds()), 1)


def clock_status(job: JobFact, phase: Phase, now: datetime) -> dict[str, Any]:
    """Return `startTime` and `activeSeconds` of the status for a phase."""
    start, before = job.status.get("startTime"), _before(job)
    if phase is Phase.SUSPENDED:
        seconds = active_seconds(job, now)
        return {} if seconds is None else {"activeSeconds": seconds}
    clock: dict[str, Any] = {} if before is None else {"activeSeconds": before}
    if start is None and phase.finished and before is not None:
        return clock  # it ended while its pods saved for the suspension: the clock stood still
    return {"startTime": start or format_time(now), **clock}


def claim(job: JobFact, phase: Phase) -> tuple[Claim, ...]:
    """Return the claim Suspended, from when it was true first on."""
    if phase is Phase.SUSPENDED:
        return (Claim(Condition.SUSPENDED, True, Reason.JOB_SUSPENDED, "spec.suspend is true"),)
    old = job.condition(Condition.SUSPENDED)
    if not old:
        return ()
    if phase.finished and job.phase is Phase.SUSPENDED:
        return (Claim(Condition.SUSPENDED, False, Reason.FINISHED, "the job has finished"),)
    return (Claim(Condition.SUSPENDED, False, Reason.JOB_RESUMED, "spec.suspend is false"),)


def tell_suspended(job: JobFact, pods: tuple[PodFact, ...], now: datetime) -> Event:
    """Return the event of a job that is being suspended. Each change of the spec tells it anew."""
    running, seconds = sum(not pod.finished for pod in pods), active_seconds(job, now)
    if seconds is None:
        note = "the job is suspended and has not started: set spec.suspend to false to start it"
    else:
        note = f"the job is suspended after {seconds:.0f} s; {running} pod{'' if running == 1 else 's'} save and end"
    return Event(Reason.SUSPENDED, note, about=str(job.generation))


def tell_resumed(job: JobFact) -> Event:
    """Return the event of a job that is no longer suspended."""
    before = _before(job)
    after = "" if before is None else f" after {before:.0f} active seconds"
    verb = "starts" if before is None else "goes on"
    return Event(Reason.RESUMED, f"the job is no longer suspended and {verb}{after}", about=f"spec {job.generation}")


def _before(job: JobFact) -> float | None:
    value = job.status.get("activeSeconds")
    return float(value) if isinstance(value, int | float) else None
