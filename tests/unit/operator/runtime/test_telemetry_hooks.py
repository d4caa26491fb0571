"""What the operator's parts tell telemetry, and what it may ask them."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.operator.core.builders import job
from trainingjob_operator import __version__
from trainingjob_operator.core.plan import Event
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.runtime.events import MAX_WAITING, EventRecorder
from trainingjob_operator.runtime.queue import WorkQueue
from trainingjob_operator.runtime.telemetry_sources import JobsWatch
from trainingjob_operator.runtime.workers import work

pytestmark = pytest.mark.looptime
ROOT = Path(__file__).resolve().parents[4]


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_each_look_at_a_job_is_told_with_its_end_and_its_seconds() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue()
    heard: list[tuple[str, float]] = []
    faults: dict[str, Exception] = {"refused": ApiError(500), "broken": ValueError("x")}

    async def reconcile(uid: str) -> None:
        clock.now += 2.5
        if uid in faults:
            raise faults.pop(uid)

    for uid in ("fine", "refused", "broken"):
        queue.add(uid)
    worker = asyncio.create_task(work(queue, reconcile, lambda *said: heard.append(said), clock))
    await asyncio.sleep(0.1)
    queue.shutdown()
    await worker
    assert heard == [("done", 2.5), ("api_error", 2.5), ("defect", 2.5)]


async def test_the_oldest_wait_is_of_who_has_waited_for_a_worker_longest() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    assert queue.oldest_wait() == 0
    queue.add("a")
    clock.now += 2
    queue.add("b")
    queue.add("a")
    assert queue.oldest_wait() == 2
    assert await queue.get() == "a"
    clock.now += 1
    assert queue.oldest_wait() == 1
    queue.add("a")  # it is in work: it does not wait for a worker
    assert await queue.get() == "b"
    assert queue.oldest_wait() == 0
    clock.now += 5
    queue.done("a")
    assert queue.oldest_wait() == 0
    clock.now += 3
    assert queue.oldest_wait() == 3


class Api:
    """An API server that answers creates as it is told."""

    def __init__(self, *answers: ApiError | None) -> None:
        self._answers = list(answers)

    async def create(self, resource: Any, body: Any, namespace: str | None = None) -> Any:
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer


async def test_what_became_of_each_event_is_told() -> None:
    heard: list[str] = []
    recorder = EventRecorder(Api(None, ApiError(409), ApiError(403)), "pod-a", heard.append)
    for reason in ("A", "B", "C"):
        recorder.tell(job(), Event(reason, "x"))
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(1)
    running.cancel()
    assert heard == ["posted", "repeated", "failed"]


async def test_events_that_no_longer_fit_are_told() -> None:
    heard: list[str] = []
    recorder = EventRecorder(Api(), "pod-a", heard.append)
    for _ in range(MAX_WAITING + 2):
        recorder.tell(job(), Event("A", "x"))
    assert heard == ["dropped", "dropped"]


def test_jobs_are_heard_through_the_watch_and_through_the_list() -> None:
    clock = Clock()
    watch = JobsWatch(clock)
    clock.now += 30
    assert (watch.age(), watch.relists) == (30, 0)
    watch.heard()
    clock.now += 4
    assert (watch.age(), watch.relists) == (4, 0)
    watch.listed()
    assert (watch.age(), watch.relists) == (0, 1)


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((ROOT / "charts/trainingjob-operator/Chart.yaml").read_text(encoding="utf-8"))
    assert __version__ == project["version"] == chart["appVersion"]
