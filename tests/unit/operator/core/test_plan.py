"""decide(): what is to be done about a job, case by case."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import (
    at,
    deleting,
    ended,
    final_report,
    forbidden,
    job,
    job_body,
    pending,
    platform,
    running,
    stamp,
    trainer,
)
from trainingjob_launcher.contract import Failure
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.observe import observe_job
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import await_predecessor, judge_refusal

NOW = at(5)
CRASH = Failure("worker-1", "ProgramError", "ValueError: bad", exit_code=1, generation=1, last_log_lines=("a", "b"))


def gang(**changes):
    """A gang of three, all running; a keyword replaces one member's pod or, with None, removes it."""
    pods = {"chief": running("chief"), "w0": running(index=0), "w1": running(index=1)} | changes
    return tuple(pod for pod in pods.values() if pod is not None)


def status(phase):
    """The status of a job that came to this phase by the healthy path, all pods running."""
    written = {}
    for wanted in (Phase.PENDING, Phase.STARTING, Phase.RUNNING):
        if wanted is Phase.RUNNING:
            written["training"] = {"generation": 1, "state": "Running"}
        plan = decide(job(status=written), gang(), (), platform(), at(0))
        written = written | (plan.status or {})
        assert written["phase"] == wanted
        if wanted is phase:
            break
    return written


def trained(phase=Phase.RUNNING):
    return status(phase) | {"training": {"generation": 1, "state": "Running"}}


def refusal(subject, error, previous=None, now=NOW):
    return judge_refusal(subject, *error, previous, now)


def condition(plan, kind):
    return next(c for c in plan.status["conditions"] if c["type"] == kind)


def reasons(plan):
    return [event.reason for event in plan.events]


class TestTheHealthyPath:
    def test_a_new_job_gets_all_its_pods_and_the_service_at_once(self):
        plan = decide(job(workers=2), (), (), platform(), NOW)
        assert [c.subject for c in plan.creates] == ["service", "chief-0", "worker-0", "worker-1"]

    def test_a_chief_alone_needs_no_service(self):
        plan = decide(job(workers=0), (), (), platform(), NOW)
        assert [c.subject for c in plan.creates] == ["chief-0"]

    def test_it_is_pending_while_pods_start_and_says_all_conditions(self):
        plan = decide(job(), gang(w1=pending(index=1)), (), platform(), NOW)
        assert plan.status["phase"] == Phase.PENDING
        assert {c["type"]: c["status"] for c in plan.status["conditions"]} == {
            "Valid": "True", "MembersReady": "False", "Running": "False", "Succeeded": "False", "Failed": "False",
        }  # fmt: skip
        assert plan.status["display"] == {"members": "2/3", "node": "node-a"}
        assert reasons(plan) == ["PodsCreated"]

    def test_it_is_starting_when_all_pods_run(self):
        plan = decide(job(status=status(Phase.PENDING)), gang(), (), platform(), NOW)
        assert plan.status["phase"] == Phase.STARTING
        assert condition(plan, "MembersReady") | {"message": ""} == {
            "type": "MembersReady", "status": "True", "reason": "MembersRunning", "message": "",
            "observedGeneration": 1, "lastTransitionTime": stamp(1),
        }  # fmt: skip

    def test_it_is_running_when_the_chief_reported_a_generation(self):
        plan = decide(job(status=trained(Phase.STARTING)), gang(), (), platform(), NOW)
        assert plan.status["phase"] == Phase.RUNNING
        assert condition(plan, "Running")["reason"] == "GangFormed"
        assert reasons(plan) == ["Running"]

    def test_it_succeeds_with_its_chief(self):
        pods = gang(chief=ended("chief", message=final_report(), when=30))
        plan = decide(job(status=trained()), pods, (), platform(), at(31))
        assert plan.status["phase"] == Phase.SUCCEEDED
        assert plan.status["completionTime"] == stamp(30)
        assert condition(plan, "Succeeded")["status"] == "True"
        assert condition(plan, "Succeeded")["lastTransitionTime"] == stamp(30)
        assert plan.final_report.training.metrics["accuracy"] == 0.97
        assert reasons(plan) == ["Succeeded"]
        assert "accuracy=0.97" in plan.events[0].note

    @pytest.mark.parametrize(
        ("nodes", "shown"),
        [
            (("gpu-1", "gpu-1", "gpu-1"), "gpu-1"),
            (("gpu-1", "gpu-2", "gpu-3"), "gpu-1 (+2)"),
            (("gpu-1", "gpu-2", "gpu-2"), "gpu-1 (+1)"),
            (("gpu-1", "gpu-2", ""), "gpu-1 (+1)"),
            (("", "gpu-2", ""), "? (+1)"),
            (("", "", ""), None),
        ],
    )
    def test_it_shows_the_chiefs_node_and_how_many_others_there_are(self, nodes, shown):
        pods = [replace(pod, node=node) for pod, node in zip(gang(), nodes, strict=True)]
        assert decide(job(), pods, (), platform(), NOW).status["display"].get("node") == shown

    @pytest.mark.parametrize(("generation", "total"), [(1, 0), (3, 2)])
    def test_restarts_are_the_generations_after_the_first(self, generation, total):
        ran = trained(Phase.STARTING)
        ran["training"]["generation"] = generation
        shown = decide(job(status=ran), gang(), (), platform(), NOW).status["restarts"]
        assert shown == {"total": total, "counted": 0, "free": total}
        assert "restarts" not in decide(job(status=status(Phase.PENDING)), gang(), (), platform(), NOW).status

    def test_the_last_status_says_nothing_of_pods_that_is_not_final(self):
        """The other members' pods end a moment later, and no more status is written then."""
        pods = gang(chief=ended("chief", message=final_report()), w0=ended(index=0))
        items = decide(job(status=trained()), pods, (), platform(), at(31)).status["members"]["items"]
        assert [item.get("phase") for item in items] == ["Succeeded", "Succeeded", None]

    def test_nothing_is_done_twice(self):
        first = decide(job(status=status(Phase.PENDING)), gang(), (), platform(), NOW)
        again = decide(job(status=first.status), gang(), (), platform(), NOW)
        assert (again.creates, again.deletes, again.status, again.events) == ((), (), None, ())

    def test_a_job_that_went_on_without_the_operator_walks_through_every_phase(self):
        pods = gang(chief=ended("chief", message=final_report(), when=30))
        seen, current = [], job()
        for _ in range(6):
            plan = decide(current, pods, (), platform(), at(100))
            if plan.status is None:
                break
            seen.append(plan.status["phase"])
            current = job(status=plan.status)
        assert seen == [Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED]
        assert current.status["completionTime"] == stamp(30)

    def test_without_any_report_a_gang_that_runs_for_a_minute_is_running(self):
        quiet = status(Phase.STARTING)
        early = decide(job(status=quiet), gang(), (), platform(), at(59))
        assert early.status is None
        assert early.look_again == at(61)
        late = decide(job(status=quiet), gang(), (), platform(), at(61))
        assert late.status["phase"] == Phase.RUNNING
        assert condition(late, "Running")["reason"] == "NoReports"


class TestMembersThatDoNotStart:
    PENDING = staticmethod(lambda: job(status=status(Phase.PENDING)))

    @pytest.mark.parametrize(
        ("pod", "reason", "said"),
        [
            (trainer(waiting={"reason": "ErrImagePull", "message": "no such host"}), "ImageNotPulled", "no such host"),
            (trainer(waiting={"reason": "ImagePullBackOff", "message": "Back-off"}), "ImageNotPulled", "Back-off"),
            (trainer(waiting={"reason": "ErrImageNeverPull", "message": ""}), "ImageNotPulled", "ErrImageNeverPull"),
            (trainer(waiting={"reason": "InvalidImageName", "message": "a b"}), "ImageNotPulled", "a b"),
            (trainer(waiting={"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}),
             "ContainerConfigError", 'secret "s" not found'),
            ({"conditions": [{"type": "Ready", "status": "False"},
                             {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                              "message": "0/3 nodes are available"}]}, "Unschedulable", "0/3 nodes are available"),
        ],
    )  # fmt: skip
    def test_the_condition_says_why_at_once(self, pod, reason, said):
        plan = decide(self.PENDING(), gang(w1=pending(index=1, **pod)), (), platform(), NOW, NOW)
        ready = condition(plan, "MembersReady")
        assert (ready["status"], ready["reason"]) == ("False", reason)
        assert ready["message"] == f"worker-1: {said}"
        assert reasons(plan) == [reason]
        assert plan.status["display"]["reason"] == reason

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('pods "x" is forbidden: exceeded quota: q, requested: pods=1', "QuotaExceeded"),
            ('pods "x" is forbidden: violates PodSecurity "restricted:latest": host', "PodSecurityViolation"),
            ("pods is forbidden: unable to create new content in namespace ml", "PodRefused"),
        ],
    )
    def test_a_refused_pod_is_said_at_once_and_asked_for_again_later(self, text, reason):
        refused = refusal("worker-1", forbidden(text))
        plan = decide(job(), gang(w1=None), [refused], platform(), NOW)
        assert condition(plan, "MembersReady")["reason"] == reason
        assert text in condition(plan, "MembersReady")["message"]
        assert plan.creates == ()
        assert plan.look_again == at(10)
        assert [c.subject for c in decide(job(), gang(w1=None), [refused], platform(), at(10)).creates] == [
            "worker-1"
        ]

    def test_a_job_made_again_under_its_name_waits_quietly_for_the_old_pods(self):
        old = await_predecessor("worker-1", "mnist-worker-1", NOW)
        plan = decide(job(), gang(w1=None), [old], platform(), NOW)
        assert condition(plan, "MembersReady")["reason"] == "NameStillTaken"
        assert "had this name before" in condition(plan, "MembersReady")["message"]
        assert (plan.creates, plan.events, plan.look_again) == ((), (), at(6.5))
        assert "reason" not in plan.status["display"]

    def test_refusals_are_asked_again_ever_more_slowly(self):
        last, waits = None, []
        for _ in range(6):
            last = refusal("worker-1", forbidden("exceeded quota: q"), last)
            waits.append((last.retry_at - NOW).total_seconds())
        assert waits == [5, 10, 20, 40, 60, 60]

    def test_two_wordings_of_one_failed_pull_are_one_news(self):
        first = trainer(waiting={"reason": "ErrImagePull", "message": "no such host"})
        then = trainer(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling"})
        written = decide(self.PENDING(), gang(w1=pending(index=1, **first)), (), platform(), NOW).status
        plan = decide(job(status=written), gang(w1=pending(index=1, **then)), (), platform(), at(500), NOW)
        assert plan.status is None

    def test_a_start_that_takes_long_says_who_is_missing(self):
        written = decide(job(), gang(w1=pending(index=1)), (), platform(), at(0)).status
        early = decide(job(status=written), gang(w1=pending(index=1)), (), platform(), at(9), at(0))
        assert (early.status, early.look_again) == (None, at(10))
        late = decide(job(status=written), gang(w1=pending(index=1)), (), platform(), at(10), at(0))
        assert (
            "worker-1 is in Pending, see kubectl describe pod mnist-worker-1"
            in condition(late, "MembersReady")["message"]
        )

    def test_counts_alone_are_not_written_more_often_than_each_ten_seconds(self):
        none, one = gang(chief=pending("chief"), w0=pending(index=0), w1=pending(index=1)), gang(w1=pending(index=1))
        written = decide(job(), none, (), platform(), at(0)).status
        assert decide(job(status=written), one, (), platform(), at(3), at(0)).status is None
        assert decide(job(status=written), one, (), platform(), at(12), at(0)).status["members"]["ready"] == 2

    def test_a_pod_that_was_deleted_before_the_gang_formed_is_replaced(self):
        for lost in (deleting(running(index=1)), None):
            plan = decide(self.PENDING(), gang(w1=lost), (), platform(), NOW)
            assert [c.subject for c in plan.creates] == ["worker-1"]
            assert plan.creates[0].body["metadata"]["name"] == "mnist-worker-1-2"

    def test_the_chief_of_an_elastic_gang_is_made_before_its_workers(self):
        """Where there is room for some of them only, the chief must be among them."""
        for spec, first in (({"elastic": {"minWorkers": 1}}, ["service", "chief-0"]), ({}, ["service"])):
            plan = decide(job(workers=2, **spec), (), (), platform(), NOW)
            assert [c.subject for c in plan.creates] == ["service", "chief-0", "worker-0", "worker-1"]
            assert [c.subject for c in plan.creates if c.first] == first

    def test_before_a_new_chief_the_service_is_looked_at(self):
        plan = decide(self.PENDING(), gang(chief=deleting(running("chief"))), (), platform(), NOW)
        assert [c.subject for c in plan.creates] == ["service", "chief-0"]

    def test_a_chief_without_its_service_is_never_left_behind(self):
        """The chief's pod is the sign that its Service is there, so the pods wait for it."""
        refused = refusal("service", (409, "AlreadyExists", "a Service named mnist-chief exists"))
        plan = decide(job(workers=2), (), [refused], platform(), NOW)
        assert plan.creates == ()
        assert condition(plan, "MembersReady")["reason"] == "ServiceConflict"
        assert plan.look_again == refused.retry_at
        again = decide(job(workers=2), (), [refused], platform(), refused.retry_at)
        assert [c.subject for c in again.creates] == ["service", "chief-0", "worker-0", "worker-1"]

    def test_a_pod_that_can_never_be_makes_the_job_invalid(self):
        refused = refusal("chief-0", (422, "Invalid", "spec.containers[0].image: Required value"))
        plan = decide(job(), (), [refused], platform(), NOW)
        assert plan.status["phase"] == Phase.INVALID
        assert "spec.containers[0].image" in condition(plan, "Valid")["message"]


class TestFailure:
    def test_the_chiefs_verdict_names_the_culprit_and_its_pod(self):
        chief = ended("chief", code=1, message=final_report("Failed", CRASH), when=40)
        plan = decide(job(status=trained()), gang(chief=chief, w1=ended(index=1, code=1)), (), platform(), at(41))
        assert plan.status["phase"] == Phase.FAILED
        assert plan.status["failure"] == {
            "member": "worker-1", "pod": "mnist-worker-1", "node": "node-a", "exitCode": 1, "reason": "ProgramError",
            "message": "ValueError: bad", "generation": 1, "lastLogLines": ["a", "b"], "time": stamp(40),
        }  # fmt: skip
        assert condition(plan, "Failed")["reason"] == plan.status["display"]["reason"] == "ProgramError"
        assert plan.events[-1].warning

    def test_a_kill_by_the_kubelet_says_more_than_an_exit_code(self):
        verdict = Failure("worker-1", "ConnectionLost", "worker-1 is gone", generation=1)
        chief = ended("chief", code=1, message=final_report("Failed", verdict))
        plan = decide(
            job(status=trained()),
            gang(chief=chief, w1=ended(index=1, code=137, reason="OOMKilled")),
            (),
            platform(),
            NOW,
        )
        assert plan.status["failure"]["reason"] == "OOMKilled"
        assert plan.status["failure"]["exitCode"] == 137
        assert "memory" in plan.status["failure"]["message"]

    def test_the_kubelets_word_about_the_culprit_is_waited_for_but_not_for_ever(self):
        """The chief's end may be seen before that of the member it names."""
        chief = ended("chief", code=1, message=final_report("Failed", CRASH), when=40)
        waiting = decide(job(status=trained()), gang(chief=chief), (), platform(), at(41))
        assert waiting.status is None
        assert waiting.look_again == at(55)
        late = decide(job(status=trained()), gang(chief=chief), (), platform(), at(55))
        assert (late.status["failure"]["member"], late.status["failure"]["reason"]) == ("worker-1", "ProgramError")
        gone = decide(job(status=trained()), gang(chief=chief, w1=deleting(running(index=1))), (), platform(), at(41))
        assert gone.status["failure"]["member"] == "worker-1"

    def test_success_of_the_chief_outweighs_a_worker_that_failed_at_the_end(self):
        pods = gang(chief=ended("chief", message=final_report()), w1=ended(index=1, code=1))
        assert decide(job(status=trained()), pods, (), platform(), NOW).status["phase"] == Phase.SUCCEEDED

    def test_a_launcher_that_died_without_a_word_leaves_its_log(self):
        dead = ended("chief", code=1, message="Traceback\nImportError: x", when=3)
        plan = decide(job(workers=0, status=status(Phase.PENDING)), [dead], (), platform(), NOW)
        assert plan.status["failure"]["lastLogLines"] == ["Traceback", "ImportError: x"]


class TestInvalidSpecs:
    def test_no_pod_is_made_and_the_condition_says_what_to_write(self):
        plan = decide(job(nodePool={"name": "a10"}), (), (), platform(node_pools={"a100": None}), NOW)
        assert plan.creates == ()
        assert plan.status["phase"] == Phase.INVALID
        valid = condition(plan, "Valid")
        assert (valid["status"], valid["reason"]) == ("False", "InvalidSpec")
        assert valid["message"] == "spec.nodePool.name: no such profile; did you mean a100? (it is a10)"
        assert reasons(plan) == ["InvalidSpec"]

    def test_a_spec_that_no_schema_checked_is_refused_as_well(self):
        plan = decide(observe_job(job_body() | {"spec": {"workers": {"replicas": -3}}}), (), (), platform(), NOW)
        assert plan.status["phase"] == Phase.INVALID
        assert "spec.workers.replicas" in condition(plan, "Valid")["message"]

    def test_it_becomes_valid_when_the_installation_changes(self):
        refused = decide(job(nodePool={"name": "a100"}), (), (), platform(), NOW).status
        plan = decide(
            job(nodePool={"name": "a100"}, status=refused),
            (),
            (),
            platform(node_pools={"a100": job().spec.node_pool}),
            NOW,
        )
        assert plan.creates

    def test_a_running_job_is_not_judged_again(self):
        plan = decide(job(nodePool={"name": "gone"}, status=trained()), gang(), (), platform(), NOW)
        assert plan.status is None


class TestTheEnd:
    def done(self):
        return job(status={"phase": "Succeeded", "completionTime": stamp(30)})

    def test_a_finished_job_is_never_run_again(self):
        plan = decide(self.done(), (), (), platform(), at(60))
        assert (plan.creates, plan.status) == ((), None)

    def test_pods_that_outlive_the_job_are_removed_after_a_grace_and_finished_ones_stay(self):
        pods = gang(chief=ended("chief"))
        early = decide(self.done(), pods, (), platform(), at(40))
        assert (early.deletes, early.look_again) == ((), at(45))
        late = decide(self.done(), pods, (), platform(), at(45))
        assert {pod.member for pod in late.deletes} == {"worker-0", "worker-1"}

    def test_a_job_that_is_being_deleted_is_left_to_the_garbage_collector(self):
        body = job_body()
        body["metadata"]["deletionTimestamp"] = stamp(1)
        plan = decide(observe_job(body), (), (), platform(), NOW)
        assert plan == decide(observe_job(body), gang(), (), platform(), NOW)
        assert plan.creates == ()
