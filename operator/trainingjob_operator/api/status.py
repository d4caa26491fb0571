"""`status` of a TrainingJob. The reconciler writes it, but `training`, `telemetry`, `goodput`, `gang` and what
`display` shows of them are the intake's.
"""

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
    failures: int | None = None
    """How many of them failed in a way that counts."""
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


class BestValue(Model):
    """The best finite value that a metric has had."""

    value: MetricValue
    """The value."""
    step: int | None = None
    """The step that it was reported with."""


class HistoryPoint(Model):
    """The metrics at one moment of the run."""

    time: str
    """When the report arrived, by the operator's clock."""
    generation: int | None = None
    """Which formation of the gang reported."""
    step: int | None = None
    """Optimizer steps done."""
    epoch: int | None = None
    """Epoch, from 1."""
    examples_per_second: float | None = None
    """Training examples a second, over the whole gang."""
    metrics: dict[str, MetricValue] | None = None
    """The metrics' values."""


class TrainingStatus(Model):
    """How far the training is, as the chief reported it last."""

    incarnation: int | None = None
    """The chief's incarnation that reported."""
    generation: int | None = None
    """Which formation of the gang reported."""
    sequence: int | None = None
    """Number of the report within its generation."""
    state: str | None = None
    """Forming, Running, Restarting, Terminated, Succeeded or Failed: the generation, seen from the chief."""
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
    best: dict[str, BestValue] | None = None
    """Best value of each metric of which it is known which way is better, see spec.reporting.best. Kept over
    generations; for at most 64 metrics."""
    history: list[HistoryPoint] | None = None
    """The run so far in at most spec.reporting.history points, thinned evenly; the first and the latest always. All
    generations are in it. It has at most about 256 KiB: many points of many metrics leave some metrics out."""
    last_report_time: str | None = None
    """When the report arrived, by the operator's clock."""
    resumed_step: int | None = None
    """The step that this generation began at, from a checkpoint."""
    final: bool | None = None
    """Whether this is the last report of the job."""


class GpuStatus(Model):
    """One GPU of a member."""

    utilization_percent: float | None = None
    """How much of the time a kernel was running."""
    memory_bytes: int | None = None
    """Memory in use."""
    memory_total_bytes: int | None = None
    """Memory that it has."""


class MemberTelemetry(Model):
    """What one member uses. What can't be read is missing; it is not zero."""

    name: str
    """chief-0, worker-0, ..."""
    cpu_cores: float | None = None
    """CPU in cores."""
    memory_bytes: int | None = None
    """Memory without page cache."""
    memory_limit_bytes: int | None = None
    """The container's limit."""
    gpus: list[GpuStatus] | None = None
    """Its GPUs."""


class FailureStatus(Model):
    """The first cause of a generation's failure: of the latest that failed, and of the job's where it has failed."""

    time: str | None = None
    """When it was told or seen, by the operator's clock."""
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


class LastFailureStatus(Model):
    """What the last failed generation died of, as far as the next failure is compared with it."""

    reason: str | None = None
    """One CamelCase word."""
    message: str | None = None
    """The beginning of what was said."""
    exit_code: int | None = None
    """The trainer's exit code; 128 + signal when a signal ended it."""
    signal: int | None = None
    """The signal that ended the trainer."""
    step: int | None = None
    """The highest step that the job had reported then."""


class LedgerStatus(Model):
    """What the job has been through, as the gang counts it. New pods are told."""

    generation: int | None = None
    """The last formation of the gang."""
    counted: int | None = None
    """Failures of trainers that count against spec.failurePolicy.backoffLimit."""
    step: int | None = None
    """The highest step that was ever reported."""
    started: bool | None = None
    """Whether the job has made its first step."""
    fruitless: int | None = None
    """Restarts in a row that brought no new step."""
    last: LastFailureStatus | None = None
    """What the last failed generation died of."""


class ChiefLostStatus(Model):
    """What workers say when they have lost their chief from sight."""

    incarnation: int
    """The chief's pod that they lost."""
    member: str
    """Who said so."""
    since: str
    """Since when they are believed, by the operator's clock: the chief has been silent for some time then."""


class UnreachableStatus(Model):
    """A member that the gang has lost from sight and waits for."""

    name: str
    """Like worker-0."""
    since: str
    """When the chief said so first, by the operator's clock."""


class GangStatus(Model):
    """The gang as its launchers tell it: what they count, whom they miss, what went wrong last."""

    size: int | None = None
    """How many members train in this generation."""
    ledger: LedgerStatus | None = None
    """What the job has been through."""
    failure: FailureStatus | None = None
    """Why the last generation that failed did."""
    unreachable: Annotated[list[UnreachableStatus], Field(max_length=32)] | None = None
    """Members that the gang has lost from sight and waits for; of many the first."""
    chief_lost: ChiefLostStatus | None = None
    """What workers say when they have lost their chief from sight."""
    stalled_seconds: float | None = None
    """How long there has been no step, while that is too long."""


class TelemetryStatus(Model):
    """What the gang uses, as the chief reported it last."""

    cpu_cores: float | None = None
    """CPU in cores, all members together."""
    memory_bytes: int | None = None
    """Memory without page cache, all members together."""
    gpus: int | None = None
    """How many GPUs there are."""
    gpu_utilization_percent: float | None = None
    """Mean over all GPUs."""
    gpu_memory_bytes: int | None = None
    """GPU memory in use, all members together."""
    members: list[MemberTelemetry] | None = None
    """Each member, for gangs of up to 32."""


class GoodputStatus(Model):
    """What the time since the job's start went to."""

    productive_seconds: float | None = None
    """Training."""
    starting_seconds: float | None = None
    """From the job's start to its first step: scheduling, images, start of the trainers."""
    restarting_seconds: float | None = None
    """From the end of one generation to the next one's first step."""
    stalled_seconds: float | None = None
    """Time without a step that was not meant."""
    ratio: float | None = None
    """Share of productive time, 0 to 1. Missing while no step was reported."""


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
    node: str | None = None
    """The chief's node, and how many others there are: gpu-1 (+3)."""
    goodput: str | None = None
    """Share of productive time, like 93%."""


class RestartsStatus(Model):
    """How often the gang has been formed anew."""

    total: int | None = None
    """Generations after the first."""
    counted: int | None = None
    """Failures that count against spec.failurePolicy.backoffLimit: of trainers, and of pods."""
    free: int | None = None
    """Restarts that cost nothing: lost and evicted pods, drained nodes, saves on request, changes of size."""


class ResumedFromStatus(Model):
    """Where the latest generation went on."""

    step: int
    """The step of the checkpoint."""
    checkpoint: str | None = None
    """The folder of the checkpoints."""
    generation: int | None = None
    """The generation that began there."""


class TrainingJobStatus(Model):
    """What the operator saw and did."""

    observed_generation: int | None = None
    """metadata.generation that this status is about."""
    phase: Phase | None = None
    """Pending, Starting, Running, Restarting, Suspended, Succeeded, Failed or Invalid."""
    conditions: Annotated[list[StatusCondition], Field(max_length=32), Unique("type")] | None = None
    """Valid, MembersReady, Running, Succeeded, Failed; with reasons and messages. Stalled and Suspended once they
    were true."""
    start_time: str | None = None
    """When the operator took up the job; when it was resumed last, if it was suspended."""
    completion_time: str | None = None
    """When the job succeeded or failed."""
    members: MembersStatus | None = None
    """The gang: chief and workers."""
    training: TrainingStatus | None = None
    """How far the training is, as the chief reported it last."""
    restarts: RestartsStatus | None = None
    """How often the gang has been formed anew."""
    resumed_from: ResumedFromStatus | None = None
    """Where the latest generation went on, if it did not begin with nothing."""
    gang: GangStatus | None = None
    """The gang as its launchers tell it."""
    active_seconds: float | None = None
    """How long the job was active before it was suspended; counts for spec.runPolicy.activeDeadlineSeconds."""
    telemetry: TelemetryStatus | None = None
    """What the gang uses: CPU, memory, GPUs."""
    goodput: GoodputStatus | None = None
    """What the time since the job's start went to."""
    failure: FailureStatus | None = None
    """Why the latest generation that failed did, and why the job failed: the first cause."""
    display: DisplayStatus | None = None
    """What kubectl get shows, as it shows it."""
