"""Phases: where a job is, from its gang and the chief's reports, one step at a time.

    (none) → Pending ⇄ Starting → Running → Succeeded
                └────────┴──────────┴────→ Failed

Pending: not all members' pods run. Starting: all run, the gang has not formed. Running: the chief reported a
generation, or all members have been up for `REPORT_GRACE` and nobody reported (the intake may be out of reach, which
does not stop training). A job that is further along than its status says, after the operator was away, walks through
the phases in between, each with its true time, so that nobody who watches misses one.
"""

from datetime import datetime, timedelta

from trainingjob_operator.api.names import Condition, Phase
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.observe import JobFact, parse_time

REPORT_GRACE = timedelta(seconds=60)
_ORDER = (Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED)


def observed_phase(job: JobFact, gang: Gang, now: datetime) -> tuple[Phase, datetime | None]:
    """Return (phase by what is seen of a job that has not ended, when to look again)."""
    if job.formed_generation > 0:
        return Phase.RUNNING, None
    if not gang.complete:
        return (Phase.RUNNING, None) if job.phase is Phase.RUNNING else (Phase.PENDING, None)
    ready = job.condition(Condition.MEMBERS_READY)
    since = parse_time(ready.get("lastTransitionTime")) if ready.get("status") == "True" else now
    silent = job.status.get("training", {}).get("state") is None
    due = (since or now) + REPORT_GRACE
    if silent and now >= due:
        return Phase.RUNNING, None
    return (Phase.RUNNING, None) if job.phase is Phase.RUNNING else (Phase.STARTING, due if silent else None)


def step_towards(written: Phase | None, seen: Phase) -> Phase:
    """Return the next phase to write on the way from the written one to the one seen."""
    if seen not in _ORDER:
        return seen
    at = _ORDER.index(written) if written in _ORDER else -1
    target = _ORDER.index(seen)
    return _ORDER[min(at + 1, target)]
