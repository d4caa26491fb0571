"""What is told of jobs before they run: of a few at once, of many in turn, of none that runs by then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.names import Phase
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.runtime.early_status import EarlyStatus


class World:
    def __init__(self, rate: float = 5, burst: int = 2) -> None:
        self.now = 100.0
        self.early = EarlyStatus(TokenBucket(rate, burst, clock=lambda: self.now), lambda: self.now)


def test_of_a_few_jobs_every_phase_is_told_at_once() -> None:
    world = World(burst=2)
    assert world.early.wait("a", None, Phase.PENDING) == 0
    assert world.early.wait("a", Phase.PENDING, Phase.STARTING) == 0
    assert not world.early.waits("a")


def test_of_many_each_waits_for_its_turn_and_takes_it_once() -> None:
    world = World(rate=5, burst=1)
    waits = [world.early.wait(uid, None, Phase.PENDING) for uid in "abc"]
    assert waits == pytest.approx([0, 0.2, 0.4])
    assert [world.early.waits(uid) for uid in "abc"] == [False, True, True]
    world.now += 0.1
    assert world.early.wait("b", None, Phase.STARTING) == pytest.approx(0.1), "asking again is no other turn"
    world.now += 0.125
    assert world.early.wait("b", None, Phase.STARTING) == 0
    assert not world.early.waits("b")


def test_a_job_that_runs_or_ends_waits_for_nobody() -> None:
    world = World(burst=1)
    for uid in "ab":
        world.early.wait(uid, None, Phase.PENDING)
    for written, wanted in (
        (None, Phase.RUNNING),
        (Phase.PENDING, Phase.FAILED),
        (Phase.RUNNING, Phase.RESTARTING),
        (None, Phase.INVALID),
        (Phase.SUSPENDED, Phase.PENDING),
        (Phase.RESTARTING, Phase.PENDING),
    ):
        assert world.early.wait("b", written, wanted) == 0
    assert len(world.early) == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 3)), max_size=60))
def test_it_is_never_forgotten_nor_written_more_often_than_the_rate(steps: list[tuple[str, float]]) -> None:
    world = World(rate=2, burst=3)
    began, written = world.now, 0
    for uid, pause in steps:
        wait = world.early.wait(uid, None, Phase.PENDING)
        assert wait >= 0
        assert (wait > 0) == world.early.waits(uid)
        written += wait == 0
        assert written <= 3 + 2 * (world.now - began) + 1e-6
        world.now += pause
    for uid in "abcdef":
        if world.early.waits(uid) and (wait := world.early.wait(uid, None, Phase.PENDING)) > 0:
            world.now += wait
            assert world.early.wait(uid, None, Phase.PENDING) < 1e-6, "it comes when it was promised"
