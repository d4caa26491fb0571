"""`status` of a TrainingJob. The reconciler writes it, but `training` and the metrics in `display` are not its."""

from typing import Annotated, Literal

from pydantic import Field

from trainingjob_operator.api.names import Phase
from trainingjob_operator.api.rules import Unique
from trainingjob_operator.api.types import MetricValue, Model


class StatusCondition(Model):
    """One condition, by the Kubernetes API conventions."""

    type: str
    """Valid, MembersReady, Running, Succeeded or Failed."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: int | None = None
    """metadata.generation that it was judged on."""
    last_transition_time: str
    """When status changed last."""
    reason: str
    """One CamelCase word."""
    message: Annotated[str, Field(max_length=32768)]
    """A sentence for people."""


class MemberStatus(Model):
    """One member as last seen. Written when something keeps the gang from being complete, and at the end."""

    name: str
    """chief-0, worker-0, ..."""
    incarnation: int | None = None
    """How many pods this member has had."""
    pod: str | None = None
    """Its pod."""
    node: str | None = None
    """The node of its pod."""
    phase: str | None = None
    """Its pod's phase."""


class MembersStatus(Model):
    """The gang."""

    desired: int | None = None
    """Chief and workers."""
    ready: int | None = None
    """How many run or have finished well."""
    items: list[MemberStatus] | None = None
    """Each member, for gangs of up to 32."""
    evaluator: MemberStatus | None = None
    """The evaluator, which is no member: its newest pod. Written when it starts, and when it fails or is replaced."""


class TrainingStatus(Model):
    """How far the training is, as the chief reported it last."""

    incarnation: int | None = None
    """The chief's incarnation that reported."""
    generation: int | None = None
    """Which formation of the gang reported."""
    sequence: int | None = None
    """Number of the report within its generation."""
    state: str | None = None
    """Forming, Running, Succeeded or Failed: the generation, seen from the chief."""
    epoch: int | None = None
    """Current epoch, from 1."""
    total_epochs: int | None = None
    """Epochs asked for."""
    step: int | None = None
    """Optimizer steps done."""
    total_steps: int | None = None
    """Optimizer steps asked for."""
    percent: float | None = None
    """Progress, 0 to 100."""
    eta_seconds: float | None = None
    """Seconds left, estimated."""
    examples_per_second: float | None = None
    """Training examples a second, over the whole gang."""
    metrics: dict[str, MetricValue] | None = None
    """Latest value of each metric. NaN, Infinity and -Infinity are texts."""
    last_report_time: str | None = None
    """When the report arrived, by the operator's clock."""
    final: bool | None = None
    """Whether this is the last report of the job."""


class FailureStatus(Model):
    """The first cause of the job's failure."""

    member: str | None = None
    """The member that failed first."""
    pod: str | None = None
    """Its pod."""
    node: str | None = None
    """The node of its pod."""
    exit_code: int | None = None
    """The trainer's exit code; 128 + signal when a signal ended it."""
    signal: int | None = None
    """The signal that ended the trainer."""
    reason: str | None = None
    """One CamelCase word."""
    message: str | None = None
    """A sentence for people."""
    last_log_lines: list[str] | None = None
    """The end of the trainer's log."""
    generation: int | None = None
    """The formation of the gang that failed."""


class DisplayStatus(Model):
    """What `kubectl get` shows, as it shows it."""

    members: str | None = None
    """Ready of desired, like 3/3."""
    reason: str | None = None
    """What keeps the job from running, or why it failed; in one word, like Unschedulable."""
    progress: str | None = None
    """Like 62%."""
    epoch: str | None = None
    """Like 6/10."""
    loss: str | None = None
    """Like 0.0481."""
    metric: str | None = None
    """The chosen metric, like accuracy=0.985."""
    speed: str | None = None
    """Like 9.1k ex/s."""
    eta: str | None = None
    """Like 41s."""


class TrainingJobStatus(Model):
    """What the operator saw and did."""

    observed_generation: int | None = None
    """metadata.generation that this status is about."""
    phase: Phase | None = None
    """Pending, Starting, Running, Succeeded, Failed or Invalid."""
    conditions: Annotated[list[StatusCondition], Field(max_length=32), Unique("type")] | None = None
    """Valid, MembersReady, Running, Succeeded, Failed; with reasons and messages."""
    start_time: str | None = None
    """When the operator first took up the job."""
    completion_time: str | None = None
    """When the job succeeded or failed."""
    members: MembersStatus | None = None
    """The gang: chief and workers."""
    training: TrainingStatus | None = None
    """How far the training is, as the chief reported it last."""
    failure: FailureStatus | None = None
    """Why the job failed: the first cause."""
    display: DisplayStatus | None = None
    """What kubectl get shows, as it shows it."""
