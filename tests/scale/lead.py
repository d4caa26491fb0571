"""High availability under load: two replicas, many jobs, and the leader is killed in the middle of its work."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from tests.apiserver.replica import Replica
from tests.scale import audit, operators
from tests.scale.chiefs import Chiefs, chiefs
from tests.scale.client import connected
from tests.scale.runs import ALL_JOBS, Plan, Stage, apply_all, jobs, quiet, stage

Json = dict[str, Any]
#: Pods outlive the time without a leader, so that each job can be seen Running.
POD_SECONDS = 60.0
#: What the killed process had sent may be taken up so much later; a Lease is silent for longer than that.
LAST_WORDS = 3.0
_WORK = frozenset({"pods", "trainingjobs/status"})


async def measure(count: int, plan: Plan, say: Callable[[str], None]) -> Json:
    """Apply `count` jobs, kill the leader when half of their pods are there, follow the jobs to their end."""
    plan = dataclasses.replace(plan, pod_seconds=max(plan.pod_seconds, POD_SECONDS))
    async with stage(plan.members, plan.pod_seconds) as on, _replicas(on, plan) as (leader, other, played):
        on.log.begin()
        began = await apply_all(on, jobs(count, plan.workers))
        half = await on.until(lambda: len(on.world.pods) >= count * plan.members // 2, plan.longest)
        made = len(on.world.pods)
        leader.kill()
        killed, wall = time.monotonic(), datetime.datetime.now(datetime.UTC)
        played.use(other.intake_port)
        say(f"the leader is killed {killed - began:.1f} s after the first job, with {made} pods made")

        def ended() -> bool:
            return len(on.world.jobs) >= count and all("Succeeded" in j.phases for j in on.world.jobs.values())

        complete = half and await on.until(ended, plan.longest)
        await quiet(on.log)
        found = (await on.client.send("GET", ALL_JOBS))["items"]
        return {
            "jobs": count,
            "pods made before the kill": made,
            "all Succeeded": complete,
            **took_over(on.log.events(), wall),
            **pods_made(on.log.events(), count * plan.members),
            "jobs that were never seen Running": sum("Running" not in j.phases for j in on.world.jobs.values()),
            "restarts": sum((one["status"].get("restarts") or {}).get("total", 0) for one in found),
        }


def took_over(events: Iterable[Mapping[str, Any]], killed: datetime.datetime) -> Json:
    """Return the seconds from the kill to the other's first write of the Lease, and from there to its first work."""
    moments = sorted(
        ((_moment(event["requestReceivedTimestamp"]) - killed).total_seconds(), _what(event))
        for event in _answered(events)
        if event["verb"] in audit.WRITES
    )
    leads = next((at for at, what in moments if what == "leases" and at >= LAST_WORDS), None)
    acts = next((at for at, what in moments if what in _WORK and leads is not None and at >= leads), None)
    return {"seconds to the Lease": _rounded(leads), "seconds to the first write": _rounded(acts)}


def pods_made(events: Iterable[Mapping[str, Any]], wanted: int) -> Json:
    """Return how many pods were created, which ones twice, and how often one was tried that was there already."""
    made: collections.Counter[tuple[str, str]] = collections.Counter()
    tried = 0
    for event in _answered(events):
        if event["verb"] == "create" and _what(event) == "pods":
            code = event["responseStatus"]["code"]
            about = event["objectRef"]
            tried += code == 409
            made[about["namespace"], about["name"]] += code == 201
    twice = sorted("/".join(name) for name, number in made.items() if number > 1)
    return {
        "pods wanted": wanted,
        "pods created": sum(made.values()),
        "pods created twice": twice,
        "creates of pods that were there (409)": tried,
    }


def _answered(events: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for event in events:
        if event["stage"] == "ResponseComplete" and audit.group(event["user"]["username"]) == operators.ACCOUNT:
            yield event


def _what(event: Mapping[str, Any]) -> str:
    about = event.get("objectRef") or {}
    return "/".join(filter(None, (about.get("resource"), about.get("subresource"))))


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


@contextlib.asynccontextmanager
async def _replicas(on: Stage, plan: Plan) -> AsyncIterator[tuple[Replica, Replica, Chiefs]]:
    """Run two replicas and play the chiefs, who report to the leader."""
    kubeconfig = operators.admit(on.plane)
    with operators.operator(on.plane, kubeconfig, plan.settings) as leader:
        other = operators.start(on.plane, kubeconfig, plan.settings, "other")
        try:
            await asyncio.to_thread(other.wait_ready)
            async with (
                connected(on.plane.url, on.plane.ca, on.plane.token) as kubelets,
                chiefs(on.world, kubelets, operators.authority(on.plane), plan.reports) as played,
            ):
                played.use(leader.intake_port)
                yield leader, other, played
        finally:
            if other.process.poll() is None:
                other.stop()
