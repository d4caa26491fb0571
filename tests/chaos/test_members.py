"""Members that do not come, or not yet; trouble before the first step; a program that hangs; the limit."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.faults import CHIEF, COLD, NEW_POD, WORKER
from tests.chaos.gang import Gang, one_on_each
from tests.chaos.machine import NODES, launcher
from tests.e2e.installation import Installation
from tests.e2e.world import World, condition

STALL = 5


@contextmanager
def labelled(world: World, *names: str) -> Iterator[dict[str, str]]:
    """Put a label of this test on nodes, and off all of them after."""
    key = f"chaos.trainingjob.dev/{world.namespace}"
    world.kube.kubectl("label", "node", *names, f"{key}=yes")
    try:
        yield {key: "yes"}
    finally:
        world.kube.kubectl("label", "node", *NODES, f"{key}-")


def test_a_worker_that_never_finds_a_node(world: World, folder: Path) -> None:
    gang = Gang(world, "late", folder)
    with labelled(world, NODES[0]) as label:
        started = time.monotonic()
        gang.apply(podTemplate={"spec": one_on_each(label, "late")}, runPolicy={"startupDeadlineSeconds": 8})
        status = world.until_phase("late", "Failed", 40)
        took = time.monotonic() - started
        assert "startupDeadlineSeconds" in status["failure"]["message"], status["failure"]
        # the API server keeps times to the second
        assert 7 <= took < 24
        assert gang.steps.all() == []
        world.pods.until(
            lambda: all(p["status"]["phase"] in ("Failed", "Succeeded") for p in world.pods.objects.values()),
            "nothing runs", 40,
        )  # fmt: skip
        table.add("worker never schedulable, deadline", None, f"Failed after {took:.0f} s", 0, 0)


@pytest.mark.timeout(300, func_only=True)
def test_a_gang_starts_with_fewer_and_grows(world: World, folder: Path) -> None:
    """Two of three members find a node. The third comes later: the gang grows, and the numbers are the same."""
    gang = Gang(world, "elastic", folder)
    with labelled(world, *NODES[:2]) as label:
        started = time.time()
        gang.apply(
            workers=2,
            podTemplate={"spec": one_on_each(label, "elastic")},
            elastic={"minWorkers": 1, "waitSeconds": 5},
        )
        first = gang.steps.until(60)
        status = gang.until(lambda s: s if (s.get("gang") or {}).get("size") == 2 else None, "two members train")
        table.add("worker never schedulable, elastic", first.at - started, "Running with 2 of 3", 0, 0)
        before = gang.settled()
        key, value = next(iter(label.items()))
        world.kube.kubectl("label", "node", NODES[2], f"{key}={value}")
        added = time.time()
        status = gang.until(
            lambda s: s if (s.get("gang") or {}).get("size") == 3 else None, "three members train", 90
        )
        step = gang.steps.until(30, beyond=before.step.generation)
        table.add(
            "its node comes", step.at - added, f"Running with 3 of 3, resumed at {step.number - 1}", *gang.restarts()
        )
        assert gang.restarts() == (before.counted, before.free + 1), status.get("restarts")
        done = max(s.number for s in gang.steps.all() if s.generation == before.step.generation)
        assert step.number == done + 1, "it was saved"
        last = gang.steps.newest.number + 20
        gang.end_at(last)
        world.until_phase("elastic", "Succeeded", 60)
        assert gang.result()[:2] == (last, 3)
    alone = Gang(world, "alone", folder.with_name("alone"))
    alone.apply(workers=0, last=last, pace=0.0)
    world.until_phase("alone", "Succeeded", 60)
    assert gang.result()[2] == pytest.approx(alone.result()[2], rel=1e-5)


@pytest.mark.parametrize("member", [CHIEF, WORKER])
def test_a_fault_before_the_first_step(world: World, folder: Path, member: str) -> None:
    gang = Gang(world, "early", folder)
    gang.do(member, "start", "os.kill(os.getpid(), 9)")
    started = time.time()
    gang.apply(last=20)
    status = world.until_phase("early", "Succeeded", 60)
    first = gang.steps.all()[0]
    assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
    assert status["failure"]["member"] == member
    assert status["failure"]["reason"] == "TrainerKilled"
    assert gang.result()[0] == 20
    table.add(f"trainer of {member}: SIGKILL as it starts", first.at - started, "Succeeded", 1, 0)


def test_a_program_that_hangs(world: World, folder: Path) -> None:
    """A worker sits in Python, the chief waits for it in a collective: both run, and there is no step."""
    gang = Gang(world, "stalled", folder)
    gang.apply(failurePolicy={"stallSeconds": STALL})
    before = gang.settled()
    gang.do(WORKER, "step", "def hang():\n    while True:\n        time.sleep(1)\nhang()")
    gang.until(lambda s: condition(s, "Stalled").get("status") == "True" or None, "Stalled", STALL + 20)
    step = gang.steps.until(STALL + COLD + 20, beyond=before.step.generation)
    status = gang.until(lambda s: s if s["phase"] == "Running" else None, "Running")
    status = gang.until(lambda s: s if condition(s, "Stalled")["status"] == "False" else None, "no longer stalled")
    failure = status["failure"]
    assert (failure["member"], failure["reason"]) == (WORKER, "Stalled"), failure
    assert any("hang" in line for line in failure["lastLogLines"]), failure
    world.check_told_once("stalled", "Stalled")
    table.add("a worker's program hangs", step.at - before.at, "Running", *gang.restarts())
    assert gang.restarts() == (1, 0)
    assert step.at - before.at <= STALL + COLD + 5


def test_the_same_failure_twice(world: World, folder: Path) -> None:
    """A step that can't be done: one restart shows that it is no accident."""
    gang = Gang(world, "twice", folder)
    # it waits until the chief has told step 22, so that the second time there is nothing new
    error = "again()\nif step == 22:\n    time.sleep(2)\n    raise RuntimeError('bad record 22')"
    gang.do(WORKER, "step", error)
    gang.apply()
    status = world.until_phase("twice", "Failed", 60)
    assert status["failure"]["member"] == WORKER
    assert "bad record 22" in status["failure"]["message"]
    assert "twice" in status["failure"]["message"]
    assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}, "the second failure is no restart"
    table.add(
        "the same exception at the same step",
        None,
        "Failed",
        status["restarts"]["counted"],
        status["restarts"]["free"],
    )


@pytest.mark.timeout(300, func_only=True)
def test_the_limit_is_exact(world: World, folder: Path, operator: Installation) -> None:
    """Trainers' failures and pods', over a new chief and a new operator: the third is one too many."""
    gang = Gang(world, "limit", folder)
    gang.apply(failurePolicy={"backoffLimit": 2})
    before = gang.settled()
    gang.kill(WORKER)
    gang.steps.until(COLD + 20, beyond=before.step.generation)
    before = gang.settled()
    launcher(gang.pod(CHIEF)).kill()
    gang.steps.until(NEW_POD + 20, beyond=before.step.generation)
    before = gang.settled()
    assert gang.restarts() == (2, 0)
    with operator.away():
        gang.delete_pod(WORKER, "--force", "--grace-period=0")
    gang.steps.until(60, beyond=before.step.generation)
    before = gang.settled()
    assert gang.restarts() == (2, 1)
    gang.kill(CHIEF)
    status = world.until_phase("limit", "Failed", 60)
    assert status["failure"]["reason"] == "BackoffLimitExceeded"
    assert "the limit is 2" in status["failure"]["message"]
    assert status["restarts"] == {"total": 3, "counted": 3, "free": 1}, "three failures, and no fourth restart"
    table.add(
        "one failure more than backoffLimit",
        None,
        "Failed",
        status["restarts"]["counted"],
        status["restarts"]["free"],
    )
