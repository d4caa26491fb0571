"""One TrainingJob: what `list`, `show`, `watch` and `plot` say of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_client import names
from trainingjob_client.view.fields import Fields
from trainingjob_client.view.training import Failure, Gang, Goodput, Telemetry, Training


@dataclass(frozen=True)
class Display:
    """What kubectl's columns show, as they show it; "" where they show nothing."""

    members: str
    progress: str
    epoch: str
    loss: str
    metric: str
    speed: str
    eta: str
    reason: str
    node: str
    goodput: str

    @classmethod
    def read(cls, of: Fields) -> "Display":
        """Read `status.display`."""
        return cls(**{name: of.text(name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Condition:
    """One condition."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True)
class Member:
    """One member, or the evaluator, as the status knows it."""

    name: str
    incarnation: int | None
    pod: str
    node: str
    phase: str

    @classmethod
    def read(cls, of: Fields) -> "Member":
        """Read one of `status.members.items`."""
        return cls(of.text("name"), of.integer("incarnation"), of.text("pod"), of.text("node"), of.text("phase"))


@dataclass(frozen=True)
class JobView:
    """One TrainingJob. What it has not said is None, "" or empty."""

    name: str
    namespace: str
    uid: str
    created: datetime | None
    deleting: bool
    phase: str
    display: Display
    conditions: tuple[Condition, ...]
    members: tuple[Member, ...]
    desired: int | None
    ready: int | None
    gang: Gang
    started: datetime | None
    completed: datetime | None
    training: Training
    telemetry: Telemetry
    goodput: Goodput
    failure: Failure | None
    chosen_metric: str
    """`spec.reporting.metric`."""

    @property
    def finished(self) -> bool:
        """Whether nothing happens to it any more by itself."""
        return self.phase in (names.SUCCEEDED, names.FAILED, names.INVALID)

    @property
    def state(self) -> str:
        """Its phase in a word or two: what is going on, and that it goes on without getting anywhere."""
        if self.deleting:
            return "Deleting"
        stalled = self.condition("Stalled")
        return f"{self.phase} (Stalled)" if stalled is not None and stalled.status == "True" else self.phase

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.phase == names.SUCCEEDED

    def condition(self, kind: str) -> Condition | None:
        """Return a condition by its type; their order means nothing."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


def read_job(body: Any) -> JobView:
    """Read a TrainingJob as the API gives it. Never fails."""
    job = Fields(body)
    metadata, status = job.object("metadata"), job.object("status")
    members = status.object("members")
    items = members.objects("items")
    evaluator = members.object("evaluator")
    return JobView(
        name=metadata.text("name"),
        namespace=metadata.text("namespace"),
        uid=metadata.text("uid"),
        created=metadata.time("creationTimestamp"),
        deleting=bool(metadata.text("deletionTimestamp")),
        phase=status.text("phase"),
        display=Display.read(status.object("display")),
        conditions=tuple(_condition(each) for each in status.objects("conditions")),
        members=tuple(Member.read(each) for each in (*items, *((evaluator,) if evaluator else ()))),
        desired=members.integer("desired"),
        ready=members.integer("ready"),
        gang=Gang.read(job.object("spec"), status),
        started=status.time("startTime"),
        completed=status.time("completionTime"),
        training=Training.read(status.object("training")),
        telemetry=Telemetry.read(status.object("telemetry")),
        goodput=Goodput.read(status.object("goodput")),
        failure=Failure.read(status.object("failure")) if status.object("failure") else None,
        chosen_metric=job.object("spec").object("reporting").text("metric"),
    )


def _condition(of: Fields) -> Condition:
    return Condition(
        of.text("type"), of.text("status"), of.text("reason"), of.text("message"), of.time("lastTransitionTime")
    )
