"""Phases: the table of what is seen, and the way from the phase that is written to the one that is seen."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.core.builders import at, deleting, ended, job, pending, running, stamp
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.phase import interrupted, observed_phase, restarted_unseen, step_towards
from trainingjob_operator.core.status import known_incarnations

UP = (running("chief"), running(index=0), running(index=1))


def seen(pods, status, failed=0, now=30.0):
    fact = job(status=status)
    phase, again = observed_phase(fact, assemble(fact.spec, pods, known_incarnations(fact)), failed, at(now))
    return phase, None if again is None else (again - at(0)).total_seconds()


def ready(since):
    return [{"type": "MembersReady", "status": "True", "lastTransitionTime": stamp(since)}]


def told(phase="Running", generation=2, state="Running", incarnation=1, final=False, **gang):
    training = {"generation": generation, "state": state, "incarnation": incarnation, "final": final}
    return {"phase": phase, "training": training, "gang": gang}


class TestBeforeItTrains:
    def test_it_is_pending_until_all_members_run(self):
        assert seen((*UP[:2], pending(index=1)), {"phase": "Pending"}) == (Phase.PENDING, None)
        assert seen(UP[:2], {"phase": "Pending"}) == (Phase.PENDING, None)

    def test_all_run_and_nobody_has_reported(self):
        """The intake may be out of reach, which stops no training: after a minute it is taken to run."""
        status = {"phase": "Starting", "conditions": ready(10)}
        assert seen(UP, status, now=69) == (Phase.STARTING, 70)
        assert seen(UP, status, now=70) == (Phase.RUNNING, None)

    def test_one_that_has_reported_that_it_forms_is_not_taken_to_run(self):
        status = {"phase": "Starting", "conditions": ready(10), "training": {"state": "Forming", "generation": 0}}
        assert seen(UP, status, now=900) == (Phase.STARTING, None)

    def test_the_chiefs_word_that_a_generation_trains_wins_over_what_pods_show(self):
        assert seen((*UP[:2], pending(index=1)), told("Starting")) == (Phase.RUNNING, None)

    def test_the_word_of_a_chief_that_was_replaced_does_not(self):
        """A job that was resumed has the reports of its last chief in its status."""
        pods = (running("chief", incarnation=2), *UP[1:])
        assert seen(pods, told("Starting", incarnation=1))[0] is Phase.STARTING
        assert seen(pods, told("Starting", incarnation=2))[0] is Phase.RUNNING


class TestWhileItTrains:
    @pytest.mark.parametrize("written", ["Running", "Restarting"])
    def test_a_whole_gang_whose_chief_says_so_runs(self, written):
        assert seen(UP, told(written)) == (Phase.RUNNING, None)

    @pytest.mark.parametrize("state", ["Forming", "Restarting", "Terminated"])
    def test_a_generation_that_is_over_by_the_chiefs_word(self, state):
        assert seen(UP, told(state=state)) == (Phase.RESTARTING, None)

    @pytest.mark.parametrize(
        "pods",
        [
            UP[:2],
            (*UP[:2], pending(index=1)),
            (*UP[:2], ended(index=1, code=137)),
            (*UP[:2], deleting(running(index=1))),
            (deleting(running("chief")), *UP[1:]),
        ],
    )
    def test_a_member_that_is_gone_interrupts_it_before_anybody_says_so(self, pods):
        assert seen(pods, told()) == (Phase.RESTARTING, None)

    def test_the_end_of_the_job_is_no_restart(self):
        """The chief has said how it ended; one member's pod is seen to end before the chief's."""
        pods = (*UP[:2], ended(index=1, code=1))
        assert seen(pods, told(state="Failed", final=True, incarnation=1)) == (Phase.RUNNING, None)
        assert seen(pods, told("Restarting", state="Failed", final=True, incarnation=1))[0] is Phase.RESTARTING
        after = (running("chief", incarnation=2), *pods[1:])
        assert seen(after, told(state="Failed", final=True, incarnation=1))[0] is Phase.RESTARTING

    def test_a_smaller_gang_is_whole_without_those_that_it_has_left_behind(self):
        assert seen((*UP[:2], pending(index=1)), told(size=2)) == (Phase.RUNNING, None)
        assert seen(UP[:1], told(size=2)) == (Phase.RESTARTING, None)

    def test_but_never_without_its_chief(self):
        assert seen((pending("chief"), *UP[1:]), told(size=2)) == (Phase.RESTARTING, None)

    def test_a_chief_that_its_workers_miss(self):
        lost = {"incarnation": 1, "member": "worker-0", "since": stamp(20)}
        status = told(chiefLost=lost)
        status["training"]["lastReportTime"] = stamp(10)
        assert seen(UP, status) == (Phase.RESTARTING, None)

    def test_a_generation_that_is_known_to_have_failed_is_over(self):
        assert seen(UP, told(generation=2), failed=1) == (Phase.RUNNING, None)
        assert seen(UP, told(generation=2), failed=2) == (Phase.RESTARTING, None)

    def test_a_member_whose_next_pod_is_up_before_anybody_wrote_that_it_lost_its_last(self):
        """Nobody joins a generation that has formed: the chief has yet to say that it is over."""
        pods = (*UP[:2], running(index=1, incarnation=2))
        status = told(generation=2) | {"restarts": {"total": 1}}
        assert seen(pods, status) == (Phase.RESTARTING, None)
        known = status | {"members": {"items": [{"name": "worker-1", "incarnation": 2}]}}
        assert seen(pods, known) == (Phase.RUNNING, None)
        formed = told(generation=3) | {"restarts": {"total": 1}}
        assert seen(pods, formed) == (Phase.RUNNING, None), "the chief said so"

    def test_one_of_those_that_a_smaller_gang_has_left_behind_may_have_a_new_pod(self):
        status = told(generation=2, size=2) | {"restarts": {"total": 1}}
        assert seen((*UP[:2], running(index=1, incarnation=2)), status) == (Phase.RUNNING, None)

    def test_a_member_that_has_done_its_part_interrupts_nothing(self):
        fact = job(status=told())
        assert not interrupted(fact, assemble(fact.spec, (*UP[:2], ended(index=1)), {}))


class TestWhatNobodySaw:
    def fact(self, phase, generation, total):
        return job(status={"phase": phase, "training": {"generation": generation}, "restarts": {"total": total}})

    def test_a_restart_that_was_over_before_it_was_written(self):
        assert restarted_unseen(self.fact("Running", 3, 1), Phase.RUNNING)
        assert restarted_unseen(self.fact("Running", 3, 1), Phase.SUCCEEDED)

    def test_none(self):
        assert not restarted_unseen(self.fact("Running", 2, 1), Phase.RUNNING)
        assert not restarted_unseen(self.fact("Restarting", 3, 1), Phase.RUNNING)
        assert not restarted_unseen(self.fact("Running", 3, 1), Phase.RESTARTING)
        assert not restarted_unseen(job(status={"phase": "Running", "training": {"generation": 3}}), Phase.RUNNING)


class TestTheWay:
    @pytest.mark.parametrize(
        ("written", "target", "way"),
        [
            (None, Phase.SUCCEEDED, "Pending Starting Running Succeeded"),
            (None, Phase.RESTARTING, "Pending Starting Running Restarting"),
            (Phase.STARTING, Phase.RUNNING, "Running"),
            (Phase.STARTING, Phase.PENDING, "Pending"),
            (Phase.RUNNING, Phase.RESTARTING, "Restarting"),
            (Phase.RESTARTING, Phase.RUNNING, "Running"),
            (Phase.RESTARTING, Phase.SUCCEEDED, "Running Succeeded"),
            (Phase.PENDING, Phase.FAILED, "Failed"),
            (Phase.RESTARTING, Phase.FAILED, "Failed"),
            (Phase.RUNNING, Phase.SUSPENDED, "Suspended"),
            (Phase.SUSPENDED, Phase.PENDING, "Pending"),
            (Phase.SUSPENDED, Phase.SUCCEEDED, "Succeeded"),
        ],
    )
    def test_no_phase_is_left_out(self, written, target, way):
        assert " ".join(walk(written, target)) == way

    @pytest.mark.parametrize(
        ("written", "target", "way"),
        [
            (None, Phase.PENDING, "Pending"),
            (None, Phase.STARTING, "Starting"),
            (None, Phase.SUCCEEDED, "Running Succeeded"),
            (Phase.PENDING, Phase.RUNNING, "Running"),
            (Phase.STARTING, Phase.PENDING, "Pending"),
            (None, Phase.RESTARTING, "Running Restarting"),
            (Phase.RESTARTING, Phase.SUCCEEDED, "Running Succeeded"),
        ],
    )
    def test_in_a_hurry_what_is_over_before_it_ran_is(self, written, target, way):
        assert " ".join(walk(written, target, hurried=True)) == way

    @given(written=st.none() | st.sampled_from(Phase), target=st.sampled_from(Phase), hurried=st.booleans())
    def test_it_always_ends_there(self, written, target, hurried):
        way = walk(written, target, hurried=hurried)
        assert not way or way[-1] == target
        assert all(before != after for before, after in pairwise([written, *way]))


def walk(written, target, *, hurried=False):
    """The phases that are written one after the other."""
    out = []
    while written is not target:
        written = step_towards(written, target, hurried=hurried)
        out.append(written)
        assert len(out) < 6, out
    return out
