"""Clean-up policy: what becomes of a finished job's pods, and of the job itself.

Launchers end by themselves when their chief has told them that the job is over; they get a grace for their last words
before anything is deleted. Where the chief never said so (a deadline has passed, one pod too many has failed) members
would go on training for nobody, or wait for a next chief for ever: what runs then goes at once, whatever the policy.
"""

from datetime import datetime, timedelta

from trainingjob_operator.api import names
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time

#: Launchers end by themselves when the gang does; this long they may take to write their last words.
CLEANUP_GRACE = timedelta(seconds=15)


def leftovers(job: JobFact, pods: tuple[PodFact, ...], now: datetime) -> tuple[tuple[PodFact, ...], datetime | None]:
    """Return (pods to delete now, when to look again) for a finished job."""
    policy = job.spec.run_policy.clean_pod_policy if job.spec is not None else "Running"
    staying = tuple(pod for pod in pods if not pod.deleting)
    running = tuple(pod for pod in staying if not pod.finished)
    told = _told_by_its_chief(job, pods)
    at_once = () if told else running
    in_time = {"None": (), "Running": running, "All": staying}[policy]
    if not in_time:
        return at_once, None
    due = (parse_time(job.status.get("completionTime")) or now) + CLEANUP_GRACE
    if now >= due:
        return in_time, None
    return at_once, due if len(at_once) < len(in_time) else None


def expiry(job: JobFact) -> datetime | None:
    """Return when a finished job is to be deleted, None for never. The policy may change until then."""
    ttl = job.spec.run_policy.ttl_seconds_after_finished if job.spec is not None else None
    completed = parse_time(job.status.get("completionTime"))
    return None if ttl is None or completed is None else completed + timedelta(seconds=ttl)


def _told_by_its_chief(job: JobFact, pods: tuple[PodFact, ...]) -> bool:
    """Whether it was the chief that ended the job: then its gang knows."""
    if (job.status.get("training") or {}).get("final") is True:
        return True
    chiefs = [pod for pod in pods if pod.role == names.ROLE_CHIEF]
    newest = max(chiefs, key=lambda pod: pod.incarnation, default=None)
    if newest is None or not newest.over:
        return False
    report = newest.report
    return report.final if report is not None else newest.terminated is not None and newest.terminated.exit_code == 0
