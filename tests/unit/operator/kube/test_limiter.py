"""The token bucket, in fake time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.limiter import TokenBucket


@pytest.mark.looptime
async def test_a_burst_passes_at_once_and_the_rest_in_order_at_the_rate() -> None:
    loop = asyncio.get_running_loop()
    bucket = TokenBucket(rate=2, burst=3, clock=loop.time)
    began = loop.time()
    passed: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await bucket.acquire()
        passed.append((number, round(loop.time() - began, 3)))

    await asyncio.gather(*(one(number) for number in range(6)))
    assert passed == [(0, 0), (1, 0), (2, 0), (3, 0.5), (4, 1.0), (5, 1.5)]


@pytest.mark.looptime
async def test_a_cancelled_waiter_gives_its_token_back() -> None:
    loop = asyncio.get_running_loop()
    bucket = TokenBucket(rate=1, burst=1, clock=loop.time)
    await bucket.acquire()
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    assert bucket.try_take() == pytest.approx(1)


@given(steps=st.lists(st.floats(0, 5), max_size=50), rate=st.floats(0.1, 10), burst=st.integers(1, 5))
def test_never_more_than_rate_times_time_plus_burst(steps: list[float], rate: float, burst: int) -> None:
    now = 0.0
    bucket = TokenBucket(rate, burst, clock=lambda: now)
    taken = 0
    for step in steps:
        now += step
        wait = bucket.try_take()
        taken += wait == 0
        assert wait == 0 or wait <= 1 / rate + 1e-9
        assert taken <= burst + rate * now + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1)])
def test_nonsense_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate, burst)


@given(attempt=st.integers(0, 10_000), rand=st.floats(0, 1))
def test_back_off_is_bounded(attempt: int, rand: float) -> None:
    assert 0.125 <= Backoff(base=0.25, limit=15, rand=lambda: rand).seconds(attempt) <= 15
