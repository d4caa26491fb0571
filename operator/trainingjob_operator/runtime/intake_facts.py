"""What the intake asks the caches: jobs and pods in its own words."""

from trainingjob_operator.api.names import Phase
from trainingjob_operator.intake.authorize import JobFact, PodFact
from trainingjob_operator.intake.flusher import StatusFact
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.pods import PodCache


def find_job(jobs: JobCache, namespace: str, name: str) -> JobFact | None:
    """Return what the intake must know of a job."""
    body = jobs.find(namespace, name)
    if body is None:
        return None
    status = body.get("status") or {}
    training = status.get("training") or {}
    return JobFact(
        uid=body["metadata"]["uid"],
        incarnation=training.get("incarnation", 0),
        generation=training.get("generation", 0),
        finished=status.get("phase") in (Phase.SUCCEEDED, Phase.FAILED),
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
    )


def status_fact(jobs: JobCache, uid: str) -> StatusFact | None:
    """Return a job's status as last seen."""
    body = jobs.body(uid)
    return StatusFact.of(body) if body is not None else None
