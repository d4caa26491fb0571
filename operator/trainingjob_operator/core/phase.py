"""Phases: where a job is, from its gang and the chief's reports, one step at a time.

    (none) → Pending ⇄ Starting → Running ⇄ Restarting
                                     └→ Succeeded          Failed: from any of them

Pending: not all members' pods run. Starting: all run, the gang has not formed. Running: the chief reported a
generation, or all members have been up for `REPORT_GRACE` and nobody reported (the intake may be out of reach, which
does not stop training). Restarting: it ran, and its generation is over or has lost a member; until the chief reports
the next. A job that is further along than its status says, after the operator was away, walks through the phases in
between, each with its true time, so that nobody who watches misses one (but see `step_towards`). Suspended: from any
of them but the last two, and back to Pending (see suspend.py).
"""

from datetime import datetime, timedelta

from trainingjob_operator.api.names import Condition, Phase
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import JobFact, parse_time
from trainingjob_operator.core.reachable import chief_is_missed

REPORT_GRACE = timedelta(seconds=60)
_ORDER = (Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED)
#: A generation that is over, by what the chief says.
OVER = ("Forming", "Restarting", "Terminated")


def observed_phase(job: JobFact, gang: Gang, failed: int, now: datetime) -> tuple[Phase, datetime | None]:
    """Return (phase by what is seen of a job that has not ended, when to look again).

    `failed` is the latest generation that is known to have failed, 0 for none.
    """
    formed = job.formed_generation
    if job.phase in (Phase.RUNNING, Phase.RESTARTING):
        over = interrupted(job, gang) or (formed > 0 and failed >= formed)
        if job.phase is Phase.RUNNING and _has_ended(job, gang):
            over = False
        return (Phase.RESTARTING if over else Phase.RUNNING), None
    if formed > 0 and _of_newest(job, gang) and not gang.chief.lost:
        return Phase.RUNNING, None
    if not gang.complete:
        return Phase.PENDING, None
    ready = job.condition(Condition.MEMBERS_READY)
    since = parse_time(ready.get("lastTransitionTime")) if ready.get("status") == "True" else now
    silent = job.status.get("training", {}).get("state") is None
    due = (since or now) + REPORT_GRACE
    if silent and now >= due:
        return Phase.RUNNING, None
    return Phase.STARTING, due if silent else None


def restarted_unseen(job: JobFact, observed: Phase) -> bool:
    """Whether a generation has formed after the one that the status shows, and nobody was told that this one ended.

    A restart with a warm standby is over before the news of it is written.
    """
    shown = (job.status.get("restarts") or {}).get("total")
    both = observed in (Phase.RUNNING, Phase.SUCCEEDED) and job.phase is Phase.RUNNING
    return both and isinstance(shown, int) and job.formed_generation > shown + 1


def replaced_unseen(job: JobFact, member: Member) -> bool:
    """Whether a member of the generation that is written to run has lost its pod since, and has its next one already.

    A pod that comes up before its predecessor's end is written looks like a whole gang: nobody joins a generation
    that has formed, so that one is over, also before the chief says so.
    """
    shown = (job.status.get("restarts") or {}).get("total")
    return job.phase is Phase.RUNNING and member.new and isinstance(shown, int) and job.formed_generation == shown + 1


def interrupted(job: JobFact, gang: Gang) -> bool:
    """Whether the generation of a job that ran is over, or has lost a member: by the chief's word, or by the pods."""
    training = job.status.get("training") or {}
    if job.formed_generation and (training.get("state") in OVER or not _of_newest(job, gang)):
        return True
    # An elastic gang may be complete with fewer than all.
    size = (job.status.get("gang") or {}).get("size")
    wanted = min(size, len(gang.members)) if isinstance(size, int) and size > 0 else len(gang.members)
    up = sum(member.up and not replaced_unseen(job, member) for member in gang.members)
    return up < wanted or not gang.chief.up or chief_is_missed(job, gang)


def _has_ended(job: JobFact, gang: Gang) -> bool:
    """Whether the chief has said its last word: what is over then is the job, as soon as its pod says so too."""
    return bool((job.status.get("training") or {}).get("final")) and _of_newest(job, gang)


def _of_newest(job: JobFact, gang: Gang) -> bool:
    """Whether the last report is of the chief's newest pod. A job that was resumed starts with another one."""
    incarnation = (job.status.get("training") or {}).get("incarnation")
    return not isinstance(incarnation, int) or incarnation >= gang.chief.incarnations


def step_towards(written: Phase | None, seen: Phase, *, hurried: bool = False) -> Phase:
    """Return the next phase to write on the way from the written one to the one seen.

    `hurried`: many jobs wait for a word. What comes before Running is left out then when it is over: the conditions
    tell its times. Running, Restarting and the end never are.
    """
    if seen is Phase.RESTARTING:
        if written in (Phase.RUNNING, Phase.RESTARTING):
            return seen
        return step_towards(written, Phase.RUNNING, hurried=hurried)
    if seen not in _ORDER or (written is Phase.SUSPENDED and seen is Phase.SUCCEEDED):
        return seen
    if written is Phase.RESTARTING:
        return Phase.RUNNING if seen is Phase.SUCCEEDED else seen
    at = _ORDER.index(written) if written in _ORDER else -1
    target = _ORDER.index(seen)
    if hurried:
        at = max(at, min(target, _ORDER.index(Phase.RUNNING)) - 1)
    return _ORDER[min(at + 1, target)]
