"""Gangs that may be smaller: when they go on with fewer, whom they ask before, and when they grow."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import SAVED, Gang, joined
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Ledger, Policy

ELASTIC = Policy(min_workers=1, elastic_wait=20.0, checkpoints=True)


def small(policy: Policy = ELASTIC) -> Gang:
    """A gang of a chief and one of two workers that has formed."""
    g = Gang(workers=2, policy=policy)
    g.on(joined("worker-1", 1))
    assert gang.deadline(g.state) == pytest.approx(20.0)
    assert g.on(gang.Tick(), after=20) == (gang.Confirm(0),)
    (announce,) = g.on(gang.Confirmed(0))
    assert isinstance(announce, gang.Announce)
    assert [name for name, _ in announce.addresses] == ["chief-0", "worker-1"]
    return g.at_step(1)


def test_it_forms_with_fewer_when_the_time_is_over_and_the_operator_says_yes() -> None:
    g = small()
    assert gang.size_of(g.state) == 2
    assert gang.unreachable(g.state) == (), "who has never come is not unreachable"


def test_never_below_the_minimum() -> None:
    g = Gang(workers=3, policy=Policy(min_workers=2, elastic_wait=20.0))
    g.on(joined("worker-1", 1))
    assert gang.deadline(g.state) is None
    assert g.on(gang.Tick(), after=1000) == ()
    assert g.on(joined("worker-0", 2)) == (gang.Confirm(0),)


def test_all_are_better_than_a_yes_for_fewer() -> None:
    g = Gang(workers=2, policy=ELASTIC)
    g.on(joined("worker-1", 1))
    g.on(gang.Tick(), after=20)
    (announce,) = g.on(joined("worker-0", 2))
    assert isinstance(announce, gang.Announce)
    assert len(announce.addresses) == 3


def test_a_gang_that_is_not_elastic_waits_for_all_and_asks_nobody() -> None:
    g = Gang(workers=2)
    g.on(joined("worker-1", 1))
    assert gang.deadline(g.state) is None


def test_it_asks_again_while_nobody_answers() -> None:
    g = Gang(workers=2, policy=ELASTIC)
    g.on(joined("worker-1", 1))
    g.on(gang.Tick(), after=20)
    assert gang.deadline(g.state) == pytest.approx(22.0)
    assert g.on(gang.Tick(), after=1) == ()
    assert g.on(gang.Tick(), after=1) == (gang.Confirm(0),)


def test_a_yes_for_another_generation_or_of_long_ago_is_none() -> None:
    g = Gang(workers=2, policy=ELASTIC, ledger=Ledger(generation=4))
    g.on(joined("worker-1", 1))
    g.on(gang.Tick(), after=20)
    assert g.on(gang.Confirmed(3)) == ()
    g.lost("worker-1")
    assert g.on(gang.Confirmed(4)) == ()
    assert g.on(joined("worker-1", 2), after=11) == (gang.Confirm(4),)


def test_one_that_is_lost_is_waited_for_and_then_done_without() -> None:
    g = Gang(workers=2, policy=ELASTIC).started()
    g.lost("worker-0")
    g.cleared()
    assert gang.deadline(g.state) == pytest.approx(20.0)
    g.on(gang.Tick(), after=20)
    (announce,) = g.on(gang.Confirmed(1))
    assert isinstance(announce, gang.Announce)
    assert announce.generation == 2
    assert gang.unreachable(g.state) == ("worker-0",), "its pod is still to be replaced"


def test_a_gang_that_was_as_small_before_does_not_wait_again() -> None:
    g = small()
    g.lost("worker-1")
    g.cleared()
    assert g.on(joined("worker-1", 5, incarnation=2), after=3) == (gang.Confirm(1),)


# --- Growth ---


def test_it_grows_when_the_missing_one_has_come_and_the_generation_has_run_for_a_while() -> None:
    g = small()
    assert g.on(joined("worker-0", 2), after=5) == ()
    assert gang.deadline(g.state) == pytest.approx(50.0), "thirty seconds after it began"
    (order,) = g.on(gang.Tick(), after=25)
    assert isinstance(order, gang.StopGeneration)
    assert (order.graceful, order.connections, order.failure.reason) == (True, (1, 2), "Resized")
    g.ended("worker-1", SAVED)
    (announce,) = g.ended("chief-0", SAVED)
    assert isinstance(announce, gang.Announce)
    assert [name for name, _ in announce.addresses] == ["chief-0", "worker-0", "worker-1"]
    assert announce.ledger.counted == 0
    assert gang.deadline(g.state) is None


def test_the_hold_down_is_never_shorter_than_the_wait() -> None:
    g = small(Policy(min_workers=1, elastic_wait=20.0, checkpoints=True))
    longer = Gang(workers=2, policy=Policy(min_workers=1, elastic_wait=300.0, checkpoints=True))
    longer.on(joined("worker-1", 1))
    longer.on(gang.Tick(), after=300)
    longer.on(gang.Confirmed(0))
    for one, at in ((g, 50.0), (longer, 600.0)):
        one.on(joined("worker-0", 2))
        assert gang.deadline(one.state) == pytest.approx(at)


def test_one_that_does_not_stay_is_not_waited_for() -> None:
    g = small()
    g.on(joined("worker-0", 2), after=5)
    assert g.lost("worker-0", after=5) == ()
    assert gang.deadline(g.state) is None
    assert isinstance(g.state, gang.Running), "and harms nobody"


def test_without_checkpoints_nobody_stops_the_training_to_grow() -> None:
    g = small(Policy(min_workers=1, elastic_wait=20.0))
    g.on(joined("worker-0", 2), after=500)
    assert gang.deadline(g.state) is None
    g.lost("worker-1")
    g.cleared()
    (announce,) = g.on(joined("worker-1", 3))
    assert isinstance(announce, gang.Announce)
    assert len(announce.addresses) == 3, "the next generation is whole all the same"


def test_an_exit_of_one_that_does_not_train_is_nothing() -> None:
    g = small()
    g.on(joined("worker-0", 2), after=5)
    assert g.terminating("worker-0") == ()
    assert gang.peers_of(g.state).keys() == {"chief-0", "worker-1"}
