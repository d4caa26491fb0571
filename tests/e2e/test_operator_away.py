"""The operator may be away: training goes on, and what happened meanwhile is told when it is back."""

import json
import time

from tests.e2e.installation import RELEASE, Installation
from tests.e2e.notes import note
from tests.e2e.programs import QUICK, STEADY, job, node_key
from tests.e2e.world import World

ALL_PHASES = ["Pending", "Starting", "Running", "Succeeded"]


def all_ended(world: World) -> bool:
    return all(pod["status"]["phase"] == "Succeeded" for pod in world.pods.objects.values())


def test_training_goes_on_and_ends_without_the_operator(world: World, operator: Installation) -> None:
    """Three jobs at once, because to be without the operator costs half a minute each time.

    `steady` ends while the operator is away, `held` also starts and ends without it, `gone` is deleted without it.
    """
    key = node_key(world.namespace)
    world.apply(
        job("steady", STEADY, workers=1),
        job("gone", STEADY, workers=1),
        job("held", QUICK, workers=1, podTemplate={"spec": {"nodeSelector": {key: "yes"}}}),
    )
    world.until_reported("steady")
    world.until_reported("gone")
    world.until_condition("held", "MembersReady", "False", "Unschedulable")
    node = world.kube.get("nodes")["items"][0]["metadata"]["name"]
    with operator.away():
        before = world.kube.get("-n", world.namespace, "tj", "steady")
        world.kube.kubectl("label", "node", node, f"{key}=yes")
        try:
            for pod in ("held-chief-0", "held-worker-0"):
                world.until_pod(pod, lambda p: p["status"]["phase"] == "Succeeded", "has ended")
        finally:
            world.kube.kubectl("label", "node", node, f"{key}-")
        world.kubectl("delete", "tj", "gone")
        world.kubectl("wait", "--for=delete", "pods,services", "-l", "trainingjob.dev/job=gone", "--timeout=40s")
        # alive and training all this time, with nobody to report to
        log = world.kubectl("logs", "steady-chief-0")
        assert "training goes on" in log, log
        world.go("steady-chief-0", "steady-worker-0")
        world.pods.until(lambda: all_ended(world), "the training has ended", 60)
        world.apply(job("late", QUICK))
        assert world.kube.get("-n", world.namespace, "tj", "steady")["status"] == before["status"]
    back = time.monotonic()
    for name in ("steady", "held", "late"):
        status = world.until_phase(name, "Succeeded")
        assert world.phases(name) == ALL_PHASES
        held = ["Unschedulable"] if name == "held" else []
        world.check_reasons(name, "PodsCreated", "Running", "Succeeded", *held)
        assert status["training"]["final"] is True
    note(f"all told {time.monotonic() - back:.1f} s after the operator was back")

    steady = world.status("steady")
    # the last numbers were never posted: they come from the chief's termination message
    assert steady["training"]["metrics"] == {"loss": 0.0625, "accuracy": 0.9375}
    assert (steady["training"]["step"], steady["training"]["percent"]) == (4000, 100)
    assert steady["display"]["progress"] == "100%"
    finished = [
        c["state"]["terminated"]["finishedAt"]
        for c in world.pods.objects["steady-chief-0"]["status"]["containerStatuses"]
    ]
    assert [steady["completionTime"]] == finished, "the true time, not that of the operator's return"
    left = world.kube.get("-n", world.namespace, "pods,services", "-l", "trainingjob.dev/job=gone")["items"]
    assert left == [], "nobody made them again"


def test_another_replica_takes_over_when_the_leader_is_killed(world: World, operator: Installation) -> None:
    """The kubelet leaves it two seconds, enough to give the Lease back; the next test is about one that does not."""
    leader = operator.leader()
    assert leader in {pod["metadata"]["name"] for pod in operator.pods()}
    assert len(operator.pods()) >= 2, "two replicas are the chart's default"
    killed = time.monotonic()
    operator.kubectl("delete", "pod", leader, "--force", "--grace-period=0")
    world.apply(job("orphan", workers=1))
    status = world.until_phase("orphan", "Succeeded")
    note(f"a job applied when the leader was killed: Succeeded {time.monotonic() - killed:.1f} s later")
    assert operator.leader() not in ("", leader)
    assert world.phases("orphan") == ALL_PHASES
    assert status["training"]["metrics"] == {"loss": 0.25, "accuracy": 0.875}
    operator.wait_ready()


def test_a_leader_that_is_gone_without_a_word(world: World, operator: Installation) -> None:
    """The Lease is held by one who is not there: it is free once it was silent for its duration.

    And the leader that lost it ends, rather than to write against the next one.
    """
    leader = operator.leader()
    pods = {pod["metadata"]["name"]: pod for pod in operator.pods()}
    before = pods[leader]["status"]["containerStatuses"][0]["restartCount"]
    started = time.monotonic()
    operator.kubectl(
        "patch", "lease", RELEASE, "--type=merge", "-p", json.dumps({"spec": {"holderIdentity": "ghost_1"}})
    )
    world.apply(job("orphan", workers=1))
    world.until_phase("orphan", "Succeeded")
    note(f"a job applied when the leader was gone: Succeeded {time.monotonic() - started:.1f} s later")
    assert operator.leader() in pods
    restarted = f"jsonpath={{.status.containerStatuses[0].restartCount}}={before + 1}"
    operator.kubectl("wait", f"--for={restarted}", f"pod/{leader}", "--timeout=60s")
    operator.wait_ready()
