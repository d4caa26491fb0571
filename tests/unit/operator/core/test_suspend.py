"""spec.suspend: a job gives its pods back, and goes on where it was."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import at, deleting, ended, final_report, job, platform, running, stamp
from tests.unit.operator.core.test_plan import condition, gang, trained
from tests.unit.operator.core.world import World
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import judge_refusal


class Suspendable(World):
    """A world whose job may be suspended and resumed; pods that are deleted end when their grace is over."""

    def suspend(self, value=True):
        self.spec = self.spec | {"suspend": value}

    def resume(self):
        self.suspend(False)

    def grace(self):
        """The kubelet removes what was deleted."""
        for pod in [pod.name for pod in self.pods.values() if pod.deleting]:
            self.vanish(pod)

    def bring_up(self):
        self.settle()
        self.start_all()
        self.settle()
        self.form()
        self.settle()

    def condition(self, kind):
        return next((c for c in self.status["conditions"] if c["type"] == kind), None)


def trains(workers=2, **spec):
    world = Suspendable(workers, spec=spec)
    world.bring_up()
    assert world.status["phase"] == Phase.RUNNING
    return world


class TestSuspendedFromTheStart:
    def test_it_has_no_pods_and_its_clock_stands_still(self):
        world = Suspendable(2)
        world.suspend()
        world.settle()
        world.tick(1000)
        world.settle()
        assert (world.created, len(world.written), world.events) == ([], 1, ["Suspended"])
        assert world.status["phase"] == Phase.SUSPENDED
        assert not {"startTime", "activeSeconds"} & world.status.keys()
        assert world.status["members"] | {"items": []} == {"desired": 2 + 1, "ready": 0, "items": []}
        assert (world.condition("Suspended")["status"], world.condition("Suspended")["reason"]) == (
            "True", "JobSuspended"
        )  # fmt: skip
        assert world.condition("MembersReady")["reason"] == "JobSuspended"

    def test_it_starts_when_it_is_resumed(self):
        world = Suspendable(2)
        world.suspend()
        world.settle()
        world.tick(1000)
        world.resume()
        world.bring_up()
        phases = [status["phase"] for status in world.written]
        assert phases == ["Suspended", "Pending", "Starting", "Running"]
        assert world.status["startTime"] == stamp(1000)
        assert "activeSeconds" not in world.status
        assert world.events == ["Suspended", "PodsCreated", "Resumed", "Running"]
        assert (world.condition("Suspended")["status"], world.condition("Suspended")["reason"]) == (
            "False", "JobResumed"
        )  # fmt: skip
        assert sorted(world.created) == ["mnist-chief-0", "mnist-worker-0", "mnist-worker-1"]

    def test_a_spec_that_is_wrong_is_said_at_once(self):
        plan = decide(job(suspend=True, nodePool={"name": "a10"}), (), (), platform(), at(0))
        assert plan.status["phase"] == Phase.INVALID

    def test_a_job_that_was_never_suspended_has_no_such_condition(self):
        assert trains().condition("Suspended") is None


class TestSuspendingAJobThatTrains:
    def test_the_status_says_so_before_any_pod_goes(self):
        """So that a pod that goes is never taken for a loss, whenever the operator dies."""
        world = trains()
        world.tick(60)
        world.suspend()
        first = world.reconcile()
        assert (first.status["phase"], first.deletes, first.look_again) == (Phase.SUSPENDED, (), world.now)
        assert [item["incarnation"] for item in first.status["members"]["items"]] == [1, 1, 1]
        second = world.reconcile()
        assert sorted(pod.member for pod in second.deletes) == ["chief-0", "worker-0", "worker-1"]

    def test_it_keeps_the_time_that_it_was_active(self):
        world = trains()
        world.tick(60)
        world.suspend()
        world.settle()
        assert world.status["activeSeconds"] == 60.0
        assert "startTime" not in world.status
        world.tick(1000)
        world.grace()
        world.settle()
        assert world.status["activeSeconds"] == 60.0

    def test_conditions_tell_when_the_pods_are_gone(self):
        world = trains()
        world.suspend()
        world.settle()
        assert world.status["display"]["members"] == "0/3"
        assert world.condition("MembersReady")["reason"] == "MembersEnding"
        world.vanish("mnist-worker-0")
        world.settle()
        assert world.condition("MembersReady")["reason"] == "MembersEnding"
        world.grace()
        world.settle()
        assert world.condition("MembersReady")["reason"] == "JobSuspended"
        assert [item for item in world.status["members"]["items"] if "pod" in item] == []
        assert world.condition("Running")["reason"] == "JobSuspended"

    def test_it_costs_two_status_writes_and_one_event(self):
        world = trains()
        written, told = len(world.written), len(world.events)
        world.suspend()
        world.settle()
        for name in list(world.pods):
            world.tick(1)
            world.vanish(name)
            world.settle()
        world.tick(1000)
        world.settle()
        assert (len(world.written) - written, world.events[told:]) == (2, ["Suspended"])

    @pytest.mark.parametrize("evaluated", [False, True])
    def test_all_that_runs_goes_and_what_has_ended_keeps_its_log(self, evaluated):
        status = trained() | {"phase": "Suspended"}
        fields = {"checkpoint": {"volume": {"emptyDir": {}}}, "evaluator": {}} if evaluated else {}
        pods = (
            running("chief"), ended(index=0, code=137), running(index=0, incarnation=2), deleting(running(index=1)),
            running("evaluator"),
        )  # fmt: skip
        plan = decide(job(status=status, suspend=True, **fields), pods, (), platform(), at(10))
        assert [pod.name for pod in plan.deletes] == ["mnist-chief-0", "mnist-worker-0-2", "mnist-evaluator-0"]
        assert plan.creates == ()

    def test_the_event_says_what_happens(self):
        plan = decide(job(status=trained(), suspend=True), gang(), (), platform(), at(32))
        assert [event.note for event in plan.events] == ["the job is suspended after 32 s; 3 pods save and end"]

    def test_each_suspension_is_told(self):
        told = set()
        for generation in (2, 4):
            spec = replace(job(status=trained(), suspend=True), generation=generation)
            told |= {(e.reason, e.about) for e in decide(spec, gang(), (), platform(), at(5)).events}
        assert len(told) == 2

    def test_a_stall_is_over(self):
        stalled = trained() | {"gang": {"stalledSeconds": 90}}
        stalled["conditions"] = [*stalled["conditions"], {"type": "Stalled", "status": "True"}]
        plan = decide(job(status=stalled, suspend=True), gang(), (), platform(), at(5))
        assert condition(plan, "Stalled")["status"] == "False"

    @pytest.mark.parametrize("phase", ["Pending", "Starting", "Running", "Restarting"])
    def test_in_any_phase(self, phase):
        plan = decide(job(status=trained() | {"phase": phase}, suspend=True), gang(), (), platform(), at(5))
        assert plan.status["phase"] == Phase.SUSPENDED

    def test_rules_about_lost_members_do_not_apply(self):
        rules = {"failurePolicy": {"rules": [{"reasons": ["MemberLost", "Evicted"], "action": "Fail"}]}}
        world = trains(**rules)
        world.suspend()
        world.settle()
        world.grace()
        world.settle()
        world.resume()
        world.bring_up()
        assert world.status["phase"] == Phase.RUNNING

    def test_no_deadline_passes_while_it_is_suspended(self):
        world = trains(runPolicy={"activeDeadlineSeconds": 100, "startupDeadlineSeconds": 50})
        world.tick(99)
        world.suspend()
        world.settle()
        world.tick(10_000)
        world.settle()
        assert world.status["phase"] == Phase.SUSPENDED
        world.resume()
        world.settle()
        assert world.status["phase"] == Phase.PENDING
        world.tick(1)
        world.settle()
        assert (world.status["phase"], world.status["failure"]["reason"]) == (Phase.FAILED, "DeadlineExceeded")

    def test_a_job_that_is_late_when_it_is_suspended_is_suspended(self):
        late = job(status=trained(), suspend=True, runPolicy={"activeDeadlineSeconds": 1})
        assert decide(late, gang(), (), platform(), at(1000)).status["phase"] == Phase.SUSPENDED


class TestTheEndWhileItSaves:
    def test_a_chief_that_ends_well_in_its_grace_has_succeeded(self):
        """Nothing is left to resume."""
        world = trains()
        world.tick(60)
        world.suspend()
        world.settle()
        world.end("mnist-chief-0", 0, final_report())
        world.settle()
        assert [status["phase"] for status in world.written][-2:] == ["Suspended", "Succeeded"]
        assert (world.status["activeSeconds"], "startTime" in world.status) == (60.0, False)
        assert world.condition("Suspended")["reason"] == "Finished"
        world.resume()
        world.settle()
        assert world.status["phase"] == Phase.SUCCEEDED

    def test_a_failure_that_is_final_is_final(self):
        plan = decide(
            job(status=trained() | {"phase": "Suspended"}, suspend=True),
            gang(chief=ended("chief", code=1, message=final_report("Failed"))),
            (),
            platform(),
            at(100),
        )
        assert plan.status["phase"] == Phase.FAILED


class TestResuming:
    def suspended(self, **spec):
        world = trains(**spec)
        world.tick(60)
        world.suspend()
        world.settle()
        return world

    @pytest.mark.parametrize("gone", [True, False], ids=["pods gone", "pods still saving"])
    def test_every_member_gets_its_next_incarnation(self, gone):
        world = self.suspended()
        if gone:
            world.grace()
            world.settle()
        world.tick(40)
        world.resume()
        before, told = len(world.written), len(world.events)
        world.bring_up()
        assert sorted(world.created[3:]) == ["mnist-chief-0-2", "mnist-worker-0-2", "mnist-worker-1-2"]
        assert [s["phase"] for s in world.written[before:]] == ["Pending", "Starting", "Running"]
        assert world.status["startTime"] == stamp(100)
        assert world.status["activeSeconds"] == 60.0
        assert world.events[told:] == ["PodsCreated", "Resumed", "Running"]
        assert world.training["generation"] == 2

    def test_it_is_free_of_charge_and_what_counted_before_counts_on(self):
        world = trains()
        world.crash("worker-1")
        world.settle()
        world.form()
        world.settle()
        world.end("mnist-worker-0", 137, reason="OOMKilled")
        world.bring_up()
        assert world.status["restarts"] == {"total": 2, "counted": 2, "free": 0}
        world.suspend()
        world.settle()
        world.grace()
        world.settle()
        assert world.status["restarts"] == {"total": 2, "counted": 2, "free": 0}
        world.pods.clear()
        world.resume()
        world.bring_up()
        assert world.status["restarts"] == {"total": 3, "counted": 2, "free": 1}
        assert [item.get("failures") for item in world.status["members"]["items"]] == [None, 1, None]
        assert world.knows["mnist-worker-0-3"] == 1

    def test_without_quota_it_waits_and_is_not_running(self):
        """The chief's last report says Running, but there is no chief."""
        world = self.suspended()
        world.grace()
        world.settle()
        world.quota = 0
        world.resume()
        world.settle()
        assert world.status["phase"] == Phase.PENDING
        assert world.condition("MembersReady")["reason"] == "QuotaExceeded"
        world.tick(60)
        world.quota = None
        world.bring_up()
        assert world.status["phase"] == Phase.RUNNING

    def test_before_the_pods_were_deleted_they_train_on(self):
        world = trains()
        world.tick(60)
        world.suspend()
        assert world.reconcile().status["phase"] == Phase.SUSPENDED
        world.resume()
        world.settle()
        assert (world.status["phase"], len(world.created)) == (Phase.RUNNING, 3)
        assert not any(pod.deleting for pod in world.pods.values())

    def test_time_adds_up_over_many_suspensions(self):
        world = trains()
        for _ in range(3):
            world.tick(10)
            world.suspend()
            world.settle()
            world.tick(500)
            world.grace()
            world.resume()
            world.bring_up()
        world.suspend()
        world.settle()
        assert world.status["activeSeconds"] == 30.0

    def test_a_node_pool_profile_that_is_gone_does_not_make_a_job_invalid_that_ran(self):
        status = {"phase": "Suspended", "activeSeconds": 3.0}
        plan = decide(job(status=status, suspend=True, nodePool={"name": "gone"}), (), (), platform(), at(5))
        assert plan.status["phase"] == Phase.SUSPENDED


def test_pods_that_the_api_server_refuses_after_a_resume_do_not_make_the_job_invalid():
    """What the job has been through would be gone from the status."""
    status = {"phase": "Pending", "startTime": stamp(50), "activeSeconds": 3.0}
    refused = judge_refusal("chief-0", 422, "Invalid", "no such runtime class", None, at(60))
    plan = decide(job(status=status), (), (refused,), platform(), at(60))
    assert plan.status["phase"] == Phase.PENDING
    assert condition(plan, "MembersReady")["reason"] == "PodRefused"


def test_a_large_gang_remembers_every_incarnation():
    """Its status has no room for all members while all goes well; when all pods go, nothing else knows."""
    world = trains(workers=40)
    world.suspend()
    world.settle()
    world.grace()
    world.settle()
    assert len(world.status["members"]["items"]) == 41
    world.resume()
    world.quota = 0
    world.settle()
    world.tick(60)
    world.quota = None
    world.settle()
    assert len(world.created) == 82
    assert all(name.endswith("-2") for name in world.created[41:])
