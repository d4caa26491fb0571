"""The six examples on one member and on three: the numbers that they promise, in the log and in what they report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.trainer.example_job import EXAMPLES, Ended, run_example

MEMBERS = [1, 3]


def number(pattern: str, text: str) -> float:
    """Return the number that `pattern` (with one group) finds last in `text`."""
    found = re.findall(pattern, text)
    assert found, f"no {pattern} in\n{text[-2000:]}"
    return float(found[-1])


def promised(example: str) -> list[str]:
    """Return what the example's first lines say that three members print."""
    head = (EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8").partition("apiVersion:")[0].splitlines()
    return [line.removeprefix("#     ") for line in head if line.startswith("#     ") and "kubectl" not in line]


def check_promise(example: str, log: str) -> None:
    """The log ends as promised: the same words, and numbers that are as good as the same. Times may be others."""
    lines = promised(example)
    assert lines
    for said, line in zip(log.splitlines()[-len(lines) :], lines, strict=True):
        (words, numbers), (wanted_words, wanted) = _taken_apart(said), _taken_apart(line)
        assert words == wanted_words
        assert numbers == pytest.approx(wanted, rel=0.05, abs=0.01)


def _taken_apart(line: str) -> tuple[str, list[float]]:
    """Return the line without its fractions, and these; whole numbers (steps, epochs, members) stay in the text."""
    line = re.sub(r"[\d.]+k?(?= s[,)]| examples/s)", "TIME", line)
    return re.sub(r"\d+\.\d+", "#", line), [float(x) for x in re.findall(r"\d+\.\d+", line)]


def check_end(ended: Ended, example: str, epochs: int) -> None:
    """The whole training was done and reported; three members printed what the example promises."""
    assert set(ended.codes) == {0}
    assert (ended.training.epoch, ended.training.total_epochs, ended.training.percent) == (epochs, epochs, 100.0)
    assert ended.training.step == ended.training.total_steps
    assert (ended.training.examples_per_second or 0) > 0
    if len(ended.codes) == 3:
        check_promise(example, ended.log)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["linear-regression", "linear-regression-program"])
def test_linear_regression_finds_the_line(example: str, members: int, tmp_path: Path) -> None:
    ended = run_example(example, members, tmp_path)
    check_end(ended, example, 100)
    assert number(r"slope (-?[\d.]+)", ended.log) == pytest.approx(2.0, abs=0.1)
    assert number(r"intercept (-?[\d.]+)", ended.log) == pytest.approx(1.0, abs=0.1)
    # the noise's variance is what no line can explain
    assert ended.training.metrics["loss"] == pytest.approx(0.01, rel=0.2)
    mse = next(
        ended.training.metrics[name] for name in ("mse", "mean_squared_error") if name in ended.training.metrics
    )
    assert mse == pytest.approx(ended.training.metrics["loss"], rel=1e-3)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["mnist-cnn", "mnist-cnn-program"])
def test_the_cnn_reads_digits(example: str, members: int, tmp_path: Path) -> None:
    ended = run_example(example, members, tmp_path)
    check_end(ended, example, 10)
    metrics = ended.training.metrics
    assert metrics["val_accuracy"] >= 0.96
    assert metrics["accuracy"] >= 0.97
    assert 0 < metrics["val_loss"] < 0.15
    if example.endswith("-program"):
        assert number(r"test accuracy ([\d.]+)", ended.log) == pytest.approx(metrics["val_accuracy"], abs=1e-4)
        assert number(r"test loss ([\d.]+)", ended.log) == pytest.approx(metrics["val_loss"], abs=1e-3)


@pytest.mark.gang
@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("example", ["gradient-tape", "gradient-tape-program"])
def test_dense_layers_read_digits(example: str, members: int, tmp_path: Path) -> None:
    ended = run_example(example, members, tmp_path)
    check_end(ended, example, 10)
    assert ended.training.total_steps == 2500, "10 epochs of 8,000 digits, 32 at a time: whatever the members"
    assert ended.training.metrics["val_accuracy"] >= 0.93
    assert 0 < ended.training.metrics["val_loss"] < 0.25
    if example.endswith("-program"):
        assert number(r"test accuracy ([\d.]+)", ended.log) >= 0.93
        assert f"({members} member" in ended.log
        saved = sorted(path.name for path in (tmp_path / "checkpoint").glob("checkpoint-*.npz"))
        assert saved == ["checkpoint-1500.npz", "checkpoint-2000.npz", "checkpoint-2500.npz"]
