"""Which members are taken for lost though their pods seem to run."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import at, job, pending, running, stamp
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.reachable import out_of_sight

START = 1.0


def pods(**changes):
    given = {"chief": running("chief"), "w0": running(index=0), "w1": running(index=1)} | changes
    return tuple(pod for pod in given.values() if pod is not None)


def lost(now, members=None, spec=None, state="Running", incarnation=1, reported=100.0, workers=2, **gang):
    """Who is lost at `now`, and when it is looked at again, in seconds."""
    training = {
        "generation": 3, "state": state, "incarnation": incarnation, "lastReportTime": stamp(reported)
    }  # fmt: skip
    fact = job(workers=workers, status={"phase": "Running", "training": training, "gang": gang}, **(spec or {}))
    found, again = out_of_sight(fact, assemble(fact.spec, members or pods(), {}), at(now))
    return set(found), None if again is None else (again - at(0)).total_seconds()


def missed(*names, since=100.0):
    return [{"name": name, "since": stamp(since)} for name in names]


def silent(pod, since=90.0):
    return replace(pod, out_of_sight_since=at(since))


CHIEF_LOST = {"incarnation": 1, "member": "worker-0", "since": stamp(100)}


class TestWorkers:
    def test_nobody_is_lost_while_nobody_is_missed(self):
        assert lost(500) == (set(), None)

    def test_one_that_the_chief_misses_is_lost_after_the_grace(self):
        assert lost(105, unreachable=missed("worker-1")) == (set(), 110)
        assert lost(110, unreachable=missed("worker-1")) == ({"worker-1"}, None)

    def test_the_grace_is_the_jobs(self):
        spec = {"failurePolicy": {"replaceAfterSeconds": 60}}
        assert lost(159, spec=spec, unreachable=missed("worker-1")) == (set(), 160)
        assert lost(160, spec=spec, unreachable=missed("worker-1"))[0] == {"worker-1"}

    def test_one_on_a_silent_node_that_is_missed_is_lost_at_once(self):
        members = pods(w1=silent(running(index=1)))
        assert lost(101, members, unreachable=missed("worker-1"))[0] == {"worker-1"}

    def test_a_silent_node_alone_is_no_loss_while_the_gang_trains(self):
        """Only the API server may be cut off: the training may well come to its end."""
        assert lost(500, pods(w1=silent(running(index=1)))) == (set(), None)

    @pytest.mark.parametrize("state", ["Forming", "Restarting"])
    def test_a_silent_node_is_a_loss_while_it_does_not(self, state):
        assert lost(101, pods(w1=silent(running(index=1))), state=state)[0] == {"worker-1"}

    def test_its_next_pod_is_not_taken_for_it(self):
        """The status says that it is missed until the chief has reported that it came."""
        again = pods(w1=running(index=1, incarnation=2, since=120))
        assert lost(135, again, unreachable=missed("worker-1"))[0] == set()
        # the intake is out of reach: what it said before this pod says nothing of it
        assert lost(900, again, unreachable=missed("worker-1"))[0] == set()

    def test_a_next_pod_that_never_joins_is_lost_too_when_a_late_report_says_so(self):
        again = pods(w1=running(index=1, incarnation=2, since=120))
        assert lost(195, again, reported=189, unreachable=missed("worker-1"))[0] == set()
        assert lost(195, again, reported=190, unreachable=missed("worker-1"))[0] == {"worker-1"}

    def test_one_whose_pod_waits_for_a_node_is_not_lost_twice(self):
        assert lost(500, pods(w1=pending(index=1)), unreachable=missed("worker-1"))[0] == set()


class TestTheChief:
    def test_it_is_lost_when_workers_have_missed_it_for_the_grace(self):
        assert lost(105, reported=99, chiefLost=CHIEF_LOST) == (set(), 110)
        assert lost(110, reported=99, chiefLost=CHIEF_LOST) == ({"chief-0"}, None)

    def test_a_chief_that_reports_seldom_has_two_of_its_intervals_to_be_heard(self):
        """Else a worker that is confused could have a chief replaced that trains happily."""
        spec = {"failurePolicy": {"replaceAfterSeconds": 5}, "reporting": {"intervalSeconds": 20}}
        assert lost(139, spec=spec, reported=99, chiefLost=CHIEF_LOST) == (set(), 140)
        assert lost(140, spec=spec, reported=99, chiefLost=CHIEF_LOST)[0] == {"chief-0"}
        # whom the chief itself misses is its own word
        assert lost(105, spec=spec, unreachable=missed("worker-1"))[0] == {"worker-1"}

    def test_with_its_node_at_once(self):
        assert lost(101, pods(chief=silent(running("chief"))), reported=80, chiefLost=CHIEF_LOST)[0] == {"chief-0"}

    def test_what_was_said_of_its_last_pod_is_not_said_of_this_one(self):
        members = pods(chief=running("chief", incarnation=2))
        assert lost(500, members, incarnation=1, chiefLost=CHIEF_LOST)[0] == set()

    def test_one_worker_that_is_cut_off_from_it_does_not_take_it_away(self):
        spoken = {"chiefLost": CHIEF_LOST, "unreachable": missed("worker-0")}
        members = {"workers": 4, "members": (*pods(), running(index=2), running(index=3))}
        assert lost(111, reported=110, state="Restarting", **members, **spoken)[0] == {"worker-0"}
        # it is silent itself since
        assert "chief-0" in lost(200, reported=110, state="Restarting", **members, **spoken)[0]

    def test_cut_off_from_most_of_its_gang_it_is_the_one_that_is_replaced(self):
        spoken = {"chiefLost": CHIEF_LOST, "unreachable": missed("worker-0", "worker-1")}
        assert lost(111, reported=110, state="Restarting", **spoken)[0] == {"chief-0"}

    def test_alone_on_a_silent_node_nobody_is_left_to_miss_it(self):
        alone = (silent(running("chief"), since=100),)
        assert lost(105, alone, workers=0, reported=99) == (set(), 110)
        assert lost(110, alone, workers=0, reported=99)[0] == {"chief-0"}
        assert lost(110, alone, workers=0, reported=101)[0] == set()

    def test_a_node_with_the_whole_gang_takes_all_of_it(self):
        silent_all = tuple(silent(pod, since=100) for pod in pods())
        assert lost(110, silent_all, reported=99)[0] == {"chief-0", "worker-0", "worker-1"}
