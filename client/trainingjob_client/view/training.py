"""The parts of a status that the training itself fills: progress, metrics, what it uses, why it failed."""

from dataclasses import dataclass
from datetime import datetime

from trainingjob_client import names
from trainingjob_client.view.fields import Fields, metric_value


@dataclass(frozen=True)
class Best:
    """The best value of a metric, and the step that it was reported with."""

    value: float
    step: int | None


@dataclass(frozen=True)
class Point:
    """The metrics at one moment of the run."""

    time: datetime | None
    generation: int
    step: int | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class Training:
    """How far the training is. What the program did not say is None."""

    generation: int | None
    epoch: int | None
    total_epochs: int | None
    step: int | None
    total_steps: int | None
    percent: float | None
    eta_seconds: float | None
    examples_per_second: float | None
    metrics: dict[str, float]
    best: dict[str, Best]
    history: tuple[Point, ...]
    last_report: datetime | None
    final: bool

    @classmethod
    def read(cls, of: Fields) -> "Training":
        """Read `status.training`."""
        best = ((name, Fields(value)) for name, value in of.object("best").items())
        return cls(
            generation=of.integer("generation"),
            epoch=of.integer("epoch"),
            total_epochs=of.integer("totalEpochs"),
            step=of.integer("step"),
            total_steps=of.integer("totalSteps"),
            percent=of.number("percent"),
            eta_seconds=of.number("etaSeconds"),
            examples_per_second=of.number("examplesPerSecond"),
            metrics=of.metrics("metrics"),
            best={name: found for name, value in best if (found := _best(value))},
            history=tuple(_point(each) for each in of.objects("history")),
            last_report=of.time("lastReportTime"),
            final=of.flag("final"),
        )


@dataclass(frozen=True)
class Usage:
    """What one member, or the gang, uses: cores, bytes; a share of its GPUs' time in percent."""

    name: str
    cpu_cores: float | None
    memory_bytes: float | None
    memory_limit_bytes: float | None
    gpus: int
    gpu_percent: float | None
    gpu_memory_bytes: float | None


@dataclass(frozen=True)
class Telemetry:
    """What the gang uses, and each member; `total` is None when nothing is known."""

    total: Usage | None
    members: tuple[Usage, ...]

    @classmethod
    def read(cls, of: Fields) -> "Telemetry":
        """Read `status.telemetry`."""
        if not of:
            return cls(None, ())
        total = Usage(
            name="",
            cpu_cores=of.number("cpuCores"),
            memory_bytes=of.number("memoryBytes"),
            memory_limit_bytes=None,
            gpus=of.integer("gpus") or 0,
            gpu_percent=of.number("gpuUtilizationPercent"),
            gpu_memory_bytes=of.number("gpuMemoryBytes"),
        )
        return cls(total, tuple(_usage(each) for each in of.objects("members")))


@dataclass(frozen=True)
class Goodput:
    """What the time since the job's start went to, in seconds; `ratio` is the productive share, 0 to 1."""

    productive: float | None
    starting: float | None
    restarting: float | None
    stalled: float | None
    ratio: float | None

    @classmethod
    def read(cls, of: Fields) -> "Goodput":
        """Read `status.goodput`."""
        return cls(
            of.number("productiveSeconds"),
            of.number("startingSeconds"),
            of.number("restartingSeconds"),
            of.number("stalledSeconds"),
            of.number("ratio"),
        )


@dataclass(frozen=True)
class Failure:
    """The first cause of a generation's failure: the last one's, or the job's."""

    time: datetime | None
    generation: int | None
    member: str
    pod: str
    node: str
    exit_code: int | None
    signal: int | None
    reason: str
    message: str
    last_log_lines: tuple[str, ...]

    @classmethod
    def read(cls, of: Fields) -> "Failure":
        """Read `status.failure`."""
        return cls(
            of.time("time"),
            of.integer("generation"),
            of.text("member"),
            of.text("pod"),
            of.text("node"),
            of.integer("exitCode"),
            of.integer("signal"),
            of.text("reason"),
            of.text("message"),
            tuple(of.texts("lastLogLines")),
        )


@dataclass(frozen=True)
class Missed:
    """A member that the gang has lost from sight."""

    name: str
    since: datetime | None


@dataclass(frozen=True)
class Gang:
    """How the gang came through what happened to it. What is not known is None, or empty.

    `counted` of the failures count against `limit`. `resumed_step` is where the last generation went on.
    """

    restarts: int | None
    counted: int | None
    limit: int | None
    resumed_step: int | None
    stalled_seconds: float | None
    missed: tuple[Missed, ...]

    @classmethod
    def read(cls, spec: Fields, status: Fields) -> "Gang":
        """Read it from a job's spec and status."""
        restarts, gang = status.object("restarts"), status.object("gang")
        missed = [Missed(each.text("name"), each.time("since")) for each in gang.objects("unreachable")]
        lost = gang.object("chiefLost")
        if lost:
            missed.insert(0, Missed(names.CHIEF, lost.time("since")))
        return cls(
            restarts.integer("total"),
            restarts.integer("counted"),
            spec.object("failurePolicy").integer("backoffLimit"),
            status.object("resumedFrom").integer("step"),
            gang.number("stalledSeconds"),
            tuple(missed),
        )


def _best(of: Fields) -> Best | None:
    value = metric_value(dict(of.items()).get("value"))
    return None if value is None else Best(value, of.integer("step"))


def _point(of: Fields) -> Point:
    return Point(of.time("time"), of.integer("generation") or 0, of.integer("step"), of.metrics("metrics"))


def _usage(of: Fields) -> Usage:
    gpus = of.objects("gpus")
    busy = [value for gpu in gpus if (value := gpu.number("utilizationPercent")) is not None]
    held = [value for gpu in gpus if (value := gpu.number("memoryBytes")) is not None]
    return Usage(
        name=of.text("name"),
        cpu_cores=of.number("cpuCores"),
        memory_bytes=of.number("memoryBytes"),
        memory_limit_bytes=of.number("memoryLimitBytes"),
        gpus=len(gpus),
        gpu_percent=sum(busy) / len(busy) if busy else None,
        gpu_memory_bytes=sum(held) if held else None,
    )
