"""Workers that lost their chief, and those that only say so: two replicas, a status, and a reconciler that waits."""

import asyncio
import functools
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.jobs_api import Jobs, Replica, now, running
from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.core.observe import parse_time
from trainingjob_operator.intake.gang import patience

START = 1e9
REPLACE_AFTER = 10.0


class Reconciler:
    """Replaces a chief that has been called lost for so long, as the reconciler does."""

    def __init__(self, api: Jobs, interval: float) -> None:
        self.api = api
        self.wait = max(REPLACE_AFTER, 2 * interval)
        self.replaced_at: float | None = None

    def look(self) -> None:
        notice = (self.api.jobs["a"]["status"].get("gang") or {}).get("chiefLost")
        since = parse_time(notice["since"]) if notice else None
        if since is not None and START + now() - since.timestamp() >= self.wait and self.replaced_at is None:
            self.replaced_at = now()


def report(replica: Replica, sequence: int, *, news: bool = True) -> None:
    """Report as the server lets it in: it knows what the status says, as the watch told."""
    status = replica.api.jobs["a"]["status"]
    training = Training(step=sequence if news else 1)
    message = Report("chief-0", 1, 1, sequence, "Running", training=training, size=2)
    replica.store.put("u-a", "ns", "a", message, refutes="chiefLost" in (status.get("gang") or {}))


def notice(replica: Replica, interval: float) -> None:
    heard = parse_time((replica.api.jobs["a"]["status"].get("training") or {}).get("lastReportTime"))
    heard_at = heard.timestamp() if heard is not None else None
    replica.store.miss("u-a", "ns", "a", 1, "worker-0", heard_at, patience(interval))


async def story(interval: float, *, news: bool, liar: int, dies_at: float | None, until: float, phase: float) -> Any:
    """One chief reports to the first replica; a worker calls it lost at the replica `liar`, each 2 s."""
    api = Jobs()
    api.make("a", intervalSeconds=int(interval))
    replicas = [Replica(api), Replica(api)]
    reconciler = Reconciler(api, interval)

    async def chief() -> None:
        sequence = 0
        while dies_at is None or now() < dies_at:
            sequence += 1
            report(replicas[0], sequence, news=news)
            await asyncio.sleep(interval)

    async def worker() -> None:
        await asyncio.sleep(phase if dies_at is None else dies_at + 2 + phase)
        while True:
            notice(replicas[liar], interval)
            await asyncio.sleep(2)

    async def watch() -> None:
        while True:
            reconciler.look()
            await asyncio.sleep(0.5)

    async with running(*replicas):
        tasks = [asyncio.create_task(part()) for part in (chief, worker, watch)]
        await asyncio.sleep(until)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return api, reconciler


def play(**kwargs: Any) -> Any:
    loop = looptime.new_event_loop()
    try:
        return loop.run_until_complete(story(**kwargs))
    finally:
        loop.close()


@settings(max_examples=25, deadline=None)
@given(
    interval=st.sampled_from([1, 2, 5, 7, 10, 15, 30, 60]),
    news=st.booleans(),
    liar=st.integers(0, 1),
    phase=st.floats(0, 40),
)
def test_a_chief_that_reports_is_never_replaced_whatever_a_worker_says(
    interval: int, news: bool, liar: int, phase: float
) -> None:
    api, reconciler = play(interval=interval, news=news, liar=liar, dies_at=None, until=400, phase=phase)
    assert reconciler.replaced_at is None
    writes = len(api.log)
    assert writes <= quiet_writes(interval, news) + 20, "what a liar costs is bounded: two writes a minute"


@functools.cache
def quiet_writes(interval: int, news: bool) -> int:
    """How many writes the chief costs when no worker says anything."""
    api, _ = play(interval=interval, news=news, liar=0, dies_at=None, until=400, phase=1e6)
    return len(api.log)


@settings(max_examples=40, deadline=None)
@given(
    interval=st.sampled_from([1, 2, 5]),
    news=st.booleans(),
    at=st.integers(0, 1),
    dies_at=st.floats(20, 60),
    phase=st.floats(0, 2),
)
def test_a_chief_that_is_gone_is_replaced_in_time(
    interval: int, news: bool, at: int, dies_at: float, phase: float
) -> None:
    """Of the 30 s that a dead node may cost, 20 for all of this, whichever replica is told."""
    _, reconciler = play(interval=interval, news=news, liar=at, dies_at=dies_at, until=150, phase=phase)
    assert reconciler.replaced_at is not None
    assert reconciler.replaced_at - dies_at <= REPLACE_AFTER + max(patience(interval), 4.0) + 2.0 + 1.5


@pytest.mark.looptime
async def test_the_status_says_who_lost_whom_since_when_and_takes_it_back() -> None:
    api = Jobs()
    api.make("a", intervalSeconds=1)
    replica = Replica(api)
    async with running(replica):
        report(replica, 1)
        await asyncio.sleep(4)
        notice(replica, 1)
        await asyncio.sleep(0.1)
        assert api.jobs["a"]["status"]["gang"] == {
            "size": 2, "chiefLost": {"incarnation": 1, "member": "worker-0", "since": "2001-09-09T01:46:44Z"},
        }  # fmt: skip
        training = api.jobs["a"]["status"]["training"]
        assert (training["state"], training["step"], training["sequence"]) == ("Running", 1, 1)
        writes = len(api.log)
        await asyncio.sleep(2)
        notice(replica, 1)
        await asyncio.sleep(1)
        assert len(api.log) == writes, "said again, it costs nothing"
        report(replica, 2)
        await asyncio.sleep(0.1)
        assert api.jobs["a"]["status"]["gang"] == {"size": 2}


@pytest.mark.looptime
async def test_of_a_job_that_never_reported_the_loss_is_shown_and_the_report_then_too() -> None:
    api = Jobs("a")
    replica = Replica(api)
    async with running(replica):
        notice(replica, 5)
        await asyncio.sleep(0.1)
        status = api.jobs["a"]["status"]
        assert status["gang"]["chiefLost"]["since"] == "2001-09-09T01:46:40Z"
        assert "training" not in status
        await asyncio.sleep(30)
        assert replica.store.dirty_count == 0
        message = Report("chief-0", 2, 1, 1, "Forming")
        replica.store.put("u-a", "ns", "a", message)
        await asyncio.sleep(0.1)
        assert "gang" not in api.jobs["a"]["status"]
        assert api.order("a") == (2, 1, 1)
