"""What Prometheus is told of one job: from the TrainingJob as last seen to samples. Pure.

There is nothing to keep in step: a job that is gone from the cache is gone from the next scrape, and an operator that
was just started tells what the status says. What a job does not say of itself is absent, not zero; what holds for a
running job only (speed, ETA, use of CPU, memory and GPUs) goes when it has finished.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trainingjob_operator.api.names import Phase
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.telemetry import families
from trainingjob_operator.telemetry.failures import reason_label
from trainingjob_operator.telemetry.families import Family

#: The phase of a job without a status.
NEW = "New"
_PHASES = frozenset(Phase)
_FINISHED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.INVALID})
_ACTIVITIES = ("productive", "starting", "restarting", "stalled")

#: A family, the values of its labels after namespace and name, and the value.
Sample = tuple[Family, tuple[str, ...], float]
Json = Mapping[str, Any]


def phase_of(job: Json) -> str:
    """Return the job's phase."""
    phase = (job.get("status") or {}).get("phase")
    return phase if phase in _PHASES else NEW


def choose(jobs: Sequence[Json], limit: int) -> Sequence[Json]:
    """Return at most `limit` jobs: those that have not finished before those that have, younger before older."""
    if len(jobs) <= limit:
        return jobs

    def rank(job: Json) -> tuple[bool, str]:
        return phase_of(job) not in _FINISHED, str((job.get("metadata") or {}).get("creationTimestamp") or "")

    return sorted(jobs, key=rank, reverse=True)[:limit]


def samples(job: Json) -> Iterator[Sample]:
    """Return what a job says of itself."""
    status: Json = job.get("status") or {}
    phase = phase_of(job)
    yield families.PHASE, (phase,), 1.0
    yield from _one(families.CREATED, _timestamp((job.get("metadata") or {}).get("creationTimestamp")))
    yield from _one(families.COMPLETED, _timestamp(status.get("completionTime")))
    members: Json = status.get("members") or {}
    yield from _one(families.MEMBERS_DESIRED, members.get("desired"))
    yield from _one(families.MEMBERS_READY, members.get("ready"))
    finished = phase in _FINISHED
    yield from _restarts(job, status)
    gang: Json = status.get("gang") or {}
    if not finished:
        yield from _one(families.STALLED, gang.get("stalledSeconds"))
    goodput: Json = status.get("goodput") or {}
    yield from _one(families.GOODPUT, goodput.get("ratio"))
    for activity in _ACTIVITIES:
        yield from _one(families.ACTIVITY, goodput.get(f"{activity}Seconds"), activity)
    yield from _training(status.get("training") or {}, finished)
    if not finished:
        for member in (status.get("telemetry") or {}).get("members") or ():
            yield from _member(member)


def _restarts(job: Json, status: Json) -> Iterator[Sample]:
    restarts: Json = status.get("restarts") or {}
    total, free = _number(restarts.get("total")), _number(restarts.get("free")) or 0
    if total is not None:
        # counted failures are not restarts: the last of them ends the job
        yield families.RESTARTS, ("counted",), max(0, total - free)
        yield families.RESTARTS, ("free",), free
        yield families.GENERATION, (), total + 1
    counted = _number(restarts.get("counted"))
    if counted is not None:
        policy: Json = (job.get("spec") or {}).get("failurePolicy") or {}
        yield families.FAILURES_COUNTED, (), counted
        yield from _one(families.BACKOFF_LIMIT, policy.get("backoffLimit", FailurePolicy().backoff_limit))
    failure: Json = status.get("failure") or {}
    if failure:
        yield families.LAST_FAILURE, (reason_label(failure.get("reason")),), 1.0


def _training(training: Json, finished: bool) -> Iterator[Sample]:
    yield from _one(families.LAST_REPORT, _timestamp(training.get("lastReportTime")))
    yield from _one(families.STEP, training.get("step"))
    yield from _one(families.TOTAL_STEPS, training.get("totalSteps"))
    yield from _one(families.EPOCH, training.get("epoch"))
    yield from _one(families.TOTAL_EPOCHS, training.get("totalEpochs"))
    yield from _one(families.PROGRESS, training.get("percent"), scale=0.01)
    if not finished:
        yield from _one(families.SPEED, training.get("examplesPerSecond"))
        yield from _one(families.ETA, training.get("etaSeconds"))
    for name, value in (training.get("metrics") or {}).items():
        yield from _one(families.METRIC, value, name)
    for name, best in (training.get("best") or {}).items():
        yield from _one(families.METRIC_BEST, (best or {}).get("value"), name)


def _member(member: Json) -> Iterator[Sample]:
    name = str(member.get("name") or "")
    yield from _one(families.CPU, member.get("cpuCores"), name)
    yield from _one(families.MEMORY, member.get("memoryBytes"), name)
    yield from _one(families.MEMORY_LIMIT, member.get("memoryLimitBytes"), name)
    for number, gpu in enumerate(member.get("gpus") or ()):
        index = str(number)
        yield from _one(families.GPU_UTILIZATION, gpu.get("utilizationPercent"), name, index, scale=0.01)
        yield from _one(families.GPU_MEMORY, gpu.get("memoryBytes"), name, index)
        yield from _one(families.GPU_MEMORY_TOTAL, gpu.get("memoryTotalBytes"), name, index)


def _one(family: Family, value: Any, *labels: str, scale: float = 1.0) -> Iterable[Sample]:
    number = _number(value)
    return () if number is None else ((family, labels, number if scale == 1.0 else round(number * scale, 6)),)


def _number(value: Any) -> float | None:
    """Read a number, or one of the three texts that JSON needs for numbers that it has not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value) if isinstance(value, str) else None
    )


def _timestamp(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None
