"""Fairness: what one namespace's flood of jobs costs a single job of another one, and a delete and a suspend."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.apiserver.api import JOBS
from tests.scale.runs import (
    NAMESPACES,
    Plan,
    Stage,
    apply_all,
    job,
    milliseconds,
    one_job,
    operated,
    quiet,
    stage,
)
from tests.scale.world import JobTimes

Json = dict[str, Any]
#: Single jobs without the flood; and at the most under it.
ALONE, UNDER = 5, 30
UNDER_PAUSE = 0.2
MERGE = "application/merge-patch+json"
LONGEST = 120.0
#: Both are made before the flood and run; one pair is taken away without it, one under it.
_ENDS = ("deleted", "suspended")


async def measure(count: int, plan: Plan, say: Callable[[str], None]) -> Json:
    """Time single jobs, a delete and a suspend: alone, and while `count` jobs of another namespace are worked on."""
    quietly = dataclasses.replace(plan, reports=None)
    async with stage(plan.members, None) as on, operated(on, quietly):
        victims = [
            {how: await one_job(on, f"{when}-{how}", plan.members) for how in _ENDS} for when in ("alone", "flooded")
        ]
        # the garbage collector looks for new kinds of objects every 30 s: only then it knows whose pods a job's are
        await _end(on, {"deleted": await one_job(on, "known", plan.members)})
        alone = [await one_job(on, f"alone-{number}", plan.members) for number in range(ALONE)]
        ended_alone = await _end(on, victims[0])
        say(f"{count} jobs of {NAMESPACES[0]} at once")
        began = time.monotonic()
        flood = asyncio.create_task(apply_all(on, _flood(count, plan.workers)))
        await on.until(lambda: len(_of_flood(on)) >= min(count, 50), LONGEST)
        ending = asyncio.create_task(_end(on, victims[1]))
        under: list[JobTimes] = []
        while len(under) < UNDER and not _over(on, count) and time.monotonic() < began + plan.longest:
            under.append(await one_job(on, f"under-{len(under)}", plan.members, plan.longest, UNDER_PAUSE))
        await flood
        complete = await on.until(lambda: _over(on, count), plan.longest)
        took = time.monotonic() - began
        ended_under = await ending
        await quiet(on.log)
        result: Json = {
            "jobs": count,
            "flood complete": complete,
            "flood, seconds": round(took, 1),
            "single job alone, milliseconds": milliseconds(alone, plan.members),
            "single job under the flood, milliseconds": milliseconds(under, plan.members),
            "seconds until pods are asked to go, alone": ended_alone,
            "seconds until pods are asked to go, under the flood": ended_under,
        }
        return {**result, "seconds more": more(result)}


def more(result: Json) -> Json:
    """Return how many seconds the flood adds: to the median and the slowest of the single jobs, and to the ends."""
    out: Json = {}
    before, after = (result[f"single job {when}, milliseconds"] for when in ("alone", "under the flood"))
    for what in before:
        usual = before[what]["median"]
        for how, figure in (("median", statistics.median), ("slowest", max)):
            found = after[what]["all"]
            known = usual is not None and found
            out[f"{what}, {how}"] = round((figure(found) - usual) / 1000, 3) if known else None
    ends = [result[f"seconds until pods are asked to go, {when}"] for when in ("alone", "under the flood")]
    for what in ends[0]:
        pair = [found[what] for found in ends]
        out[what] = round(pair[1] - pair[0], 3) if None not in pair else None
    return out


async def _end(on: Stage, victims: dict[str, JobTimes]) -> Json:
    """Delete one job and suspend another at once; return the seconds until the last pod of each was asked to go."""
    began = time.monotonic()
    how_to_end: dict[str, tuple[str, Json | None]] = {
        "deleted": ("DELETE", None),
        "suspended": ("PATCH", {"spec": {"suspend": True}}),
    }

    async def end(how: str, one: JobTimes) -> None:
        method, body = how_to_end[how]
        await on.client.send(method, f"{JOBS.format(one.namespace)}/{one.name}", body, MERGE)

    await asyncio.gather(*(end(how, one) for how, one in victims.items()))

    def asked() -> bool:
        return all(one.all_pods(len(one.pods), "asked") is not None for one in victims.values())

    await on.until(asked, LONGEST)
    return {how: _seconds(began, one.all_pods(len(one.pods), "asked")) for how, one in victims.items()}


def _seconds(began: float, at: float | None) -> float | None:
    return None if at is None else round(at - began, 3)


def _flood(count: int, workers: int) -> Iterator[tuple[str, Json]]:
    return (job(f"flood-{number}", NAMESPACES[0], workers) for number in range(count))


def _of_flood(on: Stage) -> list[JobTimes]:
    return [one for one in on.world.jobs.values() if one.namespace == NAMESPACES[0]]


def _over(on: Stage, count: int) -> bool:
    found = _of_flood(on)
    return len(found) >= count and all("Running" in one.phases for one in found)
