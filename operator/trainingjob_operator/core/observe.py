"""From API objects to facts: the few fields of a pod and of a job that decisions rest on.

Only what is sure is read: phase, container states, conditions by type (their order means nothing), termination
messages. A pod's facts are what the informer keeps, so they are small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import ContractError, Report, member_name
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import Problem, parse_spec

Json = Mapping[str, Any]
#: Made once: a decision asks for the phase a dozen times.
_PHASES: Final = {str(phase): phase for phase in names.Phase}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container has not started: the kubelet's reason and message."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Terminated:
    """How a container ended. `message` is its termination message; times are None when nobody knows them."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PodFact:
    """One pod of a job, as far as decisions need it.

    `out_of_sight_since` is when the node controller said that the pod's node is silent, while its container ran: then
    phase and container states are only the last that was heard. `failures`, `short_lives` and `last_end` are what
    the pod was made with, see `core.desired.Past`.
    """

    uid: str
    name: str
    namespace: str
    owner_uid: str
    role: str
    index: int
    incarnation: int
    phase: str
    deleting: bool = False
    node: str = ""
    ip: str = ""
    reason: str = ""
    message: str = ""
    unschedulable: str = ""
    disruption: str = ""
    waiting: Waiting | None = None
    terminated: Terminated | None = None
    started_at: datetime | None = None
    created_at: datetime | None = None
    out_of_sight_since: datetime | None = None
    failures: int = 0
    short_lives: int = 0
    last_end: str = ""

    @property
    def member(self) -> str:
        """The member whose pod this is."""
        return member_name(self.role, self.index)

    @property
    def finished(self) -> bool:
        """Whether none of its containers runs or will run."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def over(self) -> bool:
        """Whether its launcher has ended: the kubelet tells of the container up to 2 s before it tells of the pod."""
        return self.finished or self.terminated is not None

    @property
    def report(self) -> Report | None:
        """The last report, as the launcher left it in the termination message; None when there is none."""
        if self.terminated is None or not self.terminated.message:
            return None
        try:
            return Report.decode(self.terminated.message)
        except ContractError:
            return None


@dataclass(frozen=True, slots=True)
class JobFact:
    """One TrainingJob. `spec` is None when it can't be read; `problems` then says why. `status` is as stored.

    `managed_by` is read without the spec: a job of somebody else's may follow rules that this operator can't read.
    """

    uid: str
    name: str
    namespace: str
    generation: int
    deleting: bool
    spec: TrainingJobSpec | None
    problems: tuple[Problem, ...]
    status: Json
    managed_by: str = names.CONTROLLER

    @property
    def phase(self) -> names.Phase | None:
        """Phase as last written; None before the first write."""
        value = self.status.get("phase")
        return _PHASES.get(value) if isinstance(value, str) else None

    @property
    def formed_generation(self) -> int:
        """Number of the gang's last formation that the chief reported; 0 before the first."""
        value = self.status.get("training", {}).get("generation")
        return value if isinstance(value, int) else 0

    def condition(self, kind: names.Condition) -> Json:
        """Return the condition of this type as last written, or an empty mapping."""
        return find_condition(self.status.get("conditions"), kind)


def find_condition(conditions: Any, kind: str) -> Json:
    """Return the condition of a type from a list of them, or an empty mapping."""
    return next((c for c in conditions or () if c.get("type") == kind), {})


def parse_time(value: str | None) -> datetime | None:
    """Read an RFC 3339 time of the API; None for none, and for the kubelet's 1970, which means unknown."""
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.year > 1970 and time.tzinfo is not None else None


def observe_job(body: Json) -> JobFact:
    """Read a TrainingJob. Never fails: what is wrong with the spec is in `problems`."""
    metadata = body.get("metadata", {})
    raw = body.get("spec", {})
    spec, problems = parse_spec(raw)
    manager = raw.get("managedBy") if isinstance(raw, Mapping) else None
    return JobFact(
        uid=metadata.get("uid", ""),
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace", ""),
        generation=metadata.get("generation", 0),
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        problems=tuple(problems),
        status=body.get("status") or {},
        managed_by=manager if isinstance(manager, str) and manager else names.CONTROLLER,
    )


def observe_pod(body: Json) -> PodFact:
    """Read a pod of a job."""
    metadata, status = body.get("metadata", {}), body.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations") or {}
    container = _trainer(status)
    state = container.get("state", {})
    conditions = status.get("conditions")
    scheduled = find_condition(conditions, "PodScheduled")
    disruption = find_condition(conditions, "DisruptionTarget")
    return PodFact(
        uid=metadata.get("uid", ""),
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace", ""),
        owner_uid=owner_uid(metadata),
        role=labels.get(names.LABEL_ROLE, ""),
        index=_number(labels.get(names.LABEL_INDEX), 0),
        incarnation=_number(labels.get(names.LABEL_INCARNATION), 1),
        phase=status.get("phase", "Pending"),
        deleting="deletionTimestamp" in metadata,
        node=body.get("spec", {}).get("nodeName", ""),
        ip=status.get("podIP", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        unschedulable=scheduled.get("message", "") or "no reason given" if _is_unschedulable(scheduled) else "",
        disruption=disruption.get("reason", "") if disruption.get("status") == "True" else "",
        waiting=_waiting(state.get("waiting")),
        terminated=_terminated(state.get("terminated")),
        started_at=parse_time(state.get("running", {}).get("startedAt")),
        created_at=parse_time(metadata.get("creationTimestamp")),
        out_of_sight_since=_out_of_sight(conditions) if "running" in state else None,
        failures=_number(annotations.get(names.ANNOTATION_FAILURES), 0),
        short_lives=_number(annotations.get(names.ANNOTATION_SHORT_LIVES), 0),
        last_end=str(annotations.get(names.ANNOTATION_LAST_END) or ""),
    )


def owner_uid(metadata: Json) -> str:
    """Return the UID of the TrainingJob that controls an object; empty when none does."""
    for owner in metadata.get("ownerReferences", ()):
        if owner.get("kind") == names.KIND and str(owner.get("apiVersion", "")).startswith(names.GROUP + "/"):
            return str(owner.get("uid", ""))
    return ""


def _trainer(status: Json) -> Json:
    for container in status.get("containerStatuses") or ():
        if container.get("name") == names.CONTAINER:
            return container  # type: ignore[no-any-return]
    return {}


def _is_unschedulable(condition: Json) -> bool:
    return condition.get("status") == "False" and condition.get("reason") == "Unschedulable"


def _out_of_sight(conditions: Any) -> datetime | None:
    """Return since when the pod's node is silent.

    The node controller only turns Ready to False, without a reason; a kubelet has one, and says ContainersReady too.
    """
    ready, containers = find_condition(conditions, "Ready"), find_condition(conditions, "ContainersReady")
    if ready.get("status") != "False" or ready.get("reason") or containers.get("status") != "True":
        return None
    return parse_time(ready.get("lastTransitionTime"))


def _waiting(state: Json | None) -> Waiting | None:
    return None if state is None else Waiting(state.get("reason", ""), state.get("message", ""))


def _terminated(state: Json | None) -> Terminated | None:
    if state is None:
        return None
    return Terminated(
        exit_code=state.get("exitCode", 0),
        reason=state.get("reason", ""),
        message=state.get("message", ""),
        finished_at=parse_time(state.get("finishedAt")),
        started_at=parse_time(state.get("startedAt")),
    )


def _number(text: Any, default: int) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else default
