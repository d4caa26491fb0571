"""What the intake asks the caches: jobs and pods in its own words."""

from collections.abc import Iterable

from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.observe import PodFact as ObservedPod
from trainingjob_operator.core.observe import parse_time
from trainingjob_operator.intake.authorize import JobFact, PodFact
from trainingjob_operator.intake.flusher import StatusFact
from trainingjob_operator.intake.view import REPORTING
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.packed import unpack
from trainingjob_operator.runtime.pods import PodCache


def find_job(jobs: JobCache, namespace: str, name: str) -> JobFact | None:
    """Return what the intake must know of a job."""
    body = jobs.find(namespace, name)
    if body is None:
        return None
    status = body.get("status") or {}
    training = status.get("training") or {}
    heard = parse_time(training.get("lastReportTime"))
    interval = ((body.get("spec") or {}).get("reporting") or {}).get("intervalSeconds")
    return JobFact(
        uid=body["metadata"]["uid"],
        incarnation=training.get("incarnation", 0),
        generation=training.get("generation", 0),
        finished=status.get("phase") in (Phase.SUCCEEDED, Phase.FAILED),
        heard_at=heard.timestamp() if heard is not None else None,
        interval=interval if isinstance(interval, int) else REPORTING.interval_seconds,
        chief_lost="chiefLost" in (status.get("gang") or {}),
    )


def find_pod(pods: PodCache, uid: str) -> PodFact | None:
    """Return what the intake must know of a pod."""
    pod = pods.get(uid)
    if pod is None:
        return None
    return PodFact(
        name=pod.name,
        namespace=pod.namespace,
        owner_uid=pod.owner_uid,
        role=pod.role,
        index=pod.index,
        incarnation=pod.incarnation,
        live=not pod.finished,
        leaving=pod.deleting,
    )


def newest_incarnation(pods: PodCache, uid: str, member: str) -> int:
    """Return the newest incarnation of a job's member that has a pod, be it one that does not run yet; 0 for none."""
    return max((pod.incarnation for pod in pods.of_owner(uid) if pod.member == member), default=0)


def status_fact(jobs: JobCache, uid: str) -> StatusFact | None:
    """Return a job's status as last seen."""
    body = jobs.body(uid)
    return StatusFact.of(unpack(body)) if body is not None else None


def said_at(report: Report, pods: Iterable[ObservedPod]) -> float | None:
    """Return when a chief left a report in its termination message, in seconds since 1970; None if nobody knows."""
    for pod in pods:
        ended = pod.terminated.finished_at if pod.terminated is not None else None
        if ended is not None and (pod.member, pod.incarnation) == (report.member, report.incarnation):
            return ended.timestamp()
    return None
