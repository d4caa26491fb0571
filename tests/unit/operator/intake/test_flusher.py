"""The flusher in fake time, against an API server with optimistic locks and a second replica."""

import asyncio
from collections.abc import Mapping
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.jobs_api import Jobs, Replica, now, running
from trainingjob_operator.api.contract import Training
from trainingjob_operator.intake.flusher import Joined
from trainingjob_operator.intake.store import Order
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.limiter import TokenBucket

pytestmark = pytest.mark.looptime


async def test_the_first_report_is_shown_at_once_and_the_next_ones_seldom() -> None:
    api = Jobs("a")
    replica = Replica(api)
    async with running(replica):
        began = now()
        for sequence in range(60):
            replica.put("a", sequence)
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
    times = [round(when - began, 1) for when, _, _ in api.log]
    assert times == [0, 5, 10, 15, 20, 25, 30]
    assert api.order("a") == (1, 1, 59)
    assert api.jobs["a"]["status"]["training"]["step"] == 59
    assert api.jobs["a"]["status"]["phase"] == "Running"
    assert api.gets == 0


async def test_a_change_of_state_and_the_last_report_do_not_wait() -> None:
    api = Jobs("a")
    replica = Replica(api)
    async with running(replica):
        replica.put("a", 0, state="Forming")
        await asyncio.sleep(1)
        replica.put("a", 1)
        await asyncio.sleep(1)
        replica.put("a", 2, state="Succeeded", final=True)
        began = now()
        await asyncio.sleep(1)
        assert api.log[-1][0] == pytest.approx(began)
        assert api.order("a") == (1, 1, 2)


async def test_all_jobs_together_keep_to_the_global_rate_and_urgent_ones_go_first() -> None:
    names = [f"j{number}" for number in range(40)]
    api = Jobs(*names)
    replica = Replica(api, rate=2, burst=1)
    async with running(replica):
        for name in names:
            replica.put(name, 0)
        await asyncio.sleep(60)
        first = len(api.log)
        for name in names:
            replica.put(name, 1)
        await asyncio.sleep(9.9)
        assert len(api.log) - first == 20
        began = now()
        replica.put("j39", 2, state="Failed", final=True)
        await asyncio.sleep(0.1)
        assert ("j39", began) in [(name, at) for at, name, _ in api.log[-2:]]


async def test_urgent_ones_have_a_rate_of_their_own() -> None:
    """A thousand jobs begin: each of them is shown soon, however many others have numbers to show."""
    names = [f"j{number}" for number in range(40)]
    api = Jobs(*names)
    replica = Replica(api, rate=2, burst=1, urgent=TokenBucket(10, 10, clock=now))
    async with running(replica):
        for name in names:
            replica.put(name, 0)
        await asyncio.sleep(0.1)
        assert len(api.log) == 10
        await asyncio.sleep(3)
        assert len(api.log) == 40


async def test_a_server_that_is_slow_is_asked_less_for_numbers_alone() -> None:
    names = [f"j{number}" for number in range(100)]
    api = Jobs(*names)
    replica = Replica(api, rate=20, burst=1)
    rates = []
    async with running(replica):
        for name in names:
            replica.put(name, 0)
        await asyncio.sleep(10)
        for sequence, delay in enumerate((0.01, 0.1, 1.0), start=1):
            api.delay = delay
            for name in names:
                replica.put(name, sequence)
            await asyncio.sleep(1)  # what was resting is over it
            before = len(api.log)
            await asyncio.sleep(3)
            rates.append((len(api.log) - before) / 3)
            await asyncio.sleep(200)
    assert rates[0] == pytest.approx(20, rel=0.1)
    assert 4 < rates[1] < 6
    assert rates[2] < 3
    assert all(api.order(name) == (1, 1, 3) for name in names)


async def test_what_begins_a_phase_goes_with_it_in_one_write() -> None:
    api = Jobs("a")
    asked: list[tuple[str, str]] = []
    told: list[str] = []

    def companion(uid: str, version: str, status: Mapping[str, Any]) -> Joined:
        asked.append((version, status["training"]["state"]))
        rest = {"phase": "Restarting", "startTime": status["startTime"], "display": {"members": "1/2", "loss": "?"}}
        return Joined(rest, lambda: told.append(uid))

    replica = Replica(api, companion=companion)
    async with running(replica):
        replica.put("a", 0, training=Training(step=1, metrics={"loss": 0.5}))
        await asyncio.sleep(1)
        replica.put("a", 1, training=Training(step=2, metrics={"loss": 0.25}))
        await asyncio.sleep(10)
    assert asked == [("1", "Running")], "numbers alone concern nobody else"
    assert told == ["u-a"]
    assert api.managers == ["trainingjob-operator", "trainingjob-operator-intake"]
    status = api.jobs["a"]["status"]
    assert (status["phase"], status["training"]["step"]) == ("Restarting", 2)
    assert (status["display"]["members"], status["display"]["loss"]) == ("1/2", "0.25")


async def test_the_companion_is_told_of_no_write_that_failed() -> None:
    api = Jobs("a")
    told: list[str] = []
    api.fail = [ApiError(409, "Conflict"), ApiError(500, "InternalError")]
    replica = Replica(api, companion=lambda uid, _v, status: Joined(status, lambda: told.append(uid)))
    async with running(replica):
        replica.put("a", 0)
        await asyncio.sleep(0.5)
        assert told == []
        await asyncio.sleep(5)
    assert told == ["u-a"]


async def test_a_slow_write_does_not_hold_the_others_up() -> None:
    api = Jobs("a", "b", "c")
    api.delay = 25
    replica = Replica(api)
    async with running(replica):
        began = now()
        for name in "abc":
            replica.put(name, 0)
        await asyncio.sleep(26)
        assert [round(when - began) for when, _, _ in api.log] == [25, 25, 25]


async def test_a_later_report_of_the_other_replica_is_never_overwritten() -> None:
    api = Jobs("a")
    slow, fast = Replica(api), Replica(api)
    slow.freeze()
    async with running(slow, fast):
        fast.put("a", 6)
        await asyncio.sleep(1)
        slow.put("a", 5)  # its cache still shows no report at all
        await asyncio.sleep(1)
    assert [order for _, _, order in api.log] == [(1, 1, 6)] * 2, "its point goes into the history, and that is all"
    training = api.jobs["a"]["status"]["training"]
    assert training["step"] == 6
    assert [point["step"] for point in training["history"]] == [5, 6]
    assert not slow.store.dirty("u-a")
    assert api.gets == 1


async def test_a_stale_cache_costs_one_read_and_no_report() -> None:
    api = Jobs("a")
    replica = Replica(api)
    replica.freeze()
    api.touch("a")
    async with running(replica):
        replica.put("a", 3)
        await asyncio.sleep(1)
    assert (api.order("a"), api.gets, replica.results) == ((1, 1, 3), 1, ["written"])


async def test_what_the_status_shows_already_is_not_written_again() -> None:
    api = Jobs("a")
    first, second = Replica(api), Replica(api)
    async with running(first, second):
        first.put("a", 3)
        await asyncio.sleep(1)
        second.put("a", 3)
        await asyncio.sleep(1)
    assert len(api.log) == 1
    assert second.results == ["skipped"]


@pytest.mark.parametrize("made_again", [True, False])
async def test_a_job_that_is_gone_is_dropped_and_its_successor_left_alone(made_again: bool) -> None:
    api = Jobs("a")
    replica = Replica(api)
    replica.freeze()
    del api.jobs["a"]
    if made_again:
        api.make("a", uid="u-successor")
    async with running(replica):
        replica.put("a", 3)
        await asyncio.sleep(1)
    assert replica.results == ["gone"]
    assert api.log == []
    assert len(replica.store) == 0


async def test_a_job_that_the_cache_does_not_know_yet_is_read() -> None:
    api = Jobs("a")
    replica = Replica(api)
    replica.frozen = {}
    async with running(replica):
        replica.put("a", 3)
        await asyncio.sleep(1)
    assert api.order("a") == (1, 1, 3)


async def test_errors_are_tried_again_with_growing_pauses_and_newer_reports_go_along() -> None:
    api = Jobs("a")
    replica = Replica(api)
    api.fail = [ApiError(500, "InternalError") for _ in range(3)]
    async with running(replica):
        began = now()
        replica.put("a", 3)
        await asyncio.sleep(0.5)
        replica.put("a", 4)
        await asyncio.sleep(20)
    assert [(round(when - began), order) for when, _, order in api.log] == [(7, (1, 1, 4))]
    assert replica.results == ["failed"] * 3 + ["written"]


async def test_a_defect_does_not_end_the_flusher(caplog: pytest.LogCaptureFixture) -> None:
    api = Jobs("a", "b")
    replica = Replica(api)
    lookup, replica.flusher._lookup = replica.flusher._lookup, lambda uid: 1 / 0  # type: ignore[assignment]
    async with running(replica):
        replica.put("a", 3)
        await asyncio.sleep(0.5)
        replica.flusher._lookup = lookup
        await asyncio.sleep(5)
    assert api.order("a") == (1, 1, 3)
    assert "ZeroDivisionError" in caplog.text


async def test_flush_now_does_not_wait_for_the_interval() -> None:
    api = Jobs("a")
    replica = Replica(api)
    async with running(replica):
        replica.put("a", 0)
        await asyncio.sleep(1)
        replica.put("a", 1)
        assert await replica.flusher.flush_now("u-a")
        assert api.order("a") == (1, 1, 1)
        assert await replica.flusher.flush_now("u-a")
        assert await replica.flusher.flush_now("u-nobody")
        assert len(api.log) == 2


async def test_flush_now_waits_for_a_write_under_way_and_writes_what_came_since() -> None:
    api = Jobs("a")
    api.delay = 2
    replica = Replica(api)
    async with running(replica):
        replica.put("a", 0)
        await asyncio.sleep(1)
        replica.put("a", 1)
        assert await replica.flusher.flush_now("u-a")
    assert [order for _, _, order in api.log] == [(1, 1, 0), (1, 1, 1)]


async def test_flush_now_says_when_it_did_not_work() -> None:
    api = Jobs("a")
    replica = Replica(api)
    api.fail = [ApiError(500, "InternalError")]
    replica.put("a", 0)
    assert not await replica.flusher.flush_now("u-a")
    assert await replica.flusher.flush_now("u-a")


async def test_drain_writes_what_is_left_within_its_time() -> None:
    names = [f"j{number}" for number in range(10)]
    api = Jobs(*names)
    api.delay = 1
    replica = Replica(api)
    for name in names:
        replica.put(name, 0)
    assert await replica.flusher.drain(4.5) == 6
    assert len(api.log) == 4


# --- Two replicas, any order, any fault ---

EVENTS = st.lists(
    st.tuples(
        st.floats(0, 4),  # pause
        st.integers(0, 1),  # replica
        st.integers(0, 30),  # sequence
        st.integers(1, 2),  # generation
        st.booleans(),  # the replica's cache freezes here, or thaws
        st.booleans(),  # the reconciler writes
        st.booleans(),  # the API server fails once
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(events=EVENTS, delay=st.floats(0, 3))
def test_the_status_only_moves_forward_and_ends_with_the_latest(events: list[Any], delay: float) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(check_order(events, delay))
    finally:
        loop.close()


async def check_order(events: list[Any], delay: float) -> None:
    api = Jobs("a")
    api.delay = delay
    replicas = [Replica(api), Replica(api)]
    latest: list[Order] = []
    async with running(*replicas):
        for pause, which, sequence, generation, freeze, reconcile, fail in events:
            await asyncio.sleep(pause)
            replica = replicas[which]
            if freeze:
                replica.freeze()
            else:
                replica.frozen = None
            if reconcile:
                api.touch("a")
            if fail:
                api.fail.append(ApiError(503, "ServiceUnavailable"))
            replica.put("a", sequence, generation=generation)
            latest.append((1, generation, sequence))
        await asyncio.sleep(60 * (len(events) + 5))  # each failure may cost the longest back-off
    orders = [order for _, _, order in api.log]
    assert orders == sorted(orders), "an older report was written over a later one"
    if latest:
        assert orders[-1] == max(latest)
    assert all(replica.store.dirty_count == 0 for replica in replicas)
