"""The evaluator and the chief's machine: it is told everything, waited for once, and never to blame."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import BUG, KILLED, OK, SAVED, Gang, joined
from trainingjob_launcher import gang, member
from trainingjob_launcher.contract import Ledger
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TrainerExit
from trainingjob_launcher.settings import Timings

EVALUATOR = gang.EVALUATOR
FIRST = Ledger(generation=1)
ADDRESSES = tuple((name, f"10.0.0.{n}:2222") for name, n in (("chief-0", 1), ("worker-0", 1), ("worker-1", 2)))


def ended(end: TrainerExit, connection: int = 9, generation: int = 1) -> gang.TrainerExited:
    return gang.TrainerExited(EVALUATOR, generation, end, connection)


def with_evaluator(workers: int = 2) -> Gang:
    g = Gang(workers, evaluator=True).running()
    assert g.on(joined(EVALUATOR, 9)) == (gang.Admit(9, 1, ADDRESSES[: workers + 1], FIRST),)
    return g


def all_succeed(g: Gang) -> tuple[gang.Action, ...]:
    for name in g.state.settings.members[1:]:  # type: ignore[union-attr]
        g.ended(name, OK)
    return g.ended("chief-0", OK)


# --- Coming and going ---


def test_nobody_waits_for_it_to_come() -> None:
    g = Gang(workers=2, evaluator=True)
    assert gang.missing(g.state) == ("worker-0", "worker-1")
    g.running()
    assert g.actions == [gang.Announce(1, ADDRESSES, FIRST)]


def test_one_that_is_early_starts_with_the_gang() -> None:
    g = Gang(workers=2, evaluator=True)
    assert g.on(joined(EVALUATOR, 9)) == ()
    assert gang.here(g.state) == 1
    g.running()
    assert EVALUATOR in gang.peers_of(g.state)
    assert g.actions == [gang.Announce(1, ADDRESSES, FIRST)]


def test_it_is_never_in_the_cluster() -> None:
    g = with_evaluator()
    for action in g.actions:
        assert not isinstance(action, (gang.Announce, gang.Admit)) or action.addresses == ADDRESSES


def test_a_job_without_one_refuses_it() -> None:
    g = Gang(workers=2).running()
    (action,) = g.on(joined(EVALUATOR, 9))
    assert action == gang.Refuse(9, "evaluator-0 is no member of this gang of 3")


@pytest.mark.parametrize("event", [gang.MemberLost(EVALUATOR, 9, "closed"), ended(KILLED), ended(BUG), ended(OK)])
def test_its_end_is_not_the_gangs(event: gang.Event) -> None:
    g = with_evaluator()
    g.on(event)
    assert isinstance(g.state, gang.Running)
    assert g.verdict() is None
    assert gang.deadline(g.state) is None


def test_one_whose_trainer_failed_is_told_so_that_the_next_can_come() -> None:
    g = with_evaluator()
    (action,) = g.on(ended(BUG))
    assert isinstance(action, gang.Dismiss)
    assert (action.connection, action.failure.member, action.failure.message) == (
        9,
        EVALUATOR,
        "ValueError: bad shape",
    )
    g.on(gang.MemberLost(EVALUATOR, 9, "closed"))
    assert g.on(joined(EVALUATOR, 10, incarnation=2)) == (gang.Admit(10, 1, ADDRESSES, FIRST),)


def test_the_newer_pod_wins_and_words_over_the_old_connection_are_nobodys() -> None:
    g = with_evaluator()
    g.on(joined(EVALUATOR, 10, incarnation=2))
    assert g.on(ended(BUG, connection=9)) == ()
    assert g.on(gang.MemberLost(EVALUATOR, 9, "closed")) == ()
    assert g.on(joined(EVALUATOR, 11, incarnation=1)) == (
        gang.Refuse(11, "incarnation 2 of evaluator-0 has taken the place of 1"),
    )
    all_succeed(g)
    assert g.verdict() is None, "the second evaluates still"


# --- The end ---


def test_the_end_waits_for_its_last_word() -> None:
    g = with_evaluator()
    assert all_succeed(g) == ()
    g.on(ended(OK), after=20)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_the_end_does_not_wait_longer_than_a_minute_after_the_chief() -> None:
    g = with_evaluator()
    g.ended("chief-0", OK)
    g.ended("worker-0", OK, after=10)
    g.ended("worker-1", OK)
    assert gang.deadline(g.state) == pytest.approx(60.0)
    assert g.on(gang.Tick(), after=49.9) == ()
    (verdict, *_) = g.on(gang.Tick(), after=0.2)
    assert isinstance(verdict, gang.StopAll)
    assert (verdict.outcome, verdict.failure) == (SUCCEEDED, None)


@pytest.mark.parametrize("event", [gang.MemberLost(EVALUATOR, 9, "closed"), ended(OK), ended(BUG)])
def test_one_that_is_gone_or_done_is_not_waited_for(event: gang.Event) -> None:
    before = with_evaluator()
    before.on(event)
    all_succeed(before)
    assert before.verdict() is not None
    meanwhile = with_evaluator()
    all_succeed(meanwhile)
    assert meanwhile.verdict() is None
    meanwhile.on(event)
    assert meanwhile.verdict() is not None


def test_the_next_one_is_waited_for_though_the_first_was_done() -> None:
    g = with_evaluator()
    g.on(ended(OK))
    g.on(gang.MemberLost(EVALUATOR, 9, "closed"))
    g.on(joined(EVALUATOR, 10, incarnation=2))
    all_succeed(g)
    assert g.verdict() is None
    g.on(ended(OK, connection=10))
    assert g.verdict() is not None


def test_a_late_one_may_still_evaluate_while_others_are_awaited() -> None:
    g = Gang(workers=1, evaluator=True).running()
    g.ended("chief-0", OK)
    assert g.on(joined(EVALUATOR, 9), after=3) == (gang.Admit(9, 1, ADDRESSES[:2], FIRST),)
    g.ended("worker-0", OK)
    assert g.verdict() is None


def test_a_failed_gang_ends_at_once_and_tells_it() -> None:
    g = with_evaluator()
    g.ended("worker-0", BUG)
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == FAILED
    assert EVALUATOR in gang.peers_of(g.state)
    g.on(gang.MemberLost("worker-0", 1, "closed"))
    g.on(gang.MemberLost("worker-1", 2, "closed"))
    g.ended("chief-0", KILLED)
    assert isinstance(g.state, gang.Failed), "nobody waits for the evaluator to leave"


def test_a_terminated_chief_does_not_wait() -> None:
    g = with_evaluator()
    g.on(gang.Terminate())
    order = g.order()
    assert order is not None
    assert order.connections == (1, 2), "and the evaluator goes on"
    g.cleared(SAVED)
    assert isinstance(g.state, gang.Failed)


def test_a_chief_that_is_terminated_while_it_waits_has_succeeded() -> None:
    g = with_evaluator()
    all_succeed(g)
    g.on(gang.Terminate())
    verdict = g.verdict()
    assert verdict is not None
    assert verdict.outcome == SUCCEEDED


def test_a_workers_own_error_counts_while_the_evaluator_is_waited_for() -> None:
    """Errors are never hidden: the chief's success gave the worker its time, and it is still there."""
    g = Gang(workers=1, evaluator=True, timings=Timings(finish=5)).started()
    g.on(joined(EVALUATOR, 9))
    g.ended("chief-0", OK)
    assert g.on(gang.Tick(), after=5) == ()
    g.ended("worker-0", BUG)
    assert g.blamed() == "worker-0"


def test_it_goes_on_from_generation_to_generation_and_is_told_of_each() -> None:
    g = Gang(workers=1, evaluator=True).started()
    g.on(joined(EVALUATOR, 9))
    g.lost("worker-0")
    assert g.on(ended(OK)) == ()
    g.cleared()
    (announce,) = g.on(joined("worker-0", 10, incarnation=2))
    assert isinstance(announce, gang.Announce)
    assert EVALUATOR in gang.peers_of(g.state)
    assert g.on(ended(OK, generation=1)) == ()
    for name, end in (("worker-0", OK), ("chief-0", OK)):
        g.ended(name, end)
    assert g.verdict() is None, "it evaluates the last checkpoint"
    g.on(ended(OK, generation=2))
    assert g.verdict() is not None


@pytest.mark.parametrize("where", ["clearing", "waiting"])
def test_one_that_fails_between_two_generations_is_told_so(where: str) -> None:
    g = Gang(workers=1, evaluator=True).started()
    g.on(joined(EVALUATOR, 9))
    g.lost("worker-0")
    if where == "waiting":
        g.cleared()
    (dismiss,) = g.on(ended(BUG))
    assert isinstance(dismiss, gang.Dismiss)


# --- Its own launcher ---


def test_an_evaluator_that_finds_its_chief_again_starts_anew() -> None:
    state, _ = member.begin(EVALUATOR, Timings(), guest=True)
    start = member.Announced(1, 1, ADDRESSES)
    for event in (member.Connected(1), start):
        state, actions = member.step(state, event, 0.0)
    assert actions == (member.Start(1, ADDRESSES),)
    state, actions = member.step(state, member.Disconnected("broke"), 1.0)
    assert actions == (member.Stop(), member.Connect())
    state, _ = member.step(state, member.Connected(1), 2.0)
    state, actions = member.step(state, start, 2.0)
    assert actions == (), "the old trainer is not gone yet"
    state, actions = member.step(state, member.TrainerExited(1, KILLED), 3.0)
    assert actions == (member.Start(1, ADDRESSES),)
    assert member.step(state, start, 4.0)[1] == (), "said twice"


def test_a_dismissed_evaluator_ends_with_its_trainers_code() -> None:
    state, _ = member.begin(EVALUATOR, Timings(), guest=True)
    g = with_evaluator()
    for event in (member.Connected(1), member.Announced(1, 1, ADDRESSES)):
        state, _ = member.step(state, event, 0.0)
    state, (told,) = member.step(state, member.TrainerExited(1, TrainerExit(3, log_lines=BUG.log_lines)), 1.0)
    assert isinstance(told, member.TellExit)
    (dismissed,) = g.on(ended(told.end))
    assert isinstance(dismissed, gang.Dismiss)
    state, (finish,) = member.step(state, member.Ended(member.End(FAILED, dismissed.failure)), 1.0)
    assert isinstance(finish, member.Finish)
    assert (finish.code, finish.outcome) == (3, FAILED)


def test_its_trainer_runs_on_when_the_next_generation_begins() -> None:
    state, _ = member.begin(EVALUATOR, Timings(), guest=True)
    for event in (member.Connected(1), member.Announced(1, 1, ADDRESSES)):
        state, _ = member.step(state, event, 0.0)
    state, actions = member.step(state, member.Announced(1, 2, ADDRESSES), 1.0)
    assert actions == ()
    state, actions = member.step(state, member.TrainerExited(1, OK), 2.0)
    assert actions == (member.TellExit(2, OK),), "it is told as that of the generation that runs"
    state, actions = member.step(state, member.Announced(1, 3, ADDRESSES), 3.0)
    assert actions == (member.Start(3, ADDRESSES),)
