"""The work queue: one look for many events, one worker for a key, nothing lost, back-off that grows and is forgotten.

Time is the fake time of looptime: no test waits.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_operator.runtime.queue import QueueClosedError, WorkQueue

pytestmark = pytest.mark.looptime


def middle() -> float:
    """A source of randomness that makes back-offs 0.75 of their ceiling."""
    return 0.5


async def test_many_adds_cost_one_look() -> None:
    queue = WorkQueue[str]()
    for _ in range(100):
        queue.add("a")
    queue.add("b")
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0
    assert queue.working == 2


async def test_an_add_during_work_costs_exactly_one_more_look_afterwards() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    key = await queue.get()
    for _ in range(5):
        queue.add(key)
    assert len(queue) == 0, "no second worker may get the key now"
    queue.done(key)
    assert await queue.get() == key
    queue.done(key)
    assert len(queue) == 0


async def test_get_waits_for_an_add() -> None:
    queue = WorkQueue[str]()
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not getter.done()
    queue.add("a")
    assert await getter == "a"


async def test_the_earliest_of_several_delays_counts() -> None:
    loop = asyncio.get_running_loop()
    queue = WorkQueue[str]()
    began = loop.time()
    queue.add_after("a", 60)
    queue.add_after("a", 5)
    queue.add_after("a", 30)
    assert (len(queue), queue.delayed) == (0, 1)
    await queue.get()
    assert loop.time() - began == pytest.approx(5)
    queue.done("a")
    assert queue.delayed == 0


async def test_a_delay_that_is_over_adds_at_once() -> None:
    queue = WorkQueue[str]()
    queue.add_after("a", 0)
    queue.add_after("b", -3)
    assert len(queue) == 2


async def test_back_off_doubles_up_to_the_limit_and_is_forgotten() -> None:
    queue = WorkQueue[str](base=1, limit=5, rand=middle)
    assert [queue.retry("a") for _ in range(5)] == [0.75, 1.5, 3.0, 3.75, 3.75]
    assert queue.retry("b") == 0.75, "back-off is per key"
    queue.forget("a")
    assert queue.retry("a") == 0.75


async def test_back_off_does_not_overflow() -> None:
    queue = WorkQueue[str](base=1, limit=300, rand=middle)
    for _ in range(2000):
        seconds = queue.retry("a")
    assert seconds == 225


async def test_dropped_keys_have_no_timer_and_no_back_off() -> None:
    queue = WorkQueue[str](base=1, rand=middle)
    queue.retry("a")
    queue.drop("a")
    assert queue.delayed == 0
    assert queue.retry("a") == 0.75


async def test_done_without_get_is_a_defect() -> None:
    queue = WorkQueue[str]()
    with pytest.raises(ValueError, match="not in work"):
        queue.done("a")


async def test_shutdown_wakes_workers_and_stops_timers() -> None:
    queue = WorkQueue[str]()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    queue.add_after("late", 10)
    await asyncio.sleep(0)
    queue.shutdown()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, QueueClosedError) for result in results)
    queue.add("a")
    queue.add_after("a", 1)
    assert (len(queue), queue.delayed) == (0, 0)
    with pytest.raises(QueueClosedError):
        await queue.get()


async def test_a_cancelled_worker_takes_no_key_with_it() -> None:
    queue = WorkQueue[str]()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()  # it was already woken for the key
    assert await asyncio.wait_for(second, 1) == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


# --- Properties ---

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "after"]),
        st.integers(0, 3),  # key
        st.floats(0, 3),  # delay
        st.floats(0, 1),  # pause before the event
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS, workers=st.integers(1, 3), failures=st.lists(st.booleans(), max_size=10), work=st.floats(0, 2))
def test_every_wish_is_followed_by_a_look_and_no_key_is_in_two_hands(
    events: list[tuple[str, int, float, float]], workers: int, failures: list[bool], work: float
) -> None:
    run_in_fake_time(check_properties(events, workers, list(failures), work))


async def check_properties(
    events: list[tuple[str, int, float, float]], workers: int, failures: list[bool], work: float
) -> None:
    loop = asyncio.get_running_loop()
    queue = WorkQueue[int](base=0.1, limit=1)
    in_hand: Counter[int] = Counter()
    began_last: dict[int, float] = {}
    wished_last: dict[int, float] = {}
    looks = 0

    async def worker() -> None:
        nonlocal looks
        while True:
            try:
                key = await queue.get()
            except QueueClosedError:
                return
            in_hand[key] += 1
            assert in_hand[key] == 1, f"{key} is in two hands"
            began_last[key] = loop.time()
            looks += 1
            await asyncio.sleep(work)
            if failures and failures.pop():
                queue.retry(key)
                wished_last[key] = loop.time()
            else:
                queue.forget(key)
            in_hand[key] -= 1
            queue.done(key)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(worker())
        wishes = 0
        for kind, key, delay, pause in events:
            await asyncio.sleep(pause)
            wishes += 1
            wished_last[key] = loop.time()
            if kind == "add":
                queue.add(key)
            else:
                queue.add_after(key, delay)
        await asyncio.sleep(1000)
        assert (len(queue), queue.working, queue.delayed) == (0, 0, 0)
        queue.shutdown()
    for key, when in wished_last.items():
        assert began_last[key] >= when, f"{key} was not looked at after the last wish"
    assert set(began_last) == {key for _, key, _, _ in events}
    assert looks <= wishes + 10


def run_in_fake_time(coroutine: Coroutine[Any, Any, None]) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
