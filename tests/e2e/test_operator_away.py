"""The operator may be away: training goes on, and what happened meanwhile is told when it is back."""

import itertools
import json
import re
import time
from datetime import datetime

import pytest

from tests.e2e.installation import RELEASE, Installation
from tests.e2e.kube import Json
from tests.e2e.notes import note
from tests.e2e.programs import QUICK, STEADY, job, node_key
from tests.e2e.world import World

#: One step of it is better than all others, and nobody but its launcher hears of it.
DIPS = """\
import os, time
import trainingjob
step = 0
while not os.path.exists("/tmp/go"):
    step += 1
    dips = os.path.exists("/tmp/dip")
    trainingjob.report(step=step, loss=0.001 if dips else 1.0, accuracy=0.99 if dips else 0.5)
    if dips:
        os.remove("/tmp/dip")
        print("dipped at step", step, flush=True)
    time.sleep(0.2)
"""
#: How far two points of the history may lie apart besides the outage: a launcher that was not heard asks again after at
#: most 10 s, and a status is written each 5 s.
SPACING = 16.0
ALL_PHASES = ["Pending", "Starting", "Running", "Succeeded"]


def all_ended(world: World) -> bool:
    """Whether all pods but that of `dips` have ended."""
    left = [pod for name, pod in world.pods.objects.items() if not name.startswith("dips")]
    return all(pod["status"]["phase"] == "Succeeded" for pod in left)


def test_training_goes_on_and_ends_without_the_operator(world: World, operator: Installation) -> None:
    """Four jobs at once, because to be without the operator costs half a minute each time.

    `steady` ends while the operator is away, `held` also gets its node, starts and ends without it, `gone` is deleted without it;
    `dips` goes on until after it is back, and was at its best meanwhile.
    """
    key = node_key(world.namespace)
    world.apply(
        job("steady", STEADY, workers=1),
        job("gone", STEADY, workers=1),
        job("dips", DIPS),
        job("held", QUICK, workers=1, podTemplate={"spec": {"nodeSelector": {key: "yes"}}}),
    )
    world.until_reported("steady")
    world.until_reported("gone")
    world.until("dips", lambda s: len(_history(s)) > 2, "a history")
    world.until_condition("held", "MembersReady", "False", "Unschedulable")
    # it has waited so long that Kubernetes shall say where its chief is
    selects = r"jsonpath={.spec.selector.trainingjob\.dev/role}=chief"
    world.kubectl("wait", f"--for={selects}", "service/held-chief", "--timeout=90s")
    node = world.kube.get("nodes")["items"][0]["metadata"]["name"]
    left = time.monotonic()
    with operator.away():
        known = _history(world.kube.get("-n", world.namespace, "tj", "dips")["status"])
        world.kube.kubectl("label", "node", node, f"{key}=yes")
        try:
            for pod in ("held-chief-0", "held-worker-0"):
                world.until_pod(pod, lambda p: p["status"]["phase"] == "Succeeded", "has ended")
        finally:
            world.kube.kubectl("label", "node", node, f"{key}-")
        world.kubectl("delete", "tj", "gone")
        world.kubectl("wait", "--for=delete", "pods,services", "-l", "trainingjob.dev/job=gone", "--timeout=40s")
        world.kubectl("exec", "dips-chief-0", "--", "touch", "/tmp/dip")
        # read only now: for its last two seconds an operator writes what it has heard
        before = world.kube.get("-n", world.namespace, "tj", "steady")
        # alive and training all this time, with nobody to report to
        log = world.kubectl("logs", "steady-chief-0")
        assert "training goes on" in log, log
        world.go("steady-chief-0", "steady-worker-0")
        world.pods.until(lambda: all_ended(world), "the training has ended", 60)
        world.apply(job("late", QUICK))
        assert world.kube.get("-n", world.namespace, "tj", "steady")["status"] == before["status"]
    back = time.monotonic()
    _check_nothing_is_lost(world, known, back - left)
    for name in ("steady", "held", "late", "dips"):
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
    assert steady["training"]["best"]["accuracy"] == {"value": 0.9375, "step": 4000}
    lowest = steady["training"]["best"]["loss"]
    assert lowest["value"] == pytest.approx(1 / lowest["step"], rel=1e-4), "of the last step before it was told to go"
    assert _history(steady)[-1] | {"time": ""} == {
        "time": "", "generation": 1, "step": 4000, "epoch": 10, "metrics": {"loss": 0.0625, "accuracy": 0.9375}
    }  # fmt: skip
    finished = [
        c["state"]["terminated"]["finishedAt"]
        for c in world.pods.objects["steady-chief-0"]["status"]["containerStatuses"]
    ]
    assert [steady["completionTime"]] == finished, "the true time, not that of the operator's return"
    left = world.kube.get("-n", world.namespace, "pods,services", "-l", "trainingjob.dev/job=gone")["items"]
    assert left == [], "nobody made them again"


def _history(status: Json) -> list[Json]:
    return list((status.get("training") or {}).get("history", ()))


def _check_nothing_is_lost(world: World, known: list[Json], away: float) -> None:
    """`dips` is still running: its history goes on where it was, and its best value is the one nobody saw."""
    step = int(re.findall(r"^dipped at step (\d+)$", world.kubectl("logs", "dips-chief-0"), re.MULTILINE)[0])
    assert step > known[-1]["step"]
    best = {"loss": {"value": 0.001, "step": step}, "accuracy": {"value": 0.99, "step": step}}
    world.until("dips", lambda s: s["training"].get("best") == best, f"the best values, of step {step}")
    status = world.until("dips", lambda s: s if len(_history(s)) >= len(known) + 3 else None, "more points")
    points = _history(status)
    assert points[: len(known)] == known
    assert [p["step"] for p in points] == sorted(p["step"] for p in points)
    times = [datetime.fromisoformat(p["time"]) for p in points]
    hole = max((b - a).total_seconds() for a, b in itertools.pairwise(times))
    note(f"the operator was away for {away:.0f} s, the longest hole in a history is {hole:.0f} s")
    assert hole <= away + SPACING
    world.go("dips-chief-0")


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
