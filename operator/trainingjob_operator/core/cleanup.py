"""Clean-up policy: which pods go once a job has finished. Finished pods stay, for their logs."""

from datetime import datetime, timedelta

from trainingjob_operator.core.observe import PodFact

#: Launchers end by themselves when the gang does; this long they may take to write their last words.
CLEANUP_GRACE = timedelta(seconds=15)


def leftovers(
    pods: tuple[PodFact, ...], completed: datetime, now: datetime
) -> tuple[tuple[PodFact, ...], datetime | None]:
    """Return (pods to delete now, when to look again) for a finished job."""
    active = tuple(pod for pod in pods if not pod.finished and not pod.deleting)
    if not active:
        return (), None
    due = completed + CLEANUP_GRACE
    return ((), due) if now < due else (active, None)
