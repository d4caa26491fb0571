"""What becomes of a finished job: its pods by cleanPodPolicy, itself by ttlSecondsAfterFinished."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.core.builders import (
    at,
    deleting,
    ended,
    final_report,
    job,
    pending,
    platform,
    running,
    stamp,
)
from trainingjob_operator.core.plan import decide

#: The chief ended the job itself; worker-0 hangs, worker-1 has ended.
TOLD = (ended("chief", message=final_report()), running(index=0), ended(index=1))
#: The operator ended the job: nobody told the gang.
NOT_TOLD = (running("chief"), running(index=0), ended(index=1, code=137), pending("evaluator"))


def finished(phase="Succeeded", training=None, **policy):
    status = {"phase": phase, "completionTime": stamp(30)}
    return job(status=status | ({"training": training} if training else {}), runPolicy=policy)


def look(job, pods, seconds):
    plan = decide(job, pods, (), platform(), at(seconds))
    assert (plan.creates, plan.status, plan.events) == ((), None, ())
    return sorted(pod.member for pod in plan.deletes), plan.look_again, plan.delete_job


class TestPods:
    @pytest.mark.parametrize(
        ("policy", "goes"),
        [
            ("None", []),
            ("Running", ["worker-0"]),
            ("All", ["chief-0", "worker-0", "worker-1"]),
        ],
    )
    def test_what_goes_goes_after_a_grace_for_last_words(self, policy, goes):
        job = finished(cleanPodPolicy=policy)
        due = at(45) if goes else None
        assert look(job, TOLD, 30) == ([], due, False)
        assert look(job, TOLD, 44.9) == ([], due, False)
        assert look(job, TOLD, 45) == (goes, None, False)
        assert look(job, TOLD, 10_000) == (goes, None, False)

    @pytest.mark.parametrize("policy", ["None", "Running", "All"])
    def test_a_gang_that_nobody_told_is_stopped_at_once_by_any_policy(self, policy):
        """It would go on training, or wait for a next chief for ever."""
        job = finished("Failed", cleanPodPolicy=policy)
        rest = at(45) if policy == "All" else None
        assert look(job, NOT_TOLD, 30) == (["chief-0", "evaluator-0", "worker-0"], rest, False)
        goes = ["chief-0", "evaluator-0", "worker-0"] + (["worker-1"] if policy == "All" else [])
        assert look(job, NOT_TOLD, 45)[0] == sorted(goes)

    def test_a_chief_that_ended_without_the_last_word_told_nobody(self):
        """Out of memory once too often: its workers wait for the next chief."""
        pods = (ended("chief", code=137, reason="OOMKilled"), running(index=0))
        assert look(finished("Failed", cleanPodPolicy="None"), pods, 30)[0] == ["worker-0"]

    def test_a_chief_whose_pod_is_gone_has_told_the_gang_if_it_told_the_intake(self):
        told = finished(training={"final": True, "state": "Succeeded"}, cleanPodPolicy="None")
        assert look(told, (running(index=0),), 100) == ([], None, False)

    def test_the_newest_chief_is_asked(self):
        pods = (ended("chief", code=143), ended("chief", message=final_report(), incarnation=2), running(index=0))
        assert look(finished(cleanPodPolicy="Running"), pods, 30) == ([], at(45), False)

    @pytest.mark.parametrize("policy", ["None", "Running", "All"])
    def test_pods_that_are_going_are_left_to_go(self, policy):
        pods = tuple(deleting(pod) for pod in NOT_TOLD)
        assert look(finished("Failed", cleanPodPolicy=policy), pods, 100) == ([], None, False)

    def test_the_policy_may_be_changed_after_the_end(self):
        assert look(finished(cleanPodPolicy="None"), TOLD, 500)[0] == []
        assert look(finished(cleanPodPolicy="All"), TOLD, 500)[0] == ["chief-0", "worker-0", "worker-1"]


@pytest.mark.parametrize("report", ["Succeeded", "Failed"])
def test_the_end_is_looked_at_again_at_once_for_what_it_owes(report):
    """No pod may ever change again, and nobody else tells."""
    pods = (ended("chief", code=0 if report == "Succeeded" else 1, message=final_report(report)), running(index=0))
    status = {"phase": "Running", "startTime": stamp(0), "training": {"generation": 1, "state": "Running"}}
    plan = decide(job(1, status), pods, (), platform(), at(40))
    assert (plan.status["phase"], plan.look_again) == (report, at(40))


class TestTimeToLive:
    def test_without_one_the_job_stays(self):
        assert look(finished(cleanPodPolicy="None"), TOLD, 10_000_000) == ([], None, False)

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    def test_it_is_deleted_at_its_time_and_never_before(self, phase):
        job = finished(phase, ttlSecondsAfterFinished=100)
        assert look(job, (), 129.999) == ([], at(130), False)
        assert look(job, (), 130) == ([], None, True)

    def test_it_fires_after_any_downtime(self):
        assert look(finished(ttlSecondsAfterFinished=100), (), 10_000_000) == ([], None, True)

    def test_zero_is_at_once(self):
        assert look(finished(ttlSecondsAfterFinished=0), TOLD, 30) == ([], None, True)

    def test_the_pods_clean_up_does_not_wait_for_it(self):
        job = finished(ttlSecondsAfterFinished=100)
        assert look(job, TOLD, 30) == ([], at(45), False)
        assert look(job, TOLD, 45) == (["worker-0"], at(130), False)

    def test_it_may_be_changed_after_the_end(self):
        assert look(finished(ttlSecondsAfterFinished=1000), (), 500) == ([], at(1030), False)
        assert look(finished(ttlSecondsAfterFinished=10), (), 500) == ([], None, True)

    def test_a_job_that_has_not_finished_is_never_deleted(self):
        going = job(status={"phase": "Running", "startTime": stamp(0)}, runPolicy={"ttlSecondsAfterFinished": 0})
        assert not decide(going, (running("chief"),), (), platform(), at(1000)).delete_job

    def test_without_a_completion_time_nobody_knows_its_time(self):
        job = finished(ttlSecondsAfterFinished=0)
        assert look(replace(job, status={"phase": "Failed"}), (), 1000) == ([], None, False)

    def test_one_that_is_being_deleted_is_left_alone(self):
        going = replace(finished(ttlSecondsAfterFinished=0), deleting=True)
        assert look(going, TOLD, 1000) == ([], None, False)

    @given(ttl=st.integers(0, 31_536_000), after=st.floats(0, 40_000_000))
    def test_looking_again_when_told_always_leads_to_the_deletion(self, ttl, after):
        job = finished(ttlSecondsAfterFinished=ttl)
        _, again, delete = look(job, (), 30 + after)
        assert delete == (after >= ttl)
        if not delete:
            assert look(job, (), (again - at(0)).total_seconds()) == ([], None, True)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize("suspend", [True, False])
def test_a_finished_job_is_never_run_again(phase, suspend):
    """Whatever happens to its pods, to spec.suspend and to its policy: no pod, no status, no event."""
    status = {"phase": phase, "completionTime": stamp(30), "activeSeconds": 5}
    for pods in ((), TOLD, NOT_TOLD, tuple(deleting(pod) for pod in TOLD)):
        for policy in ({}, {"activeDeadlineSeconds": 1, "startupDeadlineSeconds": 1}, {"cleanPodPolicy": "All"}):
            look(job(status=status, suspend=suspend, runPolicy=policy), pods, 1000)
