"""The default example: real MNIST digits on a chief and two workers, and what a user sees of it. Declarative.

All examples' numbers are in test_examples.py.
"""

import time
from typing import Any

import pytest
import yaml

from tests.e2e import audit
from tests.e2e.installation import SERVICE_ACCOUNT
from tests.e2e.kube import JOBS, ROOT, Json
from tests.e2e.notes import note
from tests.e2e.table import columns
from tests.e2e.world import World, condition

EXAMPLE = ROOT / "examples" / "mnist-cnn.yaml"
#: Three TensorFlow processes on two busy cores; the job itself takes a third of it.
TRAINING = 240.0


@pytest.mark.timeout(420, func_only=True)
def test_the_example_trains_on_a_chief_and_two_workers(world: World, request: pytest.FixtureRequest) -> None:
    _ = world.jobs, world.pods
    started = time.monotonic()
    world.kubectl("apply", "-f", str(EXAMPLE))
    world.until_reported("mnist-cnn")
    running = columns(world.kubectl("get", "tj", "mnist-cnn"))
    world.kubectl(
        "wait", "--for=condition=Succeeded", f"{JOBS}/mnist-cnn", f"--timeout={TRAINING:g}s", timeout=TRAINING
    )
    status = world.until_phase("mnist-cnn", "Succeeded")
    took = time.monotonic() - started
    note(f"MNIST on a chief and two workers: {took:.0f} s from apply to Succeeded")

    assert world.phases("mnist-cnn") == ["Pending", "Starting", "Running", "Succeeded"]
    training = status["training"]
    assert training["metrics"]["val_accuracy"] >= 0.96
    assert training["metrics"]["accuracy"] >= 0.96
    assert 0 < training["metrics"]["loss"] < 0.2
    assert (training["epoch"], training["totalEpochs"], training["percent"]) == (10, 10, 100)
    assert training["step"] == training["totalSteps"] > 0
    assert training["examplesPerSecond"] > 0
    assert training["final"] is True
    assert status["members"]["desired"] == 3
    assert status["startTime"] <= status["completionTime"]
    _check_conditions(status)
    _check_columns(running, world)
    _check_story(world)
    _check_log(world)
    _check_cost(world, request, took)


def _check_conditions(status: Json) -> None:
    said = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert said["Succeeded"] == ("True", "ChiefSucceeded")
    assert said["Failed"] == ("False", "JobSucceeded")
    assert said["Running"] == ("False", "Finished")
    assert said["Valid"] == ("True", "SpecAccepted")
    assert all(c["message"] and c["lastTransitionTime"] for c in status["conditions"])


def _check_columns(running: dict[str, str], world: World) -> None:
    assert running["PHASE"] == "Running"
    assert running["MEMBERS"] == "3/3"
    assert running["PROGRESS"].endswith("%")
    assert running["EPOCH"].endswith("/10")
    assert float(running["LOSS"]) > 0
    done = columns(world.kubectl("get", "tj", "mnist-cnn"))
    assert done["NAME"] == "mnist-cnn"
    assert done["PHASE"] == "Succeeded"
    assert (done["MEMBERS"], done["PROGRESS"], done["EPOCH"]) == ("3/3", "100%", "10/10")
    assert float(done["LOSS"]) < 0.2
    assert done["METRIC"].startswith("val_accuracy=0.9")
    assert done["SPEED"].endswith(" ex/s")
    assert done["AGE"]


def _check_story(world: World) -> None:
    world.check_reasons("mnist-cnn", "PodsCreated", "Running", "Succeeded")
    text = world.kubectl("describe", "tj", "mnist-cnn")
    assert "created the chief and 2 workers" in text
    assert "the chief and 2 workers finished" in text


def _check_log(world: World) -> None:
    lines = world.kubectl("logs", "mnist-cnn-chief-0").splitlines()
    assert any(line.startswith("epoch 10/10: loss ") for line in lines)
    assert any(line.startswith("done: ") and "val_accuracy" in line and "3 members" in line for line in lines)


def _check_cost(world: World, request: pytest.FixtureRequest, took: float) -> None:
    """Count what the job cost the API server: design §5's budget."""
    if world.kube.backend == "existing":
        note("the writes are not counted: the audit log of a foreign cluster is not ours to read")
        return
    found = audit.writes(SERVICE_ACCOUNT, world.namespace)
    counts = audit.count(found)
    note(f"the operator's writes for this job: {counts}")
    metrics = counts.pop("update trainingjobs/status by trainingjob-operator-intake")
    assert counts.pop("create pods") == 3
    assert counts.pop("create services") == 1
    assert counts.pop("create endpointslices") == 1
    assert counts.pop("update trainingjobs/status by trainingjob-operator") <= 4
    assert counts.pop("create events") == 3
    assert not counts, "nothing else is written"
    assert metrics <= took / 5 + 3, "one for each interval of 5 s, the first and the last"
    assert all(write.code < 300 for write in found), [w for w in found if w.code >= 300]


def test_a_chief_alone_trains(world: World) -> None:
    job: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    job["spec"]["workers"]["replicas"] = 0
    job["spec"]["training"]["epochs"] = 2
    world.apply(job)
    status = world.until_phase("mnist-cnn", "Succeeded", TRAINING)
    assert world.phases("mnist-cnn") == ["Pending", "Starting", "Running", "Succeeded"]
    assert (status["training"]["epoch"], status["training"]["totalEpochs"]) == (2, 2)
    assert status["training"]["metrics"]["val_accuracy"] > 0.9
    assert status["display"]["members"] == "1/1"
    assert condition(status, "Succeeded")["status"] == "True"
    assert [pod["metadata"]["name"] for pod in world.pods.objects.values()] == ["mnist-cnn-chief-0"]
    assert world.kube.get("-n", world.namespace, "services")["items"] == []
    log = world.kubectl("logs", "mnist-cnn-chief-0").splitlines()
    assert any(line.startswith("done: ") and "1 member)" in line for line in log)
