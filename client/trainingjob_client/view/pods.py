"""A job's pods: which member each is, which of its incarnations, and what it does."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainingjob_client import names
from trainingjob_client.view.fields import Fields
from trainingjob_client.view.job import JobView, Member


@dataclass(frozen=True)
class PodView:
    """One pod of a job."""

    name: str
    uid: str
    member: str
    incarnation: int
    node: str
    phase: str
    reason: str
    """Why its container waits or ended, or why the pod does: ImagePullBackOff, OOMKilled, Evicted."""
    running: bool
    """Whether the trainer's container runs now."""
    started: bool
    """Whether it has started, so that there is a log."""

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Sorts the chief first, the evaluator last, an earlier incarnation before a later one."""
        role, _, index = self.member.rpartition("-")
        rank = {"chief": 0, "worker": 1}.get(role, 2)
        return rank, role, int(index) if index.isdecimal() else 0, self.incarnation


def read_pod(body: Any, container: str = names.CONTAINER) -> PodView:
    """Read a pod by its container of this name. Never fails."""
    pod = Fields(body)
    metadata, status = pod.object("metadata"), pod.object("status")
    labels = metadata.object("labels")
    containers = {each.text("name"): each for each in status.objects("containerStatuses")}
    state = containers.get(container, Fields(None)).object("state")
    ended = state.object("terminated")
    waiting = state.object("waiting").text("reason")
    incarnation = labels.text(names.LABEL_INCARNATION)
    return PodView(
        name=metadata.text("name"),
        uid=metadata.text("uid"),
        member=f"{labels.text(names.LABEL_ROLE)}-{labels.text(names.LABEL_INDEX)}",
        incarnation=int(incarnation) if incarnation.isdecimal() else 1,
        node=pod.object("spec").text("nodeName"),
        phase="Terminating" if metadata.text("deletionTimestamp") else status.text("phase"),
        reason=status.text("reason") or ended.text("reason") or waiting,
        running=state.has("running"),
        started=state.has("running") or state.has("terminated"),
    )


def newest(pods: Iterable[PodView]) -> list[PodView]:
    """Return the newest incarnation of each member, in their order."""
    latest: dict[str, PodView] = {}
    for pod in sorted(pods, key=lambda pod: pod.order):
        latest[pod.member] = pod
    return list(latest.values())


def members(job: JobView, pods: Iterable[PodView]) -> list[Member]:
    """Return the members: as their pods say, and where a pod is gone as the status remembers it."""
    found = {pod.member: Member(pod.member, pod.incarnation, pod.name, pod.node, _state(pod)) for pod in newest(pods)}
    remembered = {member.name: member for member in job.members}
    return [*found.values(), *(member for name, member in remembered.items() if name not in found)]


def _state(pod: PodView) -> str:
    plain = {"", "Completed", "Error"}
    return pod.phase if pod.reason in plain else f"{pod.phase} ({pod.reason})"
