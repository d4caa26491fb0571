"""Which members the gang has lost from sight, though their pods seem to run: a dead or partitioned node.

Pods of a silent node say Running for minutes, then Terminating for ever. What is sure comes from two sides. The
launchers say whom they miss: the chief its workers, workers their chief. The node controller says that a node is
silent; that alone is not enough, since training may go on while only the API server can't be reached.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time
from trainingjob_operator.core.situation import earliest

#: A pod that was made for a member that is missed has so long to come to the chief before it is missed itself.
JOINING = timedelta(seconds=60)
#: A chief whose last report is younger than this speaks.
FRESH = timedelta(seconds=30)
#: A chief that is well says so within so many of its report intervals, and the intake then takes the notice back.
_INTERVALS = 2
#: How often to look at what nobody tells of: a new pod that does not join.
_LOOK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the status says of the gang. `missed` is since when the chief misses whom.

    `hearing` is how long a chief that workers have lost may take to be heard: it reports once in an interval.
    """

    missed: Mapping[str, datetime]
    chief_lost: datetime | None
    reported: datetime | None
    running: bool
    patience: timedelta
    hearing: timedelta


def out_of_sight(job: JobFact, gang: Gang, now: datetime) -> tuple[frozenset[str], datetime | None]:
    """Return (members that are lost from sight, when to look again)."""
    told = _told(job, gang)
    lost: set[str] = set()
    times: list[datetime | None] = []
    chief_gone, again = _chief_gone(gang, told, now)
    times.append(again)
    if chief_gone:
        lost.add(gang.chief.name)
    doubted = told.chief_lost is not None and not _speaks(gang, told, now)
    for worker in gang.members[1:]:
        gone, again = _worker_gone(worker, told, now, chief_gone=chief_gone, doubted=doubted)
        times.append(again)
        if gone:
            lost.add(worker.name)
    for member in gang.members:
        gone, again = _never_starts(member, gang, told, now)
        times.append(again)
        if gone:
            lost.add(member.name)
    return frozenset(lost), earliest(*times)


def _never_starts(member: Member, gang: Gang, told: _Told, now: datetime) -> tuple[bool, datetime | None]:
    """Whether a new pod waits on a node that is silent: bound there before anybody knew, it never starts."""
    pod = member.pod
    silent = {other.node for other in gang.pods if other.out_of_sight_since is not None}
    if pod is None or pod.phase != "Pending" or pod.deleting or pod.node not in silent or pod.created_at is None:
        return False, None
    due = pod.created_at + told.patience
    return (True, None) if now >= due else (False, due)


def chief_is_missed(job: JobFact, gang: Gang) -> bool:
    """Whether workers say that they have lost the chief as it is now."""
    return _told(job, gang).chief_lost is not None


def _told(job: JobFact, gang: Gang) -> _Told:
    said: Mapping[str, Any] = job.status.get("gang") or {}
    training: Mapping[str, Any] = job.status.get("training") or {}
    missed = {item.get("name", ""): parse_time(item.get("since")) for item in said.get("unreachable") or ()}
    lost = said.get("chiefLost") or {}
    newest = gang.chief.incarnations
    own = training.get("incarnation") == newest
    patience = job.spec.failure_policy.replace_after_seconds if job.spec is not None else 10
    interval = job.spec.reporting.interval_seconds if job.spec is not None else 5
    return _Told(
        missed={name: since for name, since in missed.items() if since is not None},
        chief_lost=parse_time(lost.get("since")) if lost.get("incarnation") == newest else None,
        reported=parse_time(training.get("lastReportTime")) if own else None,
        running=own and training.get("state") == "Running",
        patience=timedelta(seconds=patience),
        hearing=timedelta(seconds=max(patience, _INTERVALS * interval)),
    )


def _runs(pod: PodFact | None) -> bool:
    return pod is not None and pod.phase == "Running" and not pod.over and not pod.deleting


def _speaks(gang: Gang, told: _Told, now: datetime) -> bool:
    """Whether the chief is heard, and misses only few: then it is not the one that is cut off."""
    if told.chief_lost is None or told.reported is None or told.reported <= told.chief_lost:
        return False
    return now - told.reported < FRESH and 2 * len(told.missed) < len(gang.members) - 1


def _chief_gone(gang: Gang, told: _Told, now: datetime) -> tuple[bool, datetime | None]:
    pod = gang.chief.pod
    if pod is None or not _runs(pod):
        return False, None
    if told.chief_lost is not None:
        if _speaks(gang, told, now):
            return False, now + _LOOK
        due = told.chief_lost + told.hearing
        return (True, None) if pod.out_of_sight_since is not None or now >= due else (False, due)
    silent_since = pod.out_of_sight_since
    if silent_since is None or (told.reported is not None and told.reported > silent_since):
        return False, None
    # While the gang trains, those who can see it say when they miss it. If nobody is left who could, or the gang does
    # not train, the node controller's word is all there is.
    if told.running and any(
        _runs(w.pod) and w.pod is not None and w.pod.out_of_sight_since is None for w in gang.members[1:]
    ):
        return False, None
    due = silent_since + told.patience
    return (True, None) if now >= due else (False, due)


def _worker_gone(
    worker: Member, told: _Told, now: datetime, *, chief_gone: bool, doubted: bool
) -> tuple[bool, datetime | None]:
    pod = worker.pod
    if pod is None or not _runs(pod):
        return False, None
    since = told.missed.get(worker.name)
    if pod.out_of_sight_since is not None:
        return (since is not None or chief_gone or not told.running), None
    if since is None or doubted:
        return False, None
    if pod.started_at is None or pod.started_at <= since:
        due = since + told.patience
        return (True, None) if now >= due else (False, due)
    # This pod came after it was missed first. Only a report that was made long after its start tells of this pod.
    heard = told.reported is not None and told.reported - pod.started_at >= JOINING + told.patience
    return (True, None) if heard else (False, max(now + _LOOK, pod.started_at + JOINING + told.patience))
