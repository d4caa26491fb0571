"""Where the chief's Service leads: to the address of the chief's newest pod, ready or not. Pure.

With a selector, Kubernetes would keep the Service's endpoints, with six writes over a job's life, as the pods of
every gang come, run and end. Here one address matters, it is known as soon as the pod has it, and it changes with the
chief's pod only: the operator publishes it, once for each pod of the chief's (decision 10). Before the chief gets
another pod, the last one's address is withdrawn (see the reconciler): it may be another's by then.

The Service is there before the first pods, so that a namespace without room for it has none that wait for it. Where
other jobs wait for their pods it is not: what holds a gang up is its slowest pod, and the Service is made with the
address (`may_follow`).

A gang that waits for long, for nodes or for quota, shall not need the operator when it gets them: after `HANDOVER`
its Service gets a selector, and Kubernetes does the rest, from then on.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import RENDEZVOUS_PORT
from trainingjob_operator.core.desired import hostname, needs_service, owned_by
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.observe import JobFact, PodFact
from trainingjob_operator.core.refusal import SERVICE, Refusal

#: For so long the operator waits for the address of a pod of the chief's. Most pods have one within seconds.
HANDOVER = timedelta(seconds=60)
#: What is published, instead of an address, when Kubernetes does it.
BY_KUBERNETES = "by-kubernetes"


def unpublished(job: JobFact, gang: Gang, published: str | None) -> PodFact | None:
    """Return the chief's pod if its address must be published now.

    `published` is the address that is known to be, empty for none, or `BY_KUBERNETES`. A process that does not know
    yet (None) takes it for published where the gang could not be what it is without it.
    """
    pod = _awaited(job, gang, published)
    if pod is None or not pod.ip or pod.ip == published or (published is None and _was_found(job, gang)):
        return None
    return pod


def handover(job: JobFact, gang: Gang, published: str | None) -> datetime | None:
    """Return when Kubernetes is to publish the address of the chief's pod, which has none yet; None for never."""
    pod = _awaited(job, gang, published)
    return None if pod is None or pod.ip or pod.created_at is None else pod.created_at + HANDOVER


def may_follow(gang: Gang, refusals: Iterable[Refusal], *, crowded: bool) -> bool:
    """Whether the pods may be made before the Service: the first ones of a job, when others wait for theirs."""
    return crowded and not gang.chief.incarnations and all(refusal.subject != SERVICE for refusal in refusals)


def _awaited(job: JobFact, gang: Gang, published: str | None) -> PodFact | None:
    pod = gang.chief.pod
    if job.spec is None or not needs_service(job.spec) or published == BY_KUBERNETES:
        return None
    return None if pod is None or pod.deleting or pod.over else pod


def _was_found(job: JobFact, gang: Gang) -> bool:
    """Whether the chief's newest pod leads a gang in which others are: they have found it."""
    training, size = job.status.get("training") or {}, (job.status.get("gang") or {}).get("size")
    newest = training.get("incarnation") == gang.chief.incarnations
    return newest and training.get("state") == "Running" and isinstance(size, int) and size > 1


def build_address(job: JobFact, pod: PodFact) -> dict[str, Any]:
    """Return the EndpointSlice that makes the Service's name resolve to a pod."""
    service = names.service_name(job.name)
    metadata = owned_by(job, service)
    metadata["labels"] |= {
        "kubernetes.io/service-name": service,
        # Says to Kubernetes' own controllers that it is none of theirs.
        "endpointslice.kubernetes.io/managed-by": names.MANAGER,
    }
    endpoint = {
        "addresses": [pod.ip],
        # The launcher listens before its pod could be ready, and there is no probe that would say it is not.
        "conditions": {"ready": True},
        "hostname": hostname(job, pod.role, pod.index),
        "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6" if ":" in pod.ip else "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }
