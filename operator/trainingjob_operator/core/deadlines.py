"""Deadlines: when a job has taken too long to begin, or for all of it.

Both follow from times in the status, so that they fire at their time without any other event, and at once when the
operator was away then. `startupDeadlineSeconds` counts from `status.startTime` until a generation has formed once;
`activeDeadlineSeconds` from there until the end, plus `status.activeSeconds`. Suspended time is in neither.

One thing the status may not know: that a gang has begun while the operator was away. Where all members run and the
chief has not been heard since this process met the job, it is heard first, for REPORT_GRACE; and one that was never
heard is believed to train after that time (see phase.py).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.names import Phase, Reason
from trainingjob_operator.core.evaluator import EVALUATOR
from trainingjob_operator.core.failure import FailureFact
from trainingjob_operator.core.observe import JobFact, parse_time
from trainingjob_operator.core.phase import REPORT_GRACE
from trainingjob_operator.core.review import Review
from trainingjob_operator.core.situation import Situation, earliest
from trainingjob_operator.core.trouble import describe_missing, find_trouble


@dataclass(frozen=True, slots=True)
class _Deadline:
    due: datetime
    reason: Reason
    message: str


def judge(s: Situation, seen: Review) -> tuple[FailureFact | None, datetime | None]:
    """Return (the failure of a job that is too late, when to look again). The deadline that came first is told."""
    found = [deadline for deadline in (_startup(s, seen), _active(s.job, s.now)) if deadline is not None]
    passed = min((d for d in found if s.now >= d.due), key=lambda d: d.due, default=None)
    if passed is None:
        return None, earliest(*(deadline.due for deadline in found))
    failure = Failure("", passed.reason, passed.message, generation=seen.generation)
    return FailureFact(failure, "", "", s.now), None


def _startup(s: Situation, seen: Review) -> _Deadline | None:
    job = s.job
    limit = job.spec.run_policy.startup_deadline_seconds if job.spec is not None else None
    if limit is None or seen.generation > 0 or job.phase in (Phase.RUNNING, Phase.RESTARTING):
        return None
    due = _start(job, s.now) + timedelta(seconds=limit)
    if seen.gang.complete:
        heard = parse_time((job.status.get("training") or {}).get("lastReportTime"))
        if heard is None:
            return None
        if s.met_at is not None and heard < s.met_at:
            due = max(due, s.met_at + REPORT_GRACE)
    message = f"training did not begin within {limit} s (spec.runPolicy.startupDeadlineSeconds): {_awaited(s, seen)}"
    return _Deadline(due, Reason.STARTUP_DEADLINE_EXCEEDED, message)


def _active(job: JobFact, now: datetime) -> _Deadline | None:
    limit = job.spec.run_policy.active_deadline_seconds if job.spec is not None else None
    if limit is None:
        return None
    before = job.status.get("activeSeconds")
    used = timedelta(seconds=before if isinstance(before, int | float) else 0)
    message = f"the job was active for {limit} s (spec.runPolicy.activeDeadlineSeconds)"
    return _Deadline(_start(job, now) + timedelta(seconds=limit) - used, Reason.DEADLINE_EXCEEDED, message)


def _start(job: JobFact, now: datetime) -> datetime:
    """Return when the job's clock began to run: now, if this is about to be written."""
    return parse_time(job.status.get("startTime")) or now


def _awaited(s: Situation, seen: Review) -> str:
    if seen.gang.complete:
        return "all members' pods run, but the gang has not formed"
    trouble = find_trouble(seen.gang, [refusal for refusal in s.refusals if refusal.subject != EVALUATOR])
    return trouble.message if trouble is not None else describe_missing(seen.gang)
