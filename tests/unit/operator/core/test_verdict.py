"""What the end of one pod costs: the table of the kubelet's, the scheduler's and the launcher's words."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import deleting, ended, final_report, pending, running
from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.core.observe import observe_pod
from trainingjob_operator.core.verdict import Cost, judge_end, judge_loss

USUAL = FailurePolicy()
FREE, COUNTED, FATAL = Cost.FREE, Cost.COUNTED, Cost.FATAL


def disrupted(reason):
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


def policy(*rules):
    return FailurePolicy.model_validate({"rules": list(rules)})


def evicted(reason, pod):
    return replace(pod, reason=reason)


def refused(reason, message="Pod was rejected"):
    return replace(pending(reason=reason, message=message), phase="Failed")


ENDS = [
    # what the launcher left, or did not
    (ended(code=137), COUNTED, "MemberFailed"),
    (ended(code=139), COUNTED, "MemberFailed"),
    (ended(code=1), COUNTED, "MemberFailed"),
    (ended(code=0), COUNTED, "MemberFailed"),
    (ended(code=143), FREE, "MemberFailed"),
    (ended(code=143, message=final_report("Terminated", Failure("worker-0", "Terminated", "SIGTERM"))),
     FREE, "Terminated"),
    (ended(code=0, message=final_report()), FREE, "MemberFailed"),
    # what the kubelet knows
    (ended(code=137, reason="OOMKilled"), COUNTED, "OOMKilled"),
    (ended(code=7, reason="OOMKilled"), COUNTED, "OOMKilled"),
    # a container in which a trainer was once killed for its memory: the launcher knows what it ended of later
    (ended(code=143, reason="OOMKilled", message=final_report("Terminated", Failure("worker-0", "Terminated", "x"))),
     FREE, "Terminated"),
    (ended(code=0, reason="OOMKilled", message=final_report()), FREE, "MemberFailed"),
    (ended(code=1, reason="OOMKilled", message=final_report("Failed", Failure("worker-0", "TrainerFailed", "x", 1))),
     COUNTED, "TrainerFailed"),
    (ended(code=1, reason="OOMKilled", message=final_report("Failed", Failure("chief-0", "TrainerKilled", "x", 137))),
     COUNTED, "TrainerKilled"),
    (ended(code=137, reason="OOMKilled", message=final_report("Failed", Failure("worker-0", "OOMKilled", "x", 137))),
     COUNTED, "OOMKilled"),
    # ... but not who has killed its trainer, where the kernel's count can't be read
    (ended(code=137, reason="OOMKilled", message=final_report("Failed", Failure("worker-0", "TrainerKilled", "x", 137))),
     COUNTED, "OOMKilled"),
    (ended(code=255, reason="Unknown"), FREE, "NodeRestarted"),
    (ended(code=137, reason="ContainerStatusUnknown"), FREE, "NodeRestarted"),
    (ended(code=128, reason="StartError"), FATAL, "StartError"),
    (ended(code=2, message="trainingjob: TRAININGJOB_ROLE is not set"), FATAL, "MemberFailed"),
    # who took it away
    (ended(code=137, **disrupted("EvictionByEvictionAPI")), FREE, "Evicted"),
    (ended(code=0, **disrupted("EvictionByEvictionAPI")), FREE, "Evicted"),
    (ended(code=1, **disrupted("PreemptionByScheduler")), FREE, "Preempted"),
    (ended(code=137, **disrupted("DeletionByTaintManager")), FREE, "Evicted"),
    (ended(code=137, **disrupted("DeletionByPodGC")), FREE, "NodeLost"),
    (evicted("Evicted", ended(code=137, **disrupted("TerminationByKubelet"))), FREE, "Evicted"),
    # what never ran
    (refused("OutOfcpu"), FREE, "OutOfcpu"),
    (refused("UnexpectedAdmissionError"), FREE, "UnexpectedAdmissionError"),
    (refused("Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. "), FREE, "Evicted"),
    (refused(""), COUNTED, "MemberFailed"),
    # what ran over a limit of its own
    (evicted("Evicted", ended(code=143, message=final_report("Terminated"))), COUNTED, "Evicted"),
    (evicted("DeadlineExceeded", ended(code=137)), COUNTED, "DeadlineExceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("pod", "cost", "reason"), ENDS, ids=lambda value: getattr(value, "name", str(value)))
def test_after_the_gang_has_formed(pod, cost, reason):
    verdict = judge_end(pod, USUAL, generation=3)
    assert (verdict.cost, verdict.failure.reason) == (cost, reason)


@pytest.mark.parametrize(("code", "cost"), [(1, FATAL), (127, FATAL), (137, COUNTED), (134, COUNTED), (143, FREE)])
def test_a_launcher_that_ends_by_itself_before_the_gang_ever_formed_would_do_so_again(code, cost):
    assert judge_end(ended(code=code), USUAL, generation=0).cost is cost


def test_out_of_memory_before_the_first_generation_counts():
    assert judge_end(ended(code=1, reason="OOMKilled"), USUAL, generation=0).cost is COUNTED


def test_the_first_rule_that_fits_is_followed():
    rules = policy(
        {"reasons": ["OOMKilled"], "action": "RestartFree"},
        {"exitCodes": [137], "action": "Fail"},
        {"reasons": ["Preempted"], "action": "Restart"},
    )
    assert judge_end(ended(code=137, reason="OOMKilled"), rules, 3).cost is FREE
    assert judge_end(ended(code=137), rules, 3).cost is FATAL
    assert judge_end(ended(code=1, **disrupted("PreemptionByScheduler")), rules, 3).cost is COUNTED
    assert judge_end(ended(code=1), rules, 3).cost is COUNTED


def test_a_lost_pod_is_free_unless_a_rule_says_otherwise():
    rules = policy({"reasons": ["MemberLost"], "action": "Fail"}, {"reasons": ["Evicted"], "action": "Restart"})
    gone = deleting(running())
    evicted = deleting(ended(code=137, **disrupted("EvictionByEvictionAPI")))

    def cost(pod, policy, by_rules=True):
        return judge_loss("worker-0", pod, policy, 3, by_rules=by_rules, out_of_sight=False).cost

    assert (cost(gone, USUAL), cost(evicted, USUAL), cost(None, USUAL)) == (FREE, FREE, FREE)
    assert (cost(gone, rules), cost(evicted, rules)) == (FATAL, COUNTED)
    # A job that was suspended and goes on has no pods either.
    assert (cost(None, rules), cost(gone, rules, by_rules=False)) == (FREE, FREE)


def test_a_drained_pod_in_which_a_trainer_was_once_killed_for_its_memory_is_drained():
    rules = policy({"reasons": ["OOMKilled"], "action": "Fail"})
    left = final_report("Terminated", Failure("worker-0", "Terminated", "its pod was asked to terminate"))
    drained = ended(code=143, reason="OOMKilled", message=left, **disrupted("EvictionByEvictionAPI"))
    deleted = ended(code=143, reason="OOMKilled", message=left)
    for pod, reason in ((drained, "Evicted"), (deleted, "MemberLost")):
        verdict = judge_loss("worker-0", deleting(pod), rules, 3, by_rules=True, out_of_sight=False)
        assert (verdict.cost, verdict.failure.reason) == (FREE, reason)
    assert judge_end(deleted, rules, 3).cost is FREE
    killed = deleting(ended(code=137, reason="OOMKilled"))
    assert judge_loss("worker-0", killed, rules, 3, by_rules=True, out_of_sight=False).cost is FATAL


def test_what_the_launcher_says_of_memory_stays():
    """It knows whether it was the second time."""
    said = "twice without a new step in between: the trainer ran out of memory: raise spec.resources.limits.memory or"
    said += " lower the batch size"
    left = final_report("Failed", Failure("worker-0", "OOMKilled", said, 137, 9, 3))
    assert judge_end(ended(code=137, reason="OOMKilled", message=left), USUAL, 3).failure.message == said


def test_what_a_pod_is_read_from():
    pod = observe_pod(
        {
            "metadata": {
                "name": "p", "creationTimestamp": "2026-11-22T12:00:00Z",
                "annotations": {
                    "trainingjob.dev/failures": "2", "trainingjob.dev/short-lives": "3",
                    "trainingjob.dev/last-end": "{}",
                },
            },
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-22T12:05:00Z"},
                    {"type": "ContainersReady", "status": "True"},
                ],
                "containerStatuses": [{"name": "trainer", "state": {"running": {}}}],
            },
        }
    )  # fmt: skip
    assert (pod.failures, pod.short_lives, pod.last_end) == (2, 3, "{}")
    assert pod.created_at.minute == 0
    assert pod.out_of_sight_since.minute == 5


@pytest.mark.parametrize(
    "conditions",
    [
        [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        # a readiness probe of the user's own: the kubelet says why, and that the containers are not ready either
        [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
         {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady"}],
        [{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"},
         {"type": "ContainersReady", "status": "True"}],
        [],
    ],
)  # fmt: skip
def test_only_the_node_controller_puts_a_pod_out_of_sight(conditions):
    stamped = [c | {"lastTransitionTime": "2026-11-22T12:05:00Z"} for c in conditions]
    status = {
        "phase": "Running", "conditions": stamped,
        "containerStatuses": [{"name": "trainer", "state": {"running": {}}}],
    }  # fmt: skip
    assert observe_pod({"metadata": {"name": "p"}, "status": status}).out_of_sight_since is None


def test_a_container_may_end_before_its_pod_is_said_to():
    pod = replace(ended(code=137), phase="Running")
    assert (pod.over, pod.finished) == (True, False)
