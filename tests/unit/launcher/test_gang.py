"""The chief's machine: when a generation starts, how it ends, and who is to blame."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import (
    BUG,
    KILLED,
    NOISE,
    OK,
    SEGFAULT,
    Gang,
    joined,
)
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Ledger
from trainingjob_launcher.messages import SUCCEEDED, TERMINATED, TrainerExit

# --- Forming ---


def test_a_chief_alone_starts_at_once() -> None:
    assert Gang(workers=0).actions == [gang.Announce(1, (("chief-0", "10.0.0.1:2222"),), Ledger(generation=1))]


def test_the_generation_starts_when_the_last_member_has_joined() -> None:
    g = Gang(workers=2)
    assert gang.missing(g.state) == ("worker-0", "worker-1")
    assert g.on(joined("worker-1", 1)) == ()
    assert gang.missing(g.state) == ("worker-0",)
    (action,) = g.on(joined("worker-0", 2))
    assert isinstance(action, gang.Announce)
    assert action.generation == 1
    assert [name for name, _ in action.addresses] == ["chief-0", "worker-0", "worker-1"]


def test_a_member_that_goes_before_the_start_is_missed_again() -> None:
    g = Gang(workers=2)
    g.on(joined("worker-0", 1))
    g.on(gang.MemberLost("worker-0", 1, "closed"))
    assert gang.missing(g.state) == ("worker-0", "worker-1")


def test_the_newer_pod_of_a_member_wins_and_the_older_is_refused() -> None:
    g = Gang(workers=2)
    g.on(joined("worker-0", 1, incarnation=2))
    assert g.on(joined("worker-0", 2, incarnation=1)) == (
        gang.Refuse(2, "incarnation 2 of worker-0 has taken the place of 1"),
    )
    assert g.on(joined("worker-0", 3, incarnation=3)) == (
        gang.Refuse(1, "incarnation 3 of worker-0 has taken the place of 2"),
    )
    g.on(gang.MemberLost("worker-0", 1, "closed"))  # the old connection's end says nothing about the new pod
    assert gang.missing(g.state) == ("worker-1",)


@pytest.mark.parametrize("name", ["worker-2", "worker-9", "chief-0"])
def test_whoever_is_no_member_is_refused(name: str) -> None:
    g = Gang(workers=2)
    (action,) = g.on(joined(name, 5))
    assert isinstance(action, gang.Refuse)
    assert action.connection == 5


# --- First cause ---


def test_an_error_of_its_own_ends_the_generation_at_once() -> None:
    g = Gang().started()
    g.ended("worker-1", BUG)
    order = g.order()
    assert order is not None
    assert (order.generation, order.graceful, order.connections) == (1, False, (1, 2))
    assert (order.failure.member, order.failure.exit_code) == ("worker-1", 1)
    assert order.failure.message == "ValueError: bad shape"
    assert order.failure.last_log_lines[-1] == "ValueError: bad shape"


def test_an_echo_waits_for_the_first_cause() -> None:
    g = Gang().running()
    assert g.ended("chief-0", NOISE) == ()
    assert g.ended("worker-0", NOISE, after=0.5) == ()
    g.ended("worker-1", KILLED, after=1)
    assert g.blamed() == "worker-1"


def test_a_lost_member_is_a_better_cause_than_the_echo_before_it() -> None:
    g = Gang().running()
    g.ended("chief-0", NOISE)
    g.on(gang.MemberLost("worker-0", 1, "nothing was heard for 5 s"), after=5)
    assert g.blamed() == "worker-0"


def test_without_a_better_cause_the_first_echo_is_blamed_after_a_bounded_wait() -> None:
    g = Gang().running()
    g.ended("worker-1", NOISE)
    g.on(gang.Tick(), after=5.9)
    assert g.order() is None
    assert gang.deadline(g.state) == pytest.approx(6.0)
    g.on(gang.Tick(), after=0.2)
    assert g.blamed() == "worker-1"


def test_the_one_that_still_runs_while_all_others_lost_their_peers_is_frozen() -> None:
    g = Gang().running()
    g.ended("chief-0", NOISE)
    g.ended("worker-1", NOISE, after=1)
    assert gang.deadline(g.state) == pytest.approx(3.0), "it has two seconds, not the whole time"
    g.on(gang.Tick(), after=1.9)
    assert g.order() is None
    g.on(gang.Tick(), after=0.1)
    assert (g.cause().member, g.cause().reason) == ("worker-0", "TrainerUnresponsive")
    assert "chief-0: tensorflow" in g.cause().message


def test_when_all_have_ended_nobody_waits_for_a_better_cause() -> None:
    g = Gang(workers=1).running()
    g.ended("worker-0", NOISE)
    g.ended("chief-0", NOISE, after=0.1)
    assert g.blamed() == "worker-0"


def test_a_member_that_left_early_with_0_is_named_when_the_others_break() -> None:
    g = Gang(workers=1).running()
    g.ended("worker-0", OK)
    g.ended("chief-0", NOISE)
    assert "the trainer of worker-0 ended with 0" in g.cause().message


def test_a_chief_alone_has_no_peers_to_blame() -> None:
    g = Gang(workers=0)
    g.ended("chief-0", NOISE)
    assert g.blamed() == "chief-0"


def test_an_abort_with_the_coordination_service_in_its_last_lines_is_an_echo() -> None:
    g = Gang().running()
    lines = ("F coordination_service_agent.cc:493 Polled an error from coordination service", "Fatal Python error")
    assert g.ended("worker-0", TrainerExit(134, 6, log_lines=lines)) == ()
    g.ended("worker-1", SEGFAULT)
    assert g.blamed() == "worker-1"


# --- Success ---


def test_success_when_all_have_ended_with_0() -> None:
    g = Gang().running()
    for name in ("worker-0", "chief-0", "worker-1"):
        assert g.verdict() is None
        g.ended(name, OK)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


@pytest.mark.parametrize("end", [NOISE, SEGFAULT, KILLED], ids=["echo", "segfault", "killed"])
def test_after_the_chiefs_success_noise_at_shutdown_is_forgiven(end: TrainerExit) -> None:
    g = Gang().running()
    g.ended("chief-0", OK)
    g.ended("worker-0", end)
    g.on(gang.MemberLost("worker-1", 2, "closed"))
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_an_echo_shortly_before_the_chiefs_success_is_forgiven_too() -> None:
    g = Gang(workers=1).running()
    g.ended("worker-0", NOISE)
    g.ended("chief-0", OK, after=3)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_an_echo_that_was_forgiven_is_not_judged_later() -> None:
    g = Gang(workers=2).running()
    g.ended("worker-0", NOISE)
    g.ended("chief-0", OK, after=3)
    g.on(gang.Tick(), after=10)  # worker-1 still runs
    assert g.verdict() is None
    g.ended("worker-1", OK)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_an_error_of_a_workers_own_is_not_hidden_by_the_chiefs_success() -> None:
    g = Gang().running()
    g.ended("chief-0", OK)
    g.ended("worker-0", BUG)
    assert g.blamed() == "worker-0"


def test_after_the_chiefs_success_the_others_have_a_bounded_time() -> None:
    g = Gang().running()
    g.ended("chief-0", OK)
    assert gang.deadline(g.state) == pytest.approx(60.0)
    g.on(gang.Tick(), after=60)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


# --- The end ---


def test_the_chief_leaves_when_the_members_have_left() -> None:
    g = Gang().running()
    g.ended("worker-1", BUG)
    assert isinstance(g.state, gang.Ending)
    g.ended("chief-0", KILLED)
    g.on(gang.MemberLost("worker-0", 1, "closed"))
    assert isinstance(g.state, gang.Ending)
    g.on(gang.MemberLost("worker-1", 2, "closed"))
    assert isinstance(g.state, gang.Failed)
    assert isinstance(g.actions[-1], gang.Finish)


def test_the_chief_leaves_after_a_bounded_time_even_if_members_do_not() -> None:
    g = Gang().running()
    g.ended("worker-1", BUG)
    g.on(gang.Tick(), after=5)
    assert isinstance(g.state, gang.Failed)


def test_terminate_before_the_start_ends_at_once() -> None:
    g = Gang(workers=1)
    g.on(gang.Terminate())
    assert isinstance(g.state, gang.Failed)
    assert g.state.outcome == TERMINATED


def test_terminate_after_the_chiefs_success_is_success() -> None:
    g = Gang().running()
    g.ended("chief-0", OK)
    g.on(gang.Terminate())
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


# --- Fencing ---


def test_a_replaced_pod_breaks_the_running_generation_and_the_newcomer_is_told() -> None:
    g = Gang().running()
    g.on(joined("worker-0", 9, incarnation=2))
    assert g.blamed() == "worker-0"
    assert gang.peers_of(g.state)["worker-0"].connection == 9


def test_a_member_that_comes_back_over_a_new_connection_has_lost_its_trainer() -> None:
    g = Gang().running()
    g.on(joined("worker-0", 9))
    assert g.blamed() == "worker-0"


def test_messages_of_another_generation_are_ignored() -> None:
    g = Gang().running()
    before = g.state
    assert g.ended("worker-0", BUG, generation=0) == ()
    assert g.ended("worker-0", BUG, generation=2) == ()
    assert g.state == before


@pytest.mark.parametrize("outcome", ["ending", "over"])
def test_who_comes_late_is_refused(outcome: str) -> None:
    g = Gang(workers=1).running()
    g.ended("worker-0", BUG)
    if outcome == "over":
        g.on(gang.Tick(), after=10)
    (action,) = g.on(joined("worker-0", 9, incarnation=2))
    assert isinstance(action, gang.Refuse)
