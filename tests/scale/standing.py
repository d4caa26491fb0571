"""A standing population of running jobs: what one more waits, what idling costs, how long a start takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.scale import audit, operators
from tests.scale.processes import usage
from tests.scale.runs import Plan, Stage, apply_all, jobs, milliseconds, one_job, operated, quiet, stage

Json = dict[str, Any]
LONGEST_FILL = 900.0
#: Steady: over so many seconds the process uses less than this share of a core.
STEADY_SECONDS, STEADY_SHARE = 1.5, 0.1
START_SECONDS = 120.0


async def measure(count: int, new: int, idle: float, plan: Plan, say: Callable[[str], None]) -> Json:
    """Let `count` jobs run; time `new` ones beside them; idle; start the operator anew."""
    say(f"{count} standing jobs of {plan.members} pods")
    async with stage(plan.members, None) as on:
        quietly = Plan(plan.workers, plan.pod_seconds, None, plan.settings, plan.longest)
        async with operated(on, quietly) as (one, _):
            began = await apply_all(on, jobs(count, plan.workers, "standing"))

            def running() -> bool:
                return sum("Running" in j.phases for j in on.world.jobs.values()) >= count

            complete = await on.until(running, LONGEST_FILL)
            filled = time.monotonic() - began
            say(f"all run: {complete}, after {filled:.0f} s")
            await quiet(on.log)
            found = [await one_job(on, f"new-{number}", plan.members) for number in range(new)]
            await quiet(on.log)
            say("idle")
            resting = await _idle(on, one.process.pid, idle)
            peak = usage(one.process.pid).peak
            kubeconfig = one_kubeconfig(on)
        start = await _start(on, kubeconfig, plan)
    return {
        "jobs": count,
        "all running": complete,
        "seconds to fill": round(filled, 1),
        "new job, milliseconds": milliseconds(found, plan.members),
        "idle": resting,
        "operator peak_mb": round(peak, 1),
        "start": start,
    }


def one_kubeconfig(on: Stage) -> Any:
    """Return the file that the operator was started with."""
    return on.plane.folder / f"{operators.ACCOUNT}.kubeconfig"


async def _idle(on: Stage, pid: int, seconds: float) -> Json:
    on.log.begin()
    before, began = usage(pid), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    counts = audit.count(on.log.events()).get(operators.ACCOUNT, {})
    return {
        "seconds": round(took, 1),
        "share of a core": round((usage(pid).cpu - before.cpu) / took, 4),
        "writes": audit.writes(counts),
        "requests": counts,
    }


async def _start(on: Stage, kubeconfig: Any, plan: Plan) -> Json:
    """Start the operator beside all that is there; return the seconds until it leads, and until it rests."""
    on.log.begin()
    began = time.monotonic()
    with operators.operator(on.plane, kubeconfig, plan.settings) as one:
        leading = time.monotonic() - began
        steady = await asyncio.to_thread(_steady, one.process.pid, began)
        counts = audit.count(on.log.events()).get(operators.ACCOUNT, {})
        used = usage(one.process.pid)
        return {
            "seconds to lead": round(leading, 2),
            "seconds to steady": steady,
            "cpu_seconds": used.cpu,
            "peak_mb": round(used.peak, 1),
            "requests": counts,
        }


def _steady(pid: int, began: float) -> float | None:
    while time.monotonic() < began + START_SECONDS:
        at, before = time.monotonic(), usage(pid).cpu
        time.sleep(STEADY_SECONDS)
        if usage(pid).cpu - before < STEADY_SHARE * STEADY_SECONDS:
            return round(at - began, 2)
    return None
