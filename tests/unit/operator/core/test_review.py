"""What follows from a job and its pods before anything is decided, and when it has to be looked at again."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import at, ended, final_report, job, running, stamp
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.replacement import surplus
from trainingjob_operator.core.review import review
from trainingjob_operator.core.situation import Situation, earliest

UP = (running("chief"), running(index=0), running(index=1))


def seen(pods=UP, now=60.0, phase="Running", generation=3, gang=None, spec=None, **fields):
    training = {"generation": generation, "incarnation": 1, "state": "Running"}
    fact = job(status={"phase": phase, "training": training, "gang": gang or {}} | fields, **(spec or {}))
    given = assemble(fact.spec, pods, {})
    return review(Situation(fact, tuple(pods), (), at(now)), given)


def fate(found, name):
    return next(fate for fate in found.fates if fate.member.name == name)


class TestGenerations:
    def test_the_newest_number_that_anybody_has_told(self):
        assert seen(generation=3).generation == 3
        assert seen(generation=3, gang={"ledger": {"generation": 5, "counted": 1}}).generation == 5
        assert seen(generation=0).generation == 0

    @pytest.mark.parametrize(
        ("fields", "ended_generation"),
        [
            ({"generation": 3}, 2),
            ({"generation": 3, "pods": UP[:2]}, 3),
            ({"generation": 3, "failure": {"generation": 2, "reason": "MemberLost"}}, 2),
            ({"generation": 3, "failure": {"generation": 3, "reason": "MemberLost"}}, 3),
            ({"generation": 1}, 0),
            ({"generation": 0, "pods": UP[:2]}, 0),
        ],
    )
    def test_which_is_over(self, fields, ended_generation):
        assert seen(**fields).ended_generation == ended_generation

    def test_a_lost_pod_interrupts_only_a_gang_that_ran(self):
        assert seen(UP[:2]).interrupted
        assert not seen(UP[:2], phase="Starting").interrupted


class TestFates:
    def test_the_tally_is_over_all_members(self):
        pods = (UP[0], replace(running(index=0, incarnation=3), failures=2), ended(index=1, code=137, when=40))
        found = seen(pods)
        assert found.pod_failures == 3
        assert fate(found, "worker-1").counted
        assert not fate(found, "worker-0").counted

    def test_a_worker_that_ended_by_itself_is_judged_later(self):
        found = seen((*UP[:2], ended(index=1, code=3, when=58)))
        assert fate(found, "worker-1").judge_at == at(73)
        assert fate(found, "worker-1").verdict is None
        assert found.look_again == at(73)
        late = seen((*UP[:2], ended(index=1, code=3, when=58)), now=73)
        assert fate(late, "worker-1").counted

    def test_but_at_once_where_the_chief_can_say_no_more(self):
        both = (ended("chief", code=137, when=59), UP[1], ended(index=1, code=3, when=58))
        assert fate(seen(both), "worker-1").verdict is not None

    def test_when_the_chief_has_ended_the_job_nobody_is_replaced(self):
        over = (ended("chief", when=59, message=final_report()), UP[1], ended(index=1, code=137, when=58))
        assert all(fate.verdict is None and fate.replace_at is None for fate in seen(over).fates)

    def test_it_looks_again_when_the_first_of_several_waits_is_over(self):
        unseen = {"unreachable": [{"name": "worker-0", "since": stamp(57)}]}
        found = seen((*UP[:2], ended(index=1, code=3, when=58)), gang=unseen)
        assert found.look_again == at(67)

    def test_rules_look_at_losses_of_a_gang_that_ran_only(self):
        """Pods of a job that was suspended are gone too."""
        spec = {"failurePolicy": {"rules": [{"reasons": ["MemberLost"], "action": "Restart"}]}}
        going = (*UP[:2], replace(running(index=1), deleting=True))
        assert fate(seen(going, spec=spec), "worker-1").counted
        assert not fate(seen(going, spec=spec, phase="Pending"), "worker-1").counted


class TestWhatIsTooMuch:
    def names(self, found):
        return sorted(pod.name for pod in surplus(found.gang, found.fates))

    def test_a_pod_with_a_successor_that_still_runs(self):
        assert self.names(seen((*UP, running(index=1, incarnation=2)))) == ["mnist-worker-1"]

    def test_one_that_is_out_of_sight(self):
        unseen = {"unreachable": [{"name": "worker-0", "since": stamp(40)}]}
        assert self.names(seen(gang=unseen)) == ["mnist-worker-0"]

    def test_of_ended_ones_three_are_kept(self):
        old = [ended(index=1, code=137, incarnation=number, when=number) for number in range(1, 6)]
        assert self.names(seen((*UP[:2], *old))) == ["mnist-worker-1", "mnist-worker-1-2"]

    def test_nothing(self):
        assert self.names(seen()) == []


class TestTheSituation:
    def test_small_news_are_written_each_ten_seconds(self):
        fact = job(status={"startTime": stamp(0)})
        assert not Situation(fact, (), (), at(9)).settled
        assert Situation(fact, (), (), at(10)).settled
        assert not Situation(fact, (), (), at(19), written_at=at(10)).settled
        assert not Situation(job(), (), (), at(500)).settled, "nothing was written yet"

    def test_the_first_of_some_times(self):
        assert earliest(None, at(5), at(3), None) == at(3)
        assert earliest(None) is None
        assert earliest() is None
