"""The six examples with real pods, on one member and on three: the numbers that their first lines promise.

`mnist-cnn` on three members is test_mnist.py's, which looks at more than the numbers.
"""

import re
import time
from typing import Any

import pytest
import yaml

from tests.e2e.kube import ROOT, Json
from tests.e2e.notes import note
from tests.e2e.world import World

EXAMPLES = ROOT / "examples"
#: Three TensorFlow processes on two busy cores; the slowest takes a fifth of it.
TRAINING = 240.0
LIMIT = pytest.mark.timeout(360, func_only=True)


def train(world: World, name: str, members: int) -> tuple[Json, str]:
    """Apply examples/NAME.yaml as it is but for its workers; return the status at its end and the chief's log."""
    job: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert job["spec"]["workers"] == {"replicas": 2}
    job["spec"]["workers"]["replicas"] = members - 1
    started = time.monotonic()
    world.apply(job)
    status = world.until_phase(name, "Succeeded", TRAINING)
    note(f"{name} on {members} member{'s' if members > 1 else ''}: {time.monotonic() - started:.0f} s to Succeeded")
    # `until_phase` sees the operator's write; the last report's may come a moment later
    world.until(name, lambda s: s.get("training", {}).get("final"), "the last report")
    assert world.phases(name) == ["Pending", "Starting", "Running", "Succeeded"]
    status = world.status(name)
    assert status["display"]["members"] == f"{members}/{members}"
    return status["training"], world.kubectl("logs", f"{name}-chief-0")


def check_end(training: Json, epochs: int) -> None:
    """The whole training was done and reported."""
    assert (training["epoch"], training["totalEpochs"], training["percent"]) == (epochs, epochs, 100)
    assert training["step"] == training["totalSteps"] > 0
    assert training["state"] == "Succeeded"
    assert training["examplesPerSecond"] > 0


def number(name: str, log: str) -> float:
    """Return the number after the last NAME in the log."""
    found = re.findall(rf"{name} (-?[\d.]+)", log)
    assert found, f"no {name} in\n{log[-2000:]}"
    return float(found[-1])


@LIMIT
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("example", ["linear-regression", "linear-regression-program"])
def test_linear_regression_finds_the_line(world: World, example: str, members: int) -> None:
    training, log = train(world, example, members)
    check_end(training, 100)
    assert number("slope", log) == pytest.approx(2.0, abs=0.1)
    assert number("intercept", log) == pytest.approx(1.0, abs=0.1)
    assert training["metrics"]["mse"] == pytest.approx(0.01, rel=0.2), "the noise's variance: no line explains it"
    assert training["metrics"]["loss"] == pytest.approx(training["metrics"]["mse"], rel=1e-3)


@LIMIT
@pytest.mark.parametrize(
    ("example", "members"), [("mnist-cnn", 1), ("mnist-cnn-program", 1), ("mnist-cnn-program", 3)]
)
def test_the_cnn_reads_digits(world: World, example: str, members: int) -> None:
    training, log = train(world, example, members)
    check_end(training, 10)
    assert training["metrics"]["val_accuracy"] >= 0.96
    assert training["metrics"]["accuracy"] >= 0.97
    assert 0 < training["metrics"]["val_loss"] < 0.15
    accuracy = number("test accuracy" if example.endswith("-program") else "val_accuracy", log)
    assert accuracy == pytest.approx(training["metrics"]["val_accuracy"], abs=1e-4)


@LIMIT
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("example", ["gradient-tape", "gradient-tape-program"])
def test_dense_layers_read_digits(world: World, example: str, members: int) -> None:
    training, log = train(world, example, members)
    check_end(training, 10)
    assert training["totalSteps"] == 2500, "10 epochs of 8,000 digits, 32 at a time: whatever the members"
    assert training["metrics"]["val_accuracy"] >= 0.93
    accuracy = number("test accuracy" if example.endswith("-program") else "val_accuracy", log)
    assert accuracy == pytest.approx(training["metrics"]["val_accuracy"], abs=1e-4)
