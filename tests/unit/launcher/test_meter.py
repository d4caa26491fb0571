"""The threads that measure: they tell the event loop, end when they are asked, and don't ask twice for GPUs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from trainingjob_launcher.contract import MemberUsage
from trainingjob_launcher.meter import Meter


@pytest.fixture(autouse=True)
def nobody_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def meter(told: asyncio.Queue[tuple[MemberUsage, int]], interval: float = 0.1, in_container: bool = False) -> Meter:
    def take(usage: MemberUsage) -> None:
        told.put_nowait((usage, threading.get_ident()))

    return Meter("worker-3", interval, in_container, {"NVIDIA_VISIBLE_DEVICES": "MIG-x"}, take)


@pytest.mark.parametrize("in_container", [False, True])
async def test_it_tells_in_the_event_loop_again_and_again(in_container: bool) -> None:
    told: asyncio.Queue[tuple[MemberUsage, int]] = asyncio.Queue()
    measuring = meter(told, in_container=in_container)
    for _ in range(2):
        usage, thread = await asyncio.wait_for(told.get(), 10)
        assert thread == threading.get_ident()
        assert usage.member == "worker-3"
        assert usage.cpu_cores is not None  # from the first time on: it is told after a whole interval
        assert usage.memory_bytes
        assert usage.gpus == ()
    assert measuring.stop()


async def test_it_ends_at_once_however_long_the_interval_is() -> None:
    assert meter(asyncio.Queue(), interval=3600.0).stop()


async def test_without_gpus_nobody_asks_twice() -> None:
    measuring = meter(asyncio.Queue(), interval=3600.0)
    (asking,) = [thread for thread in threading.enumerate() if thread.name == "gpus"] or [None]
    if asking is not None:  # else it is gone already
        asking.join(10)
        assert not asking.is_alive()
    assert measuring.stop()


def test_it_outlives_its_loop_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    async def begin() -> Meter:
        return meter(asyncio.Queue(), interval=0.05)

    measuring = asyncio.run(begin())
    (watching,) = [thread for thread in threading.enumerate() if thread.name == "usage"]
    watching.join(10)
    assert not watching.is_alive()
    assert measuring.stop()
    assert capfd.readouterr().err == ""
