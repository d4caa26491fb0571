"""A thousand jobs that report: their writes are bounded, nobody starves, and what people wait for goes first."""

import asyncio
import bisect
import copy
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.unit.operator.intake.jobs_api import Jobs, Replica, now, running
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.runtime.jobs import JobCache

pytestmark = pytest.mark.looptime
JOBS, RATE, INTERVAL = 1000, 20, 5.0


async def report_all(replica: Replica, names: list[str], seconds: float, first: int = 1) -> None:
    """Let every job report each five seconds, evenly one after the other, as their launchers do."""
    for sequence in range(first, first + int(seconds / INTERVAL)):
        for name in names:
            replica.put(name, sequence)
            await asyncio.sleep(INTERVAL / len(names))


async def test_a_thousand_jobs_keep_to_the_rate_and_every_one_is_written_in_turn() -> None:
    names = [f"j{number}" for number in range(JOBS)]
    api = Jobs(*names)
    api.delay = 0.02
    replica = Replica(api, rate=RATE, burst=RATE)
    async with running(replica):
        await report_all(replica, names, 20)  # the first ones have a rate of their own
        first = len(api.log)
        await report_all(replica, names, 100, first=5)
    log = api.log[first:]
    times = [when for when, _, _ in log]
    begins = [when - api.delay for when in times]
    for window in (1.0, 10.0, 50.0):
        most = max(bisect.bisect(begins, begin + window) - number for number, begin in enumerate(begins))
        assert most <= RATE * window + RATE + 1, f"in {window} s"
    assert len(times) >= 0.98 * RATE * 100, "the rate is used, not only kept"
    writes = Counter(name for _, name, _ in log)
    assert set(writes) == set(names)
    assert max(writes.values()) - min(writes.values()) <= 1, "in turn"
    # 50 s from turn to turn, and still every report of them is in the history
    for name in ("j0", "j500", "j999"):
        shown = api.jobs[name]["status"]["training"]
        assert [point["step"] for point in shown["history"]] == list(range(1, shown["step"] + 1))


async def test_first_and_last_reports_do_not_wait_behind_a_thousand_others() -> None:
    names = [f"j{number}" for number in range(JOBS)]
    api = Jobs(*names, "new")
    replica = Replica(api, rate=RATE, burst=RATE)

    def written(name: str) -> list[float]:
        return [when for when, written, _ in api.log if written == name]

    async with running(replica):
        await report_all(replica, names, 50)
        others = asyncio.create_task(report_all(replica, names, 20, first=100))
        await asyncio.sleep(10)
        began = now()
        replica.put("new", 1)
        await asyncio.sleep(1)
        assert written("new")[0] - began <= 3 / RATE, "the first"
        replica.put("new", 2)
        await asyncio.sleep(4)
        ended = now()
        replica.put("new", 3, state="Succeeded", final=True)
        await asyncio.sleep(1)
        assert written("new")[-1] - ended <= 3 / RATE, "the last"
        await others
    assert api.order("new") == (1, 1, 3)


async def test_a_few_jobs_are_written_each_five_seconds_whatever_they_report() -> None:
    names = [f"j{number}" for number in range(20)]
    api = Jobs(*names)
    replica = Replica(api, rate=RATE, burst=RATE)
    async with running(replica):
        for sequence in range(600):
            for name in names:
                replica.put(name, sequence)
            await asyncio.sleep(0.1)
    for name in names:
        times = [when for when, written, _ in api.log if written == name]
        assert len(times) == 12
        assert all(after - before == pytest.approx(INTERVAL, abs=0.11) for before, after in pairwise(times))


async def test_no_reconcile_comes_of_it_and_none_waits() -> None:
    """What the flusher writes comes back through the watch: it is no news to the reconciler, nor costs its budget."""
    names = [f"j{number}" for number in range(JOBS)]
    api = Jobs(*names)
    wakes: list[str] = []
    cache = JobCache(wakes.append)
    for name in names:
        cache.put(copy.deepcopy(api.jobs[name]))
    replica = Replica(api, rate=RATE, burst=RATE, remember=cache.put)
    reconciles = TokenBucket(50, 100, clock=now)
    waits: list[float] = []

    async def reconcile() -> None:
        while True:
            began = now()
            await reconciles.acquire()
            waits.append(now() - began)
            await asyncio.sleep(0.1)

    async with running(replica):
        await report_all(replica, names, 50)  # the first reports: that a generation formed is news
        await asyncio.sleep(30)
        assert len(wakes) == 2 * JOBS
        wakes.clear()
        task = asyncio.create_task(reconcile())
        await report_all(replica, names, 30, first=100)
        task.cancel()
    assert len(api.log) >= 1500
    assert wakes == []
    assert max(waits) == 0
    assert len(waits) > 250


def changes(cache_of: Callable[[Callable[[str], None]], JobCache], **status: object) -> int:
    told: list[str] = []
    cache = cache_of(told.append)
    body = {
        "metadata": {"uid": "u", "name": "a", "namespace": "ns", "resourceVersion": "1"},
        "status": {"phase": "R"},
    }
    cache.put(body)
    told.clear()
    cache.put({**body, "metadata": {**body["metadata"], "resourceVersion": "2"}, "status": {"phase": "R", **status}})
    return len(told)


async def test_only_what_concerns_the_reconciler_wakes_it() -> None:
    point = {"time": "2026-01-01T00:00:00Z", "step": 1}
    assert changes(JobCache, training={"step": 5, "best": {"loss": {"value": 1}}, "history": [point]}) == 0
    assert changes(JobCache, telemetry={"cpuCores": 1}, goodput={"ratio": 1}, display={"goodput": "1%"}) == 0
    assert changes(JobCache, training={"generation": 2}) == 1
    assert changes(JobCache, phase="S") == 1
