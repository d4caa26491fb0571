"""The soak, compressed: waves of short jobs that are made, finish and are deleted, and what of them stays behind.

The operator's memory, its open files and threads are read from the process table; queue lengths, objects in memory,
unwritten states and the number of series from its metrics. It tells nobody how many asyncio tasks it has.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import os
import statistics
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from tests.apiserver.api import JOBS
from tests.scale.client import while_running
from tests.scale.processes import usage
from tests.scale.runs import Plan, Stage, apply_all, jobs, operated, quiet, stage

Json = dict[str, Any]
Sample = dict[str, float]
#: Pods of a wave run so long, and this many jobs are one wave.
POD_SECONDS, WAVE = 2.0, 100
#: Sums of these families are kept, each under its own name.
FAMILIES = (
    "trainingjob_operator_queue_depth",
    "trainingjob_operator_queue_delayed",
    "trainingjob_operator_queue_working",
    "trainingjob_operator_cached_objects",
    "trainingjob_operator_jobs_exported",
    "trainingjob_operator_status_unwritten",
)
JOBS_DONE = "jobs"


async def measure(minutes: float, plan: Plan, say: Callable[[str], None]) -> Json:
    """Make wave after wave for so many minutes; return the sample after each, and the growth for a thousand jobs."""
    plan = dataclasses.replace(plan, pod_seconds=POD_SECONDS)
    deadline = time.monotonic() + minutes * 60
    samples: list[Sample] = []
    complete = False
    async with stage(plan.members, plan.pod_seconds) as on, operated(on, plan) as (one, _):
        while time.monotonic() < deadline:
            complete = await _wave(on, plan, len(samples))
            text = await asyncio.to_thread(_metrics, one.metrics_port)
            found = sample((len(samples) + 1) * WAVE, one.process.pid, text)
            samples.append(found)
            say(", ".join(f"{name} {value:g}" for name, value in found.items()))
            if not complete:
                break
    return {
        "complete": complete,
        "samples": samples,
        "growth per thousand jobs": growth(samples),
        "not known": ["asyncio tasks: the operator has no metric of them"],
    }


async def _wave(on: Stage, plan: Plan, number: int) -> bool:
    """Make jobs, wait until all have ended, delete them, wait until their pods are gone."""
    wanted = list(jobs(WAVE, plan.workers, f"wave-{number}"))
    await apply_all(on, iter(wanted))

    def ended() -> bool:
        return len(on.world.jobs) >= WAVE and all("Succeeded" in j.phases for j in on.world.jobs.values())

    complete = await on.until(ended, plan.longest)
    paths = [f"{JOBS.format(j.namespace)}/{j.name}" for j in on.world.jobs.values()]

    async def delete() -> None:
        await asyncio.gather(*(on.client.send("DELETE", path) for path in paths))

    await while_running(delete(), on.watches)
    gone = await on.until(lambda: all(p.gone is not None for p in on.world.pods.values()), plan.longest)
    await quiet(on.log)
    on.world.jobs.clear()
    on.world.pods.clear()
    return complete and gone


def sample(done: int, pid: int, metrics: str) -> Sample:
    """Return what one process has and says after so many jobs."""
    return {
        JOBS_DONE: done,
        "memory, MB": round(usage(pid).memory, 2),
        "open files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        **series(metrics),
    }


def series(metrics: str) -> Sample:
    """Return the number of series in a text of metrics, and the sums of FAMILIES; one that is missing is left out."""
    found: collections.Counter[str] = collections.Counter()
    count = 0
    for line in metrics.splitlines():
        if line and not line.startswith("#"):
            count += 1
            name, value = line.partition("{")[0].split(" ")[0], line.rpartition(" ")[2]
            if name in FAMILIES:
                found[name] += float(value)  # type: ignore[assignment]
    return {"series": count, **{name: float(found[name]) for name in FAMILIES if name in found}}


def growth(samples: Sequence[Sample]) -> Sample:
    """Return how much each figure grows for a thousand jobs: the slope over the last two thirds of the samples.

    The first third is left out: caches fill, and Python takes the memory that it will keep. With fewer than three
    samples left there is no slope.
    """
    kept = samples[len(samples) // 3 :]
    if len(kept) < 3:
        return {}
    names = [name for name in kept[0] if name != JOBS_DONE and all(name in one for one in kept)]
    at = [one[JOBS_DONE] for one in kept]
    return {
        name: round(statistics.linear_regression(at, [one[name] for one in kept]).slope * 1000, 3) for name in names
    }


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
