"""Faults of other kinds of jobs: one with warm standbys, and one without a program."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chaos import table
from tests.chaos.faults import CHIEF, WORKER
from tests.chaos.gang import FIRST_STEP, TOLD, Gang, affinity, generation
from tests.chaos.machine import until_standby_waits
from tests.chaos.program import on_machine
from tests.e2e.kube import ROOT, Json
from tests.e2e.world import World

EXAMPLE = ROOT / "examples" / "mnist-cnn.yaml"
#: Three times what is promised.
WARM = 7.5
#: Standbys import TensorFlow in small slices.
WAITS = 180.0


@pytest.fixture(scope="module", autouse=True)
def warm(shared_world: World, root: Path) -> Iterator[Gang]:
    """A job with standbys. It begins before all tests of this file: standbys take their time to be ready."""
    gang = Gang(shared_world, "warm", root / "warm")
    gang.apply(
        resources={"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        failurePolicy={"restart": {"warmStandby": True}},
    )
    gang.steps.until(60)
    yield gang
    gang.steps.check_fenced()


@pytest.mark.timeout(480, func_only=True)
def test_a_declarative_job(world: World, folder: Path) -> None:
    """The example loses a trainer, then its chief's pod; its numbers are those of one member that lost nothing."""
    gang = Gang(world, "mnist-cnn", folder)
    alone = _example(folder.with_name("mnist-alone"), workers=0)
    alone["metadata"]["name"] = "alone"
    world.apply(_example(folder, workers=1), alone)
    gang.until(lambda s: _step(s) > 100 or None, "100 steps", 120)
    killed = time.time()
    gang.kill(WORKER)
    gang.until(lambda s: _trains(s, 2) or None, "generation 2 trains", FIRST_STEP)
    table.add("declarative job: trainer of a worker: SIGKILL", time.time() - killed, "Running", *gang.restarts())
    deleted = time.time()
    gang.delete_pod(CHIEF)
    gang.until(lambda s: _trains(s, 3) or None, "generation 3 trains", FIRST_STEP)
    table.add("declarative job: pod of the chief deleted", time.time() - deleted, "Running", *gang.restarts())
    status = world.until_phase("mnist-cnn", "Succeeded", 120)
    assert status["restarts"] == {"total": 2, "counted": 1, "free": 1}
    unbroken = world.until_phase("alone", "Succeeded", 120)
    assert "restarts" not in unbroken or unbroken["restarts"]["total"] == 0
    assert _step(status) == _step(unbroken) == status["training"]["totalSteps"]
    metrics = status["training"]["metrics"]
    assert "val_loss" in metrics
    # two members add in another order than one; that two end as two do is test_gang.py's, to 1e-5
    assert metrics == pytest.approx(unbroken["training"]["metrics"], rel=1e-3)
    epochs = [point["epoch"] for point in status["training"]["history"]]
    assert epochs == sorted(epochs), "the history has no seam"


@pytest.mark.timeout(WAITS + 120, func_only=True)
def test_a_warm_standby_becomes_the_trainer(warm: Gang) -> None:
    waiting = {member: until_standby_waits(warm.pod(member), WAITS) for member in (CHIEF, WORKER)}
    before = warm.settled(1)
    killed = time.time()
    warm.kill(WORKER)
    step = warm.steps.until(WARM + 60, beyond=before.step.generation)
    took = step.at - killed
    warm.until(lambda s: generation(s) == step.generation[1] or None, "the status tells of it", TOLD)
    table.add("trainer of a worker: SIGKILL, warm standby", took, "Running", *warm.restarts())
    assert warm.restarts() == (before.counted + 1, before.free)
    for member in (CHIEF, WORKER):
        log = warm.world.kubectl("logs", warm.pod(member)["metadata"]["name"])
        assert f"the trainer of {member} is the warm standby" in log
        assert waiting[member].is_alive, "it is the same process"
    assert took <= WARM


def _step(status: Json) -> int:
    return (status.get("training") or {}).get("step") or 0


def _trains(status: Json, number: int) -> bool:
    """Whether the status tells of a step that this generation has finished."""
    resumed = (status.get("training") or {}).get("resumedStep")
    return generation(status) == number and resumed is not None and _step(status) > resumed


def _example(folder: Path, *, workers: int) -> Json:
    """Return the MNIST example, with its checkpoints in a folder of the machine."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoints.chmod(0o777)
    job: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    job["spec"] |= {
        "workers": {"replicas": workers},
        "checkpoint": {"volume": on_machine(str(checkpoints)), "everySteps": 50},
        "podTemplate": {"spec": {"affinity": affinity(job["metadata"]["name"])}},
        "reporting": {"intervalSeconds": 1},
    }
    return job
