"""One run: a new control plane, N jobs at once through the operator, or the same pods by a bare client."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.apiserver.api import JOBS
from tests.apiserver.replica import Replica
from tests.bench.pairs import load
from tests.scale import audit, operators, spans
from tests.scale.chiefs import Chiefs, chiefs
from tests.scale.client import Client, connected, while_running
from tests.scale.control_plane import ControlPlane, control_plane
from tests.scale.processes import Usage, usages
from tests.scale.world import JobTimes, World

Json = dict[str, Any]
ALL_JOBS = "/apis/trainingjob.dev/v1alpha1/trainingjobs"
ALL_PODS = "/api/v1/pods"
#: A namespace's reports are limited, and many jobs are not of one team.
NAMESPACES = tuple(f"team-{number}" for number in range(10))
BENCH = "bench"
SINGLE_PAUSE = 1.0
QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """How runs are made. Times are seconds; `settings` are the operator's, `reports` is the chiefs' interval."""

    workers: int = 3
    pod_seconds: float = 20.0
    reports: float | None = 5.0
    settings: Mapping[str, str] = field(default_factory=lambda: operators.TUNED)
    longest: float = 300.0

    @property
    def members(self) -> int:
        """Pods of a job."""
        return self.workers + 1


@dataclass
class Stage:
    """A control plane in use: who watches it, with which clients."""

    plane: ControlPlane
    world: World
    client: Client
    log: audit.Log
    watches: list[asyncio.Task[None]]

    async def until(self, holds: Any, seconds: float) -> bool:
        """Wait for something of what is seen; raise when a watch dies."""
        found: list[bool] = []

        async def wait() -> None:
            found.append(await self.world.until(holds, seconds))

        await while_running(wait(), self.watches)
        return found[0]


@contextlib.asynccontextmanager
async def stage(members: int, pod_seconds: float | None) -> AsyncIterator[Stage]:
    """Run a control plane that is watched, with namespaces and a bare client's account."""
    with control_plane(pod_seconds) as plane:
        for name in (BENCH, *NAMESPACES):
            plane.make_namespace(name)
        token, _ = plane.identity(BENCH, "client")
        world = World(members)
        async with (
            connected(plane.url, plane.ca, plane.token) as watcher,
            connected(plane.url, plane.ca, token) as client,
        ):
            watches = [
                asyncio.create_task(watcher.watch(ALL_PODS, world.saw_pod)),
                asyncio.create_task(watcher.watch(ALL_JOBS, world.saw_job)),
            ]
            try:
                await asyncio.sleep(0.5)
                yield Stage(plane, world, client, audit.Log(plane.audit_log), watches)
            finally:
                for task in watches:
                    task.cancel()
                await asyncio.gather(*watches, return_exceptions=True)


@contextlib.asynccontextmanager
async def operated(on: Stage, plan: Plan) -> AsyncIterator[tuple[Replica, Chiefs]]:
    """Run the operator, and play the chiefs of its jobs."""
    kubeconfig = operators.admit(on.plane)
    with operators.operator(on.plane, kubeconfig, plan.settings) as one:
        # as the administrator: what the kubelets ask is not the bare client's
        async with (
            connected(on.plane.url, on.plane.ca, on.plane.token) as kubelets,
            chiefs(on.world, kubelets, operators.authority(on.plane), plan.reports) as played,
        ):
            played.use(one.intake_port)
            yield one, played


def pids(plane: ControlPlane, one: Replica | None) -> dict[str, int]:
    """Return the processes that are measured."""
    names = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok")
    found = {name: plane.pid(name) for name in names}
    return found | ({"operator": one.process.pid} if one else {})


def job(name: str, namespace: str, workers: int) -> tuple[str, Json]:
    """Return (collection, a job)."""
    spec = {"workers": {"replicas": workers}, "program": {"command": ["python", "train.py"]}}
    body = {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": name}, "spec": spec}
    return JOBS.format(namespace), body


def jobs(count: int, workers: int, prefix: str = "job") -> Iterator[tuple[str, Json]]:
    """Yield many, over all namespaces."""
    for number in range(count):
        yield job(f"{prefix}-{number}", NAMESPACES[number % len(NAMESPACES)], workers)


async def apply_all(on: Stage, wanted: Iterator[tuple[str, Json]]) -> float:
    """Create jobs, many at once; return when that began."""
    began = time.monotonic()
    await while_running(
        on.client.create_all(wanted, lambda body: on.world.applied(time.monotonic(), body)), on.watches
    )
    return began


async def ours(count: int, plan: Plan) -> Json:
    """Apply `count` jobs at once and follow them to their end."""
    async with stage(plan.members, plan.pod_seconds) as on, operated(on, plan) as (one, played):
        before = _begin(on, one)
        began = await apply_all(on, jobs(count, plan.workers))

        def ended() -> bool:
            return len(on.world.jobs) >= count and all("Succeeded" in j.phases for j in on.world.jobs.values())

        complete = await on.until(ended, plan.longest)
        await quiet(on.log)
        found = list(on.world.jobs.values())
        return {
            "who": "operator",
            "jobs": count,
            "complete": complete,
            "phases": _tally(found),
            "reached": spans.reached(began, found, list(on.world.pods.values())),
            "latency": spans.of_jobs(found, plan.members),
            "reports": dict(played.answers),
            **_costs(on, one, before, count),
        }


async def bare(count: int, plan: Plan, template: list[Json]) -> Json:
    """Make the pods of `count` jobs by a bare client, and follow them to their end."""
    async with stage(plan.members, plan.pod_seconds) as on:
        before = _begin(on, None)

        def pods() -> Iterator[tuple[str, Json]]:
            for number in range(count):
                path = f"/api/v1/namespaces/{NAMESPACES[number % len(NAMESPACES)]}/pods"
                for index, body in enumerate(template):
                    yield path, {**body, "metadata": {**body["metadata"], "name": f"bare-{number}-{index}"}}

        began = time.monotonic()
        await while_running(on.client.create_all(pods(), lambda _body: None), on.watches)

        def ended() -> bool:
            return len(on.world.pods) >= count * len(template) and all(p.ended for p in on.world.pods.values())

        complete = await on.until(ended, plan.longest)
        found = list(on.world.pods.values())
        reached = {what: at for what, at in spans.reached(began, [], found).items() if what.startswith("pods")}
        return {
            "who": "bare client", "jobs": count, "complete": complete, "reached": reached,
            **_costs(on, None, before, count),
        }  # fmt: skip


async def single(count: int, plan: Plan) -> tuple[Json, list[Json]]:
    """Apply jobs one after the other to an idle cluster; return the latencies, and a job's pods as they were made."""
    async with stage(plan.members, plan.pod_seconds) as on, operated(on, plan) as (one, _):
        before = _begin(on, one)
        for number in range(count):
            await one_job(on, f"single-{number}", plan.members)
        await quiet(on.log)
        found = list(on.world.jobs.values())
        result = {
            "who": "operator", "jobs": count, "one after the other": True,
            "milliseconds": milliseconds(found, plan.members),
            **_costs(on, one, before, count),
        }  # fmt: skip
        first = next(iter(found))
        return result, [bare_pod(on.world.samples[pod.name]) for pod in first.pods.values()]


async def one_job(on: Stage, name: str, members: int, seconds: float = 60.0, pause: float = SINGLE_PAUSE) -> JobTimes:
    """Apply one job and wait until it runs, and a pause."""
    await apply_all(on, iter([job(name, BENCH, members - 1)]))
    (found,) = [j for j in on.world.jobs.values() if j.name == name]
    await on.until(lambda: "Running" in found.phases, seconds)
    await asyncio.sleep(pause)
    return found


def milliseconds(found: list[JobTimes], members: int) -> Json:
    """Return medians and all values from the job object to its pods, and to its status Running."""
    created = [at - j.applied for j in found if (at := j.all_pods(members, "created")) is not None]
    running = [j.phases["Running"] - j.applied for j in found if "Running" in j.phases]
    out = {}
    for name, values in (("pods created", created), ("status Running", running)):
        known = [round(value * 1000, 1) for value in values]
        out[name] = {
            "median": round(statistics.median(known), 1) if known else None,
            "max": max(known, default=None),
            "all": known,
        }
    return out


def bare_pod(body: Json) -> Json:
    """Return a pod as its maker wrote it: without what the API server and others added, and without an owner."""
    kept = copy.deepcopy(body)
    metadata = {name: kept["metadata"][name] for name in ("labels", "annotations") if name in kept["metadata"]}
    spec = {name: value for name, value in kept["spec"].items() if name not in ("nodeName", "tolerations")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def quiet(log: audit.Log, longest: float = 60.0) -> None:
    """Wait until the operator asks nothing more: its events come last."""
    deadline, known, since = time.monotonic() + longest, -1, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < QUIET_SECONDS:
        await asyncio.sleep(0.5)
        found = audit.total(audit.count(log.events()).get(operators.ACCOUNT, {}))
        if found != known:
            known, since = found, time.monotonic()


def _begin(on: Stage, one: Replica | None) -> dict[str, Usage]:
    on.log.begin()
    return usages(pids(on.plane, one))


def _costs(on: Stage, one: Replica | None, before: dict[str, Usage], count: int) -> Json:
    after = usages(pids(on.plane, one))
    counts = audit.count(on.log.events())
    return {
        "processes": {name: after[name].since(before[name]) for name in after},
        "requests per job": {user: round(audit.total(found) / count, 2) for user, found in counts.items()},
        "requests": counts,
        "load after": load(),
    }


def _tally(found: list[JobTimes]) -> dict[str, int]:
    names = {phase for one in found for phase in one.phases}
    return {name: sum(name in one.phases for one in found) for name in sorted(names)}
