"""One gang and one fault after another. It survives all of them, and its numbers are those of an unbroken run.

The tests take the job as they find it, so any of them can run alone; each begins when the gang trains.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.faults import CHIEF, COLD, FAULTS, FREE, NEW_POD, WORKER, Fault
from tests.chaos.gang import TOLD, Before, Gang, generation
from tests.chaos.machine import NODES, trainer, until_nodes_work, without_api
from tests.chaos.steps import Step
from tests.e2e.installation import Installation
from tests.e2e.kube import Json
from tests.e2e.world import World, condition

MEMBERS = (CHIEF, WORKER)
#: How long the API server is away.
AWAY = 30.0


@pytest.fixture(scope="module")
def gang(shared_world: World, root: Path) -> Iterator[Gang]:
    """The job of this file: it trains until it is told to end."""
    gang = Gang(shared_world, "gang", root / "gang")
    gang.apply(failurePolicy={"backoffLimit": 100, "rules": [{"exitCodes": [FREE], "action": "RestartFree"}]})
    yield gang
    gang.steps.check_fenced()


def recovered(
    gang: Gang, before: Before, fault: str, seconds: float, *, counted: int, free: int, repeats: int = 12
) -> Step:
    """Wait until a new generation trains and the status tells of it; check what every recovery has in common."""
    step = gang.steps.until(seconds + 60, beyond=before.step.generation)
    took = step.at - before.at
    _until_told(gang, step, counted=before.counted + counted, free=before.free + free)
    table.add(fault, took, f"Running, resumed at step {step.number - 1}", *gang.restarts())
    done = max(s.number for s in gang.steps.all() if s.generation == before.step.generation)
    assert done - repeats < step.number <= done + 1, f"step {step.number} after step {done}"
    assert took <= seconds, f"{took:.1f} s to the next step"
    gang.steps.check_fenced()
    return step


def _until_told(gang: Gang, step: Step, *, counted: int, free: int, seconds: float = TOLD) -> None:
    """Wait until the status tells of a step's generation, and of exactly so many restarts."""

    def tells(status: Json) -> bool | None:
        return (status.get("phase") == "Running" and generation(status) >= step.generation[1]) or None

    gang.until(tells, f"Running in generation {step.generation[1]}", seconds)
    wanted = {"total": counted + free, "counted": counted, "free": free}
    gang.until(
        lambda s: s.get("restarts") == wanted or None, f"restarts {wanted}, not {gang.status.get('restarts')}", 10
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_gang_survives(gang: Gang, fault: Fault) -> None:
    before = gang.settled()
    pods = {member: gang.pod(member)["metadata"]["uid"] for member in MEMBERS}
    with fault.inject(gang):
        step = recovered(
            gang, before, fault.name, fault.seconds,
            counted=int(fault.counted), free=int(not fault.counted), repeats=fault.repeats,
        )  # fmt: skip
        wanted = step.number - 1
        gang.until(
            lambda s: (s.get("resumedFrom") or {}).get("step") == wanted or None, f"resumed from step {wanted}"
        )
        for member in MEMBERS:
            changed = gang.pod(member)["metadata"]["uid"] != pods[member]
            assert changed == (fault.replaced and member == fault.member), member
        _check_failure(gang, fault, before)


def _check_failure(gang: Gang, fault: Fault, before: Before) -> None:
    if not (fault.reasons or fault.code):
        return
    failure = gang.status["failure"]
    assert failure["member"] == fault.member, failure
    assert not fault.reasons or failure["reason"] in fault.reasons, failure
    assert fault.code is None or failure["exitCode"] == fault.code, failure
    assert failure["generation"] == before.step.generation[1], failure


def test_a_trainer_dies_while_the_operator_is_away(gang: Gang, operator: Installation) -> None:
    before = gang.settled()
    with operator.away():
        now = Before(time.time(), before.step, before.counted, before.free)
        gang.kill(WORKER)
        step = gang.steps.until(COLD + 60, beyond=now.step.generation)
        took = step.at - now.at
    _until_told(gang, step, counted=before.counted + 1, free=before.free, seconds=60)
    table.add("worker's trainer, while the operator is away", took, "Running", *gang.restarts())
    assert took <= COLD


def test_a_pod_goes_while_the_operator_is_away(gang: Gang, operator: Installation) -> None:
    before = gang.settled()
    with operator.away():
        gang.delete_pod(WORKER)
        gang.world.until_pod(
            gang.pod(WORKER)["metadata"]["name"], lambda p: p["metadata"].get("deletionTimestamp"), "ends"
        )
        before = Before(time.time(), before.step, before.counted, before.free)
    recovered(gang, before, "worker's pod, while the operator is away", 60, counted=0, free=1)


def test_a_pod_goes_together_with_the_operators_leader(gang: Gang, operator: Installation) -> None:
    before = gang.settled()
    operator.kubectl("delete", "pod", operator.leader(), "--force", "--grace-period=0")
    gang.delete_pod(WORKER)
    recovered(gang, before, "worker's pod and the operator's leader", 60, counted=0, free=1)
    operator.wait_ready()


def test_a_trainer_dies_while_the_api_server_is_away(gang: Gang, operator: Installation) -> None:
    before = gang.settled()
    worker = gang.pod(WORKER)
    gang.world.forget_watches()
    with without_api():
        off = Before(time.time(), gang.steps.newest, before.counted, before.free)
        trainer(worker).kill()
        step = gang.steps.until(COLD + 60, beyond=off.step.generation)
        table.add(
            "worker's trainer, while the API server is away",
            step.at - off.at,
            "Running",
            before.counted + 1,
            before.free,
        )
        # training goes on for as long as it is away
        gang.steps.until_time(off.at + AWAY, AWAY + 10)
        assert gang.steps.newest.generation == step.generation
    _until_told(gang, step, counted=before.counted + 1, free=before.free, seconds=60)
    assert step.at - off.at <= COLD
    operator.wait_ready()
    until_nodes_work(gang.world, operator.trainer_image(), *NODES)


def test_a_fault_in_the_start_of_a_generation(gang: Gang) -> None:
    _two_in_a_row(gang, "start", "worker's trainer, as a generation starts")


def test_a_fault_while_a_checkpoint_is_restored(gang: Gang) -> None:
    _two_in_a_row(gang, "restore", "worker's trainer, as a checkpoint is restored")


def _two_in_a_row(gang: Gang, moment: str, name: str) -> None:
    """A pod is deleted; in the generation after it a trainer is killed at a moment before its first step."""
    before = gang.settled()
    gang.do(CHIEF, moment, "os.kill(os.getpid(), 9)")
    gang.delete_pod(WORKER, "--force", "--grace-period=0")
    recovered(gang, before, name, NEW_POD + COLD, counted=1, free=1)


def test_a_fault_while_a_checkpoint_is_written(gang: Gang) -> None:
    """The chief dies when the step is done and its checkpoint is on its way to the disk."""
    before = gang.settled()
    due = (gang.steps.newest.number // 5 + 2) * 5
    gang.do(CHIEF, "saved", f"if step != {due}: again()\nelse: os.kill(os.getpid(), 9)")
    gang.steps.until(20, number=due)
    before = Before(time.time(), before.step, before.counted, before.free)
    recovered(gang, before, "chief's trainer, as it writes a checkpoint", COLD, counted=1, free=0)


def test_suspend_and_resume(gang: Gang) -> None:
    before = gang.settled()
    gang.world.kubectl("patch", "tj", gang.name, "--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))
    status = gang.until(lambda s: s if s.get("phase") == "Suspended" else None, "suspended", 40)
    assert condition(status, "Suspended")["status"] == "True"
    pods = gang.world.pods
    over = ("Failed", "Succeeded")  # failed ones are kept for their logs
    pods.until(lambda: all(p["status"]["phase"] in over for p in pods.objects.values()), "nothing runs", 60)
    done = gang.steps.newest
    assert done.generation == before.step.generation
    before = Before(time.time(), done, before.counted, before.free)
    gang.world.kubectl("patch", "tj", gang.name, "--type=merge", "-p", json.dumps({"spec": {"suspend": False}}))
    step = recovered(gang, before, "suspended and resumed", NEW_POD, counted=0, free=1, repeats=1)
    assert step.number == done.number + 1, "it was saved when it was suspended"


def test_the_end_is_that_of_an_unbroken_run(gang: Gang, root: Path) -> None:
    """Even though the chief dies once more, in its very last step."""
    before = gang.settled()
    last = gang.steps.newest.number + 40
    gang.do(CHIEF, "last", "os.kill(os.getpid(), 9)")
    gang.end_at(last)
    status = gang.world.until_phase(gang.name, "Succeeded", 90)
    counted, free = (status["restarts"].get(key) or 0 for key in ("counted", "free"))
    assert (counted, free) == (before.counted + 1, before.free)
    step, members, numbers = gang.result()
    assert (step, members) == (last, 2)
    assert status["training"]["step"] == last
    table.add("chief's trainer, in the last step", None, f"Succeeded at step {last}", counted, free)

    unbroken = Gang(gang.world, "unbroken", root / "unbroken")
    unbroken.apply(last=last, pace=0.0)
    gang.world.until_phase("unbroken", "Succeeded", 90)
    assert unbroken.result()[:2] == (last, 2)
    assert numbers == pytest.approx(unbroken.result()[2], rel=1e-5)
    assert len({s.number for s in gang.steps.all()}) == last, "every step was taken"
