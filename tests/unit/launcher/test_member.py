"""A member's machine: it obeys its chief, and knows what to do without one."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import BUG, KILLED, NOISE, OK, SAVED
from trainingjob_launcher import member
from trainingjob_launcher.contract import Failure, Ledger
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
        self.on(member.Connected(incarnation))
        self.on(member.Announced(incarnation, generation, ADDRESSES))
        return self


def test_it_looks_for_the_chief_and_has_all_the_time_in_the_world() -> None:
    m = Member()
    assert m.actions == (member.Connect(),)
    assert member.deadline(m.state) is None
    assert m.on(member.Tick(), after=1e6) == ()


def test_it_starts_its_trainer_when_the_chief_says_so() -> None:
    m = Member()
    assert m.on(member.Connected(1)) == ()
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


# --- Restarts ---


def test_a_generation_that_is_over_is_not_the_members_end() -> None:
    m = Member().running()
    assert m.on(member.GenerationStopped(1)) == (member.Stop(graceful=False),)
    assert m.on(member.TrainerExited(1, KILLED)) == (member.TellExit(1, KILLED),)
    assert isinstance(m.state, member.Waiting)
    assert m.on(member.Announced(1, 2, ADDRESSES)) == (member.Start(2, ADDRESSES, 1),)


def test_a_trainer_that_had_ended_already_is_not_told_of_twice() -> None:
    m = Member().running()
    m.on(member.TrainerExited(1, BUG))
    assert m.on(member.GenerationStopped(1)) == ()
    assert isinstance(m.state, member.Waiting)


def test_one_whose_trainer_has_ended_needs_no_order_to_stop_before_the_next_start() -> None:
    m = Member().running()
    m.on(member.TrainerExited(1, BUG))
    assert m.on(member.Announced(1, 2, ADDRESSES)) == (member.Start(2, ADDRESSES, 1),)


def test_a_trainer_that_still_runs_is_never_given_up_for_another_start() -> None:
    m = Member().running()
    (action,) = m.on(member.Announced(1, 2, ADDRESSES))
    assert isinstance(action, member.Disconnect)


def test_a_graceful_stop_may_become_one_at_once_and_not_the_other_way_round() -> None:
    m = Member().running()
    assert m.on(member.GenerationStopped(1, graceful=True)) == (member.Stop(graceful=True),)
    assert member.deadline(m.state) == pytest.approx(55.0)
    assert m.on(member.GenerationStopped(1, graceful=True)) == ()
    assert m.on(member.GenerationStopped(1)) == (member.Stop(graceful=False),)
    assert member.deadline(m.state) == pytest.approx(30.0)
    assert m.on(member.GenerationStopped(1, graceful=True)) == ()


def test_the_end_of_another_generation_is_not_heard() -> None:
    m = Member().running(generation=2)
    assert m.on(member.GenerationStopped(1)) == ()
    assert isinstance(m.state, member.Running)


def test_the_next_generation_waits_for_the_old_trainer() -> None:
    m = Member().running()
    m.on(member.Disconnected("closed"))
    m.on(member.Connected(1))
    assert m.on(member.Announced(1, 2, ADDRESSES)) == ()
    assert m.on(member.TrainerExited(1, KILLED)) == (member.Start(2, ADDRESSES, 1),)


def test_a_generation_that_is_over_before_it_began_here_is_answered() -> None:
    m = Member().running()
    m.on(member.Disconnected("closed"))
    m.on(member.Connected(1))
    m.on(member.Announced(1, 2, ADDRESSES))
    (told,) = m.on(member.GenerationStopped(2))
    assert isinstance(told, member.TellExit)
    assert (told.generation, told.end.code) == (2, 143)
    assert m.on(member.TrainerExited(1, KILLED)) == ()
    assert m.on(member.Announced(1, 3, ADDRESSES)) == (member.Start(3, ADDRESSES, 1),)


def test_a_trainer_that_hangs_in_the_kernel_ends_the_member() -> None:
    m = Member().running()
    m.on(member.GenerationStopped(1))
    (finish,) = m.on(member.Tick(), after=30)
    assert isinstance(finish, member.Finish)
    assert finish.code == 1
    assert finish.failure is not None
    assert finish.failure.reason == "TrainerUnkillable"


def test_it_remembers_the_newest_ledger_for_the_next_chief() -> None:
    m = Member()
    m.on(member.Connected(1))
    m.on(member.Announced(1, 1, ADDRESSES, Ledger(generation=1)))
    m.on(member.GenerationStopped(1, ledger=Ledger(generation=1, counted=1, step=7)))
    m.on(member.Disconnected("closed"))
    assert member.ledger_of(m.state) == Ledger(generation=1, counted=1, step=7)
    assert member.ledger_of(member.begin("worker-0", Timings(), ledger=Ledger(4))[0]) == Ledger(4)


# --- Without a chief ---


def test_without_its_chief_the_trainer_is_killed_and_the_next_chief_looked_for_without_end() -> None:
    m = Member().running()
    assert m.on(member.Disconnected("closed")) == (member.Stop(graceful=False), member.Connect())
    assert m.on(member.TrainerExited(1, KILLED)) == ()
    m.on(member.Tick(), after=100_000)
    assert isinstance(m.state, member.Connecting)


def test_it_tells_the_operator_that_its_chief_is_lost_from_two_seconds_on_and_as_often() -> None:
    m = Member().running(incarnation=3)
    m.on(member.TrainerExited(1, BUG))
    m.on(member.Disconnected("closed"))
    assert m.on(member.Tick(), after=1.9) == ()
    for _ in range(3):
        assert m.on(member.Tick(), after=2) == (member.TellLost(3),)
    m.on(member.Connected(3))
    assert member.deadline(m.state) is None


def test_who_never_had_a_chief_and_who_is_a_guest_tell_nothing() -> None:
    m = Member()
    m.on(member.Disconnected("before it said who it is"))
    assert member.deadline(m.state) is None
    guest = Member()
    guest.state, _ = member.begin("evaluator-0", Timings(), guest=True)
    guest.running()
    guest.on(member.TrainerExited(1, OK))
    guest.on(member.Disconnected("closed"))
    assert member.deadline(guest.state) is None


# --- Fencing ---


def test_a_chief_of_a_lower_incarnation_is_left_before_it_can_say_anything() -> None:
    m = Member().running(incarnation=2)
    m.on(member.Disconnected("closed"))
    m.on(member.TrainerExited(1, KILLED))
    (action,) = m.on(member.Connected(1))
    assert isinstance(action, member.Disconnect)
    for word in (member.Refused("the job has ended"), member.Ended(End(FAILED, CULPRIT))):
        assert m.on(word) == (), "it is not believed"
    assert m.on(member.Disconnected("dropped")) == (member.Connect(1.0),)


def test_words_over_no_connection_are_nobodys() -> None:
    m = Member()
    for word in (member.Refused("x"), member.Ended(End(FAILED, CULPRIT)), member.Announced(1, 1, ADDRESSES)):
        assert m.on(word) == ()


@pytest.mark.parametrize(("incarnation", "generation"), [(1, 9), (2, 4), (3, 5), (3, 4)])
def test_an_announcement_that_is_not_above_all_that_was_served_is_refused(incarnation: int, generation: int) -> None:
    m = Member().running(incarnation=2, generation=5)
    m.on(member.GenerationStopped(5))
    m.on(member.TrainerExited(5, KILLED))
    (action,) = m.on(member.Announced(incarnation, generation, ADDRESSES))
    assert isinstance(action, member.Disconnect)


def test_an_announcement_said_twice_is_one() -> None:
    m = Member().running()
    assert m.on(member.Announced(1, 1, ADDRESSES)) == ()


def test_refused_is_the_end() -> None:
    m = Member()
    m.on(member.Connected(1))
    (finish,) = m.on(member.Refused("incarnation 2 of worker-0 has taken the place of 1"))
    assert isinstance(finish, member.Finish)
    assert finish.code == 1
    assert finish.failure is not None
    assert "incarnation 2" in finish.failure.message


# --- SIGTERM ---


def test_a_member_that_is_to_go_keeps_its_trainer_until_the_chief_has_all_save_together() -> None:
    m = Member().running()
    assert m.on(member.Terminate()) == (member.TellTerminating(),)
    assert m.on(member.Terminate()) == ()
    assert m.on(member.GenerationStopped(1, graceful=True), after=0.1) == (member.Stop(graceful=True),)
    told, finish = m.on(member.TrainerExited(1, SAVED))
    assert told == member.TellExit(1, SAVED)
    assert isinstance(finish, member.Finish)
    assert (finish.code, finish.outcome, finish.failure and finish.failure.reason) == (143, TERMINATED, "Terminated")


def test_when_the_chief_says_nothing_it_saves_alone() -> None:
    m = Member().running()
    m.on(member.Terminate())
    assert member.deadline(m.state) == pytest.approx(2.0)
    assert m.on(member.Tick(), after=2) == (member.Stop(graceful=True),)
    assert m.on(member.GenerationStopped(1, graceful=True)) == (), "that is under way"
    assert m.on(member.GenerationStopped(1)) == (member.Stop(graceful=False),)
    (finish,) = m.on(member.Tick(), after=30)
    assert isinstance(finish, member.Finish), "it leaves even if its trainer does not"
    assert finish.code == 143


def test_a_member_that_is_to_go_and_loses_its_chief_has_nobody_to_save_with() -> None:
    m = Member().running()
    m.on(member.Terminate())
    assert m.on(member.Disconnected("closed")) == (member.Stop(graceful=False),)
    (finish,) = m.on(member.TrainerExited(1, KILLED))
    assert isinstance(finish, member.Finish)
    assert finish.code == 143


def test_success_in_the_last_moment_is_success() -> None:
    m = Member().running()
    m.on(member.Terminate())
    m.on(member.Ended(End(SUCCEEDED)))
    (finish,) = m.on(member.TrainerExited(1, KILLED))
    assert isinstance(finish, member.Finish)
    assert (finish.code, finish.outcome) == (0, SUCCEEDED)


def test_a_member_between_two_generations_goes_at_once() -> None:
    m = Member().running()
    m.on(member.GenerationStopped(1))
    m.on(member.TrainerExited(1, KILLED))
    tell, finish = m.on(member.Terminate())
    assert tell == member.TellTerminating()
    assert isinstance(finish, member.Finish)
    assert finish.code == 143


def test_terminate_without_a_trainer_ends_at_once() -> None:
    m = Member()
    (finish,) = m.on(member.Terminate())
    assert isinstance(finish, member.Finish)
    assert finish.code == 143
