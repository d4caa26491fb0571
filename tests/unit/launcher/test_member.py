"""A member's machine: it obeys its chief, and knows what to do without one."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import BUG, KILLED, NOISE, OK
from trainingjob_launcher import member
from trainingjob_launcher.contract import Failure
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, End
from trainingjob_launcher.settings import Timings

ADDRESSES = (("chief-0", "10.0.0.1:2222"), ("worker-0", "10.0.0.2:2222"))
CULPRIT = Failure("worker-1", "TrainerFailed", "ValueError: bad shape", exit_code=3, generation=1)


class Member:
    def __init__(self, name: str = "worker-0") -> None:
        self.state, self.actions = member.begin(name, Timings())
        self.now = 0.0

    def on(self, event: member.Event, after: float = 0.0) -> tuple[member.Action, ...]:
        self.now += after
        self.state, actions = member.step(self.state, event, self.now)
        return actions

    def running(self, incarnation: int = 1, generation: int = 1) -> Member:
        self.on(member.Connected())
        self.on(member.Announced(incarnation, generation, ADDRESSES))
        return self


def test_it_looks_for_the_chief_and_has_all_the_time_in_the_world() -> None:
    m = Member()
    assert m.actions == (member.Connect(),)
    assert member.deadline(m.state) is None
    assert m.on(member.Tick(), after=1e6) == ()


def test_it_starts_its_trainer_when_the_chief_says_so() -> None:
    m = Member()
    assert m.on(member.Connected()) == ()
    assert m.on(member.Announced(1, 1, ADDRESSES)) == (member.Start(1, ADDRESSES),)


def test_it_tells_the_chief_how_its_trainer_ended_and_waits_for_its_word() -> None:
    m = Member().running()
    assert m.on(member.TrainerExited(1, BUG)) == (member.TellExit(1, BUG),)
    assert isinstance(m.state, member.Running)
    assert m.on(member.TrainerExited(1, BUG)) == ()


def test_success_is_0_whatever_the_own_trainer_said_at_shutdown() -> None:
    m = Member().running()
    m.on(member.TrainerExited(1, NOISE))
    assert m.on(member.Ended(End(SUCCEEDED))) == (member.Finish(0, SUCCEEDED, None, 1),)


def test_a_stopped_member_kills_its_trainer_at_once_and_ends_with_1() -> None:
    m = Member().running()
    assert m.on(member.Ended(End(FAILED, CULPRIT))) == (member.Stop(graceful=False),)
    (finish,) = m.on(member.TrainerExited(1, KILLED))
    assert finish == member.Finish(1, FAILED, CULPRIT, 1)


def test_the_culprit_ends_with_its_trainers_code() -> None:
    m = Member("worker-1").running()
    m.on(member.TrainerExited(1, KILLED))
    (finish,) = m.on(member.Ended(End(FAILED, CULPRIT)))
    assert isinstance(finish, member.Finish)
    assert finish.code == 137
    assert finish.failure is not None
    assert finish.failure.member == "worker-1"


def test_an_echo_ends_with_1_and_with_its_own_facts() -> None:
    m = Member().running()
    m.on(member.TrainerExited(1, NOISE))
    (finish,) = m.on(member.Ended(End(FAILED, CULPRIT)))
    assert isinstance(finish, member.Finish)
    assert finish.code == 1
    assert finish.failure is not None
    assert finish.failure.member == "worker-0"


def test_a_trainer_that_can_not_be_killed_is_left_behind_after_a_bounded_time() -> None:
    m = Member().running()
    m.on(member.Ended(End(FAILED, CULPRIT)))
    assert member.deadline(m.state) == pytest.approx(5.0)
    (finish,) = m.on(member.Tick(), after=5)
    assert isinstance(finish, member.Finish)


def test_without_its_chief_the_trainer_is_killed_and_the_chief_looked_for() -> None:
    m = Member().running()
    assert m.on(member.Disconnected("closed")) == (member.Stop(graceful=False), member.Connect())
    assert m.on(member.TrainerExited(1, KILLED)) == ()
    assert member.deadline(m.state) == pytest.approx(60.0)
    (finish,) = m.on(member.Tick(), after=60)
    assert isinstance(finish, member.Finish)
    assert finish.code == 1
    assert finish.failure is not None
    assert finish.failure.reason == "ChiefLost"
    assert "closed" in finish.failure.message


def test_it_joins_the_next_generation_when_the_old_trainer_is_gone() -> None:
    m = Member().running()
    m.on(member.Disconnected("closed"))
    m.on(member.Connected())
    assert m.on(member.Announced(2, 2, ADDRESSES)) == ()
    assert m.on(member.TrainerExited(1, KILLED)) == (member.Start(2, ADDRESSES),)


@pytest.mark.parametrize(("incarnation", "generation"), [(1, 9), (2, 4)])
def test_a_chief_that_was_replaced_is_left(incarnation: int, generation: int) -> None:
    m = Member().running(incarnation=2, generation=5)
    m.on(member.Disconnected("closed"))
    m.on(member.TrainerExited(5, KILLED))
    m.on(member.Connected())
    (action,) = m.on(member.Announced(incarnation, generation, ADDRESSES))
    assert isinstance(action, member.Disconnect)


def test_an_announcement_said_twice_is_one() -> None:
    m = Member().running()
    assert m.on(member.Announced(1, 1, ADDRESSES)) == ()


def test_refused_is_the_end() -> None:
    m = Member()
    m.on(member.Connected())
    (finish,) = m.on(member.Refused("incarnation 2 of worker-0 has taken the place of 1"))
    assert isinstance(finish, member.Finish)
    assert finish.code == 1
    assert finish.failure is not None
    assert "incarnation 2" in finish.failure.message


def test_terminate_tells_the_chief_and_gives_the_trainer_its_grace() -> None:
    m = Member().running()
    assert m.on(member.Terminate()) == (member.TellTerminating(), member.Stop(graceful=True))
    assert member.deadline(m.state) == pytest.approx(30.0)
    assert m.on(member.Terminate()) == ()
    (finish,) = m.on(member.TrainerExited(1, OK))
    assert isinstance(finish, member.Finish)
    assert (finish.code, finish.outcome) == (143, TERMINATED)


def test_terminate_without_a_trainer_ends_at_once() -> None:
    m = Member()
    (finish,) = m.on(member.Terminate())
    assert isinstance(finish, member.Finish)
    assert finish.code == 143
