"""The chief's machine from one generation to the next: who is stopped how, who is waited for, what is never mixed."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import BUG, KILLED, NOISE, OK, SAVED, SEGFAULT, Gang, joined
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Failure, LastFailure, Ledger, Policy
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, TrainerExit

# --- In place ---


def test_a_trainer_that_dies_costs_a_generation_and_nobody_leaves() -> None:
    g = Gang().started()
    g.ended("worker-0", KILLED)
    assert isinstance(g.state, gang.Clearing)
    g.ended("chief-0", KILLED)
    assert isinstance(g.state, gang.Clearing), "a trainer of the old generation still runs"
    actions = g.ended("worker-1", KILLED)
    assert [type(action) for action in actions] == [gang.Announce]
    assert gang.generation_of(g.state) == 2
    assert gang.ledger_of(g.state).counted == 1


def test_a_lost_member_is_not_waited_for_to_stop_but_to_come_back() -> None:
    g = Gang().started()
    g.lost("worker-0")
    g.cleared()
    assert isinstance(g.state, gang.Waiting)
    assert gang.missing(g.state) == gang.unreachable(g.state) == ("worker-0",)
    assert gang.phase_of(g.state) == "Restarting"
    (announce,) = g.on(joined("worker-0", 9, incarnation=2), after=8)
    assert isinstance(announce, gang.Announce)
    assert (announce.generation, announce.ledger.counted) == (2, 0), "a lost member costs nothing"


def test_a_member_that_has_never_come_is_missing_but_not_unreachable() -> None:
    assert gang.unreachable(Gang().state) == ()
    assert gang.phase_of(Gang().state) == "Forming"


def test_after_another_chief_all_who_are_not_here_are_unreachable() -> None:
    g = Gang(ledger=Ledger(generation=3))
    assert gang.unreachable(g.state) == ("worker-0", "worker-1")


def test_a_member_that_does_not_stop_in_time_is_dropped() -> None:
    g = Gang().started()
    g.ended("chief-0", BUG)
    g.ended("worker-0", KILLED)
    assert gang.deadline(g.state) == pytest.approx(5.0)
    (drop,) = g.on(gang.Tick(), after=5)
    assert drop == gang.Drop(2, "its trainer did not stop in time")
    assert gang.missing(g.state) == ("worker-1",)
    assert g.on(gang.MemberLost("worker-1", 2, "dropped")) == ()
    assert isinstance(g.on(joined("worker-1", 9))[0], gang.Announce)


def test_a_chief_that_can_not_kill_its_own_trainer_leaves_to_the_next() -> None:
    g = Gang(workers=1).started()
    g.ended("worker-0", BUG)
    g.on(gang.Tick(), after=29)
    assert isinstance(g.state, gang.Clearing)
    (finish,) = g.on(gang.Tick(), after=1)
    assert isinstance(finish, gang.Finish)
    assert (finish.outcome, finish.failure and finish.failure.reason) == (TERMINATED, "TrainerUnkillable")


def test_who_comes_back_over_a_new_connection_has_lost_its_trainer_and_is_there_for_the_next() -> None:
    g = Gang(workers=1).started()
    drop, stop = g.on(joined("worker-0", 9))
    assert drop == gang.Drop(1, "worker-0 has come again over a new connection")
    assert isinstance(stop, gang.StopGeneration)
    assert stop.connections == (9,), "it shall know the ledger"
    (announce,) = g.ended("chief-0", KILLED)
    assert isinstance(announce, gang.Announce)


def test_the_next_number_is_above_all_that_anybody_has_heard_of() -> None:
    g = Gang(workers=2, ledger=Ledger(generation=3, counted=1))
    g.on(joined("worker-0", 1, ledger=Ledger(generation=5, counted=2)))
    (announce,) = g.on(joined("worker-1", 2, ledger=Ledger(generation=4, counted=1)))
    assert isinstance(announce, gang.Announce)
    assert (announce.generation, announce.ledger.counted) == (6, 2)


def test_a_late_word_about_the_last_generation_is_not_heard() -> None:
    g = Gang(workers=1).started()
    g.ended("worker-0", KILLED)
    g.cleared()
    before = g.state
    assert g.ended("worker-0", BUG, generation=1) == ()
    assert g.on(gang.Progressed(1, 99)) == ()
    assert g.on(gang.TrainerExited("worker-0", 2, BUG, connection=77)) == ()
    assert g.state == before


# --- Back-off ---


def test_restarts_without_a_new_step_wait_longer_and_longer_and_steps_forgive() -> None:
    g = Gang(workers=0, policy=Policy(backoff_limit=100)).at_step(1)
    waits = []
    for number in range(9):
        g.ended("chief-0", TrainerExit(50 + number))
        waits.append(round((gang.deadline(g.state) or g.now) - g.now) if isinstance(g.state, gang.Waiting) else 0)
        g.on(gang.Tick(), after=30)
        assert isinstance(g.state, gang.Running)
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    g.at_step(2).ended("chief-0", TrainerExit(99))
    assert isinstance(g.state, gang.Running)


def test_nobodys_coming_shortens_the_back_off() -> None:
    g = Gang(workers=1).started()
    for _ in range(2):
        g.lost("worker-0")
        g.cleared()
        g.on(joined("worker-0", 50 + gang.generation_of(g.state)))
    assert isinstance(g.state, gang.Waiting)
    assert gang.deadline(g.state) == pytest.approx(1.0)
    (announce,) = g.on(gang.Tick(), after=1)
    assert isinstance(announce, gang.Announce)


# --- The limit ---


def test_the_limit_counts_trainers_and_pods() -> None:
    g = Gang(workers=0, policy=Policy(backoff_limit=2), pod_failures=1).at_step(1)
    g.ended("chief-0", KILLED)
    assert isinstance(g.state, gang.Running)
    g.at_step(2).ended("chief-0", KILLED)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.failure is not None
    assert (verdict.outcome, verdict.failure.reason) == (FAILED, "BackoffLimitExceeded")
    assert verdict.failure.message.startswith("3 failures, the limit is 2: the trainer was ended by SIGKILL")
    assert (verdict.failure.exit_code, verdict.failure.signal) == (137, 9)
    assert gang.ledger_of(g.state).counted == 2


def test_a_new_pod_may_bring_the_news_that_it_was_one_too_many() -> None:
    g = Gang(workers=1, policy=Policy(backoff_limit=1)).started()
    g.ended("chief-0", KILLED)
    g.lost("worker-0")
    g.on(joined("worker-0", 9, incarnation=2, pod_failures=1))
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.failure is not None
    assert verdict.failure.reason == "BackoffLimitExceeded"


# --- SIGTERM ---


def test_the_chief_saves_with_all_and_leaves_the_job_to_the_next() -> None:
    g = Gang().started()
    (order,) = g.on(gang.Terminate())
    assert isinstance(order, gang.StopGeneration)
    assert (order.graceful, order.connections) == (True, (1, 2))
    assert gang.deadline(g.state) == pytest.approx(30.0)
    for name in ("worker-0", "worker-1"):
        assert g.ended(name, SAVED) == ()
    (finish,) = g.ended("chief-0", SAVED)
    assert isinstance(finish, gang.Finish)
    assert finish.outcome == TERMINATED
    assert g.verdict() is None, "the members stay"


def test_a_worker_that_goes_saves_with_all_and_its_successor_takes_its_place() -> None:
    g = Gang().started()
    (order,) = g.terminating("worker-0")
    assert isinstance(order, gang.StopGeneration)
    assert (order.graceful, order.connections) == (True, (1, 2))
    assert (order.failure.member, order.failure.reason) == ("worker-0", "Terminated")
    # The new pod comes while the old one is still saving, and does not disturb it.
    assert g.on(joined("worker-0", 9, incarnation=2), after=1) == ()
    g.ended("chief-0", SAVED)
    g.ended("worker-1", SAVED)
    refuse, announce = g.ended("worker-0", SAVED)
    assert isinstance(refuse, gang.Refuse)
    assert refuse.connection == 1
    assert isinstance(announce, gang.Announce)
    assert gang.peers_of(g.state)["worker-0"].connection == 9
    assert gang.ledger_of(g.state).counted == 0


def test_a_worker_that_goes_is_not_taken_into_the_next_generation() -> None:
    g = Gang(workers=1).started()
    g.terminating("worker-0")
    g.cleared(SAVED)
    assert isinstance(g.state, gang.Waiting)
    assert gang.missing(g.state) == ("worker-0",)


def test_who_fails_to_save_costs_the_others_only_a_few_seconds() -> None:
    g = Gang().started()
    g.terminating("worker-0")
    g.ended("worker-1", KILLED, after=1)
    assert gang.deadline(g.state) == pytest.approx(7.0)
    (order,) = g.on(gang.Tick(), after=6)
    assert isinstance(order, gang.StopGeneration)
    assert (order.graceful, order.connections) == (False, (1,))
    g.cleared()
    assert isinstance(g.state, gang.Waiting)


def test_nobody_can_save_when_somebody_has_failed_already() -> None:
    g = Gang().started()
    g.ended("worker-1", NOISE)
    (order,) = g.terminating("worker-0")
    assert isinstance(order, gang.StopGeneration)
    assert not order.graceful


def test_the_steps_of_a_graceful_stop_are_in_the_ledger() -> None:
    g = Gang(workers=1).started(10)
    g.terminating("worker-0")
    g.at_step(11)
    assert gang.ledger_of(g.state).step == 11


# --- Success wins ---


@pytest.mark.parametrize("how", ["lost", "terminating", "killed"])
def test_a_chief_that_was_through_before_it_heard_of_the_end_has_succeeded(how: str) -> None:
    g = Gang(workers=1).started()
    if how == "lost":
        g.lost("worker-0")
    elif how == "terminating":
        g.terminating("worker-0")
    else:
        g.ended("worker-0", KILLED)
    g.ended("chief-0", OK)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_a_program_that_says_0_to_sigterm_before_its_last_step_has_not_succeeded() -> None:
    g = Gang(workers=0).at_step(5, total=100)
    g.on(gang.Terminate())
    (finish,) = g.ended("chief-0", OK)
    assert isinstance(finish, gang.Finish)
    assert finish.outcome == TERMINATED


def test_a_workers_own_error_is_not_hidden_by_a_late_success() -> None:
    g = Gang(workers=1).started()
    g.ended("worker-0", BUG)
    (announce,) = g.ended("chief-0", OK)
    assert isinstance(announce, gang.Announce)


# --- A chief that was replaced ---


def test_a_replaced_chief_lets_its_members_go_and_leaves() -> None:
    g = Gang().started()
    actions = g.on(gang.Replaced("incarnation 2 was made"))
    assert [type(action) for action in actions] == [gang.Drop, gang.Drop, gang.StopGeneration]
    (finish,) = g.ended("chief-0", KILLED)
    assert isinstance(finish, gang.Finish)
    assert (finish.outcome, finish.failure and finish.failure.reason) == (TERMINATED, "Replaced")
    (drop,) = g.on(joined("worker-0", 9))
    assert isinstance(drop, gang.Drop), "who still finds it shall look again"


@pytest.mark.parametrize("where", ["waiting", "clearing", "saving"])
def test_a_replaced_chief_never_forms_a_generation(where: str) -> None:
    g = Gang(workers=1)
    if where != "waiting":
        g.started()
        g.terminating("worker-0") if where == "saving" else g.lost("worker-0")
    g.on(gang.Replaced("incarnation 2 was made"))
    if isinstance(g.state, gang.Clearing):
        g.cleared(OK)
    g.on(joined("worker-0", 9))
    assert isinstance(g.state, gang.Failed)
    assert g.state.outcome == TERMINATED
    assert g.verdict() is None, "and what its trainer says is not heard"


def test_a_chief_that_saves_before_it_leaves_is_not_disturbed_by_its_successor() -> None:
    g = Gang(workers=1).started()
    g.on(gang.Terminate())
    assert g.on(gang.Replaced("incarnation 2 was made")) == ()
    assert isinstance(g.state, gang.Clearing)
    assert g.state.graceful


def test_a_failure_that_ends_the_job_is_told_to_all() -> None:
    g = Gang(policy=Policy(backoff_limit=0)).started()
    g.ended("worker-0", KILLED)
    verdict = g.verdict()
    assert verdict is not None
    assert isinstance(verdict.failure, Failure)
    assert isinstance(g.state, gang.Ending)


def test_the_ledger_remembers_what_was_last() -> None:
    g = Gang(workers=0).at_step(7)
    g.ended("chief-0", TrainerExit(9))
    assert gang.ledger_of(g.state).last == LastFailure(
        "TrainerFailed", "the trainer ended with exit code 9", 9, None, step=7
    )


def test_a_step_that_is_told_late_was_made_before_the_failure() -> None:
    """A worker's exit may be heard of before the chief's trainer has said its last step: twice is twice then, too."""
    g = Gang(workers=1).started(10)
    g.ended("worker-0", SEGFAULT)
    g.at_step(12).cleared()
    assert gang.ledger_of(g.state).step == 12
    g.at_step(12, resumed_step=10).ended("worker-0", SEGFAULT)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.failure is not None
    assert verdict.failure.message.startswith("twice without a new step in between")


def test_a_step_that_is_told_late_in_a_generation_that_lost_a_member_is_a_step_since_the_last_failure() -> None:
    g = Gang(workers=1).started(10)
    g.ended("worker-0", SEGFAULT)
    g.cleared().lost("worker-0")
    g.at_step(12)
    last = gang.ledger_of(g.state).last
    assert last is not None
    assert last.step == 10
    g.cleared().on(joined("worker-0", 9))
    g.ended("worker-0", SEGFAULT)
    assert g.verdict() is None
