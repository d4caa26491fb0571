"""TrainingJobs as kube-apiserver keeps them, and replicas of the intake that write their status. In fake time."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.intake.flusher import Flusher, StatusFact
from trainingjob_operator.intake.store import Order, ReportStore
from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import TRAININGJOBS, Resource


class Jobs:
    """TrainingJobs as kube-apiserver keeps them: resourceVersion is a precondition, metadata.uid is none."""

    def __init__(self, *names: str) -> None:
        self.version = 0
        self.jobs: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[float, str, Order]] = []
        self.managers: list[str] = []
        self.gets = 0
        self.fail: list[ApiError] = []
        self.delay = 0.0
        for name in names:
            self.make(name)

    def make(self, name: str, uid: str | None = None, **reporting: Any) -> None:
        self.version += 1
        metadata = {"name": name, "uid": uid or f"u-{name}", "resourceVersion": str(self.version)}
        self.jobs[name] = {
            "metadata": metadata,
            "spec": {"reporting": reporting},
            "status": {"phase": "Running", "startTime": "2001-09-09T01:46:40Z"},
        }

    def touch(self, name: str) -> None:
        """Somebody else writes the job, the reconciler for instance."""
        self.version += 1
        self.jobs[name]["metadata"]["resourceVersion"] = str(self.version)

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        assert (resource, namespace) == (TRAININGJOBS, "ns")
        self.gets += 1
        await asyncio.sleep(self.delay)
        if name not in self.jobs:
            raise ApiError(404, "NotFound")
        return copy.deepcopy(self.jobs[name])

    async def replace_status(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        /,
        *,
        field_manager: str,
    ) -> dict[str, Any]:
        assert (resource, namespace) == (TRAININGJOBS, "ns")
        await asyncio.sleep(self.delay)
        if self.fail:
            raise self.fail.pop(0)
        if name not in self.jobs:
            raise ApiError(404, "NotFound")
        job = self.jobs[name]
        if body["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict")
        job["status"] = copy.deepcopy(dict(body["status"]))
        self.touch(name)
        self.log.append((now(), name, self.order(name) or (0, 0, 0)))
        self.managers.append(field_manager)
        return copy.deepcopy(job)

    def order(self, name: str) -> Order | None:
        return StatusFact.of(self.jobs[name]).order


def now() -> float:
    return asyncio.get_running_loop().time()


class Replica:
    """A store and a flusher. Its cache is `api` itself, or what it was when `freeze` was called.

    Its wall clock runs `ahead` seconds ahead; loop time 0 is 2001-09-09T01:46:40Z.
    """

    def __init__(self, api: Jobs, rate: float = 20, burst: int = 20, ahead: float = 0, **kwargs: Any) -> None:
        self.api = api
        self.frozen: dict[str, dict[str, Any]] | None = None
        self.results: list[str] = []
        self.store = ReportStore(now, lambda: 1e9 + now() + ahead, min_interval=5)
        kwargs.setdefault("urgent", TokenBucket(100, 100, clock=now))
        self.flusher = Flusher(
            self.store,
            api,
            self.lookup,
            limiter=TokenBucket(rate, burst, clock=now),
            backoff=Backoff(base=1, limit=60, rand=lambda: 1.0),
            clock=now,
            on_flush=lambda result, _seconds: self.results.append(result),
            **kwargs,
        )

    def freeze(self) -> None:
        self.frozen = copy.deepcopy(self.api.jobs)

    def lookup(self, uid: str) -> StatusFact | None:
        jobs = self.api.jobs if self.frozen is None else self.frozen
        return next((StatusFact.of(job) for job in jobs.values() if job["metadata"]["uid"] == uid), None)

    def put(self, name: str, sequence: int, **kwargs: Any) -> None:
        fields: dict[str, Any] = {"generation": 1, "incarnation": 1, "state": "Running"} | kwargs
        fields.setdefault("training", Training(step=sequence))
        self.store.put(f"u-{name}", "ns", name, Report("chief-0", sequence=sequence, **fields))


@asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(replica.flusher.run()) for replica in replicas]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), "a flusher ended by itself"
