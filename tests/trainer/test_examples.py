"""The examples by `trainingjob run`: the numbers that they promise, in log and status. Six on one member and on three."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.runs import Desk

EXAMPLES = Path(__file__).parents[2] / "examples"
MEMBERS = [1, 3]


@dataclass(frozen=True)
class Ended:
    """How a job ended: how many members it had, what its chief wrote, and `status.training`."""

    members: int
    log: str
    training: dict[str, Any]


def run_example(name: str, members: int, desk: Desk) -> Ended:
    """Run examples/NAME.yaml on so many members to its success."""
    file = EXAMPLES / f"{name}.yaml"
    run = desk.run(
        file, "-w", str(members - 1), "-o", "yaml", "--members-log", "logs", "--volume", "/checkpoints=checkpoints"
    )
    status = run.object()["status"]
    assert status["phase"] == "Succeeded"
    assert status["display"]["members"] == f"{members}/{members}"
    lines = (desk.folder / "logs" / f"{name}-chief-0.log").read_text(encoding="utf-8").splitlines()
    own = [line for line in lines if not line.startswith("trainingjob: ")]
    return Ended(members, "\n".join(own), status["training"])


def number(pattern: str, text: str) -> float:
    """Return the number that `pattern` (with one group) finds last in `text`."""
    found = re.findall(pattern, text, re.MULTILINE)
    assert found, f"no {pattern} in\n{text[-2000:]}"
    return float(found[-1])


def promised(example: str) -> list[str]:
    """Return what the example's first lines say that three members print."""
    head = (EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8").partition("apiVersion:")[0].splitlines()
    return [line.removeprefix("#     ") for line in head if line.startswith("#     ") and "kubectl" not in line]


def check_promise(example: str, log: str) -> None:
    """The log ends as promised: the same words, and numbers that are as good as the same. Times may be others.

    What TensorFlow says to itself when its peers go may come after it.
    """
    wanted = [_taken_apart(line) for line in promised(example)]
    assert wanted
    said = [_taken_apart(line) for line in log.splitlines()]
    windows = [said[start : start + len(wanted)] for start in range(len(said))]
    alike = [window for window in windows if [words for words, _ in window] == [words for words, _ in wanted]]
    assert alike, f"{promised(example)} is not in\n{log[-3000:]}"
    for (_, numbers), (_, promise) in zip(alike[-1], wanted, strict=True):
        assert numbers == pytest.approx(promise, rel=0.05, abs=0.01)


def _taken_apart(line: str) -> tuple[str, list[float]]:
    """Return the line without its fractions, and these; whole numbers (steps, epochs, members) stay in the text."""
    line = re.sub(r"[\d.]+k?(?= s[,)]| examples/s)", "TIME", line)
    return re.sub(r"\d+\.\d+", "#", line), [float(x) for x in re.findall(r"\d+\.\d+", line)]


def check_end(ended: Ended, example: str, epochs: int) -> None:
    """The whole training was done and reported; three members printed what the example promises."""
    training = ended.training
    assert (training["epoch"], training["totalEpochs"], training["percent"]) == (epochs, epochs, 100)
    assert training["step"] == training["totalSteps"]
    assert training["examplesPerSecond"] > 0
    if ended.members == 3:
        check_promise(example, ended.log)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["linear-regression", "linear-regression-program"])
def test_linear_regression_finds_the_line(example: str, members: int, desk: Desk) -> None:
    ended = run_example(example, members, desk)
    check_end(ended, example, 100)
    assert number(r"slope (-?[\d.]+)", ended.log) == pytest.approx(2.0, abs=0.1)
    assert number(r"intercept (-?[\d.]+)", ended.log) == pytest.approx(1.0, abs=0.1)
    # the noise's variance is what no line can explain
    assert ended.training["metrics"]["loss"] == pytest.approx(0.01, rel=0.2)
    metrics = ended.training["metrics"]
    mse = next(metrics[name] for name in ("mse", "mean_squared_error") if name in metrics)
    assert mse == pytest.approx(metrics["loss"], rel=1e-3)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["mnist-cnn", "mnist-cnn-program"])
def test_the_cnn_reads_digits(example: str, members: int, desk: Desk) -> None:
    ended = run_example(example, members, desk)
    check_end(ended, example, 10)
    metrics = ended.training["metrics"]
    assert metrics["val_accuracy"] >= 0.96
    assert metrics["accuracy"] >= 0.97
    assert 0 < metrics["val_loss"] < 0.15
    if example.endswith("-program"):
        assert number(r"test accuracy ([\d.]+)", ended.log) == pytest.approx(metrics["val_accuracy"], abs=1e-4)
        assert number(r"test loss ([\d.]+)", ended.log) == pytest.approx(metrics["val_loss"], abs=1e-3)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["gradient-tape", "gradient-tape-program"])
def test_dense_layers_read_digits(example: str, members: int, desk: Desk) -> None:
    ended = run_example(example, members, desk)
    check_end(ended, example, 10)
    assert ended.training["totalSteps"] == 2500, "10 epochs of 8,000 digits, 32 at a time: whatever the members"
    assert ended.training["metrics"]["val_accuracy"] >= 0.93
    assert 0 < ended.training["metrics"]["val_loss"] < 0.25
    if example.endswith("-program"):
        assert number(r"test accuracy ([\d.]+)", ended.log) >= 0.93
        assert f"({members} member" in ended.log
        saved = sorted(path.name for path in (desk.folder / "checkpoints").glob("checkpoint-*.npz"))
        assert saved == ["checkpoint-1500.npz", "checkpoint-2000.npz", "checkpoint-2500.npz"]


@pytest.mark.gang
def test_the_one_that_fails_goes_on_and_ends_as_if_nothing_had_been(desk: Desk) -> None:
    text = (EXAMPLES / "restarts.yaml").read_text(encoding="utf-8")
    arguments = ("-o", "yaml", "--members-log", "logs")
    run = desk.run(text, *arguments, "--volume", "/checkpoints=broken")
    status = run.object()["status"]
    assert status["phase"] == "Succeeded"
    assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
    assert (status["failure"]["member"], status["failure"]["reason"]) == ("worker-0", "TrainerKilled")
    assert (status["failure"]["exitCode"], status["failure"]["signal"]) == (137, 9)
    assert status["resumedFrom"]["step"] == 100
    assert status["training"]["step"] == status["training"]["totalSteps"] == 400
    steps = [point["step"] for point in status["training"]["history"]]
    assert steps == sorted(set(steps)), "no step twice"
    log = (desk.folder / "logs" / "restarts-chief-0.log").read_text(encoding="utf-8")
    check_promise("restarts", "\n".join(line for line in log.splitlines() if not line.startswith("trainingjob: ")))
    broken = number(r"^loss ([\d.]+)", log)

    unbroken = text.replace("step + 1 == 130", "step + 1 == 0")
    assert unbroken != text
    status = desk.run(unbroken, *arguments, "--volume", "/checkpoints=unbroken").object()["status"]
    assert status["restarts"]["total"] == 0
    log = (desk.folder / "logs" / "restarts-chief-0.log").read_text(encoding="utf-8")
    assert number(r"^loss ([\d.]+)", log) == pytest.approx(broken, rel=1e-5)
