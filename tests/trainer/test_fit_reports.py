"""What `fit` reports to its launcher, an early end by spec.stopWhen, and the evaluator: unmodified scripts."""

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.gang import free_ports, run_gang, run_members

PROGRAM = "resume_fit.py"


class Launcher:
    """The end of the socket at which reports arrive."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._socket = sock
        self.env = {"TRAININGJOB_SOCKET": address}

    def reports(self) -> list[dict[str, Any]]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(json.loads(self._socket.recv(65536)))
        return found


@contextlib.contextmanager
def listening(path: Path) -> Iterator[Launcher]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        yield Launcher(sock, str(path))


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_progress_and_metrics_of_a_script_without_a_line_of_code(tmp_path: Path, legacy: dict[str, str]) -> None:
    with listening(tmp_path / "s") as launcher:
        [result] = run_gang(PROGRAM, members=1, env={**launcher.env, **legacy})
        last = launcher.reports()[-1]
    assert (last["step"], last["totalSteps"], last["epoch"], last["totalEpochs"], last["batchSize"]) == (
        36,
        36,
        4,
        4,
        24,
    )
    history = result["histories"][0]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc"):
        assert last["metrics"][name] == pytest.approx(history[name][-1], rel=1e-6)
    assert last["metrics"]["test_loss"] == pytest.approx(result["evaluated"]["loss"], rel=1e-6)


def test_a_dataset_tells_its_batch_and_a_resumed_run_its_step(tmp_path: Path) -> None:
    spec = {"checkpoint": {"path": str(tmp_path / "c"), "everySteps": 4}}
    run_members(PROGRAM, "dataset", "--die-at", "14", members=1, spec=spec)
    with listening(tmp_path / "s") as launcher:
        run_gang(PROGRAM, "dataset", members=1, spec=spec, env=launcher.env)
        reports = launcher.reports()
    assert reports[0]["batchSize"] == 24
    assert reports[0]["step"] >= 8
    assert reports[-1]["step"] == 36


@pytest.mark.gang
@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_batch_logs_of_two_members_are_means_not_sums(tmp_path: Path, legacy: dict[str, str]) -> None:
    with listening(tmp_path / "s") as launcher:
        run_gang(PROGRAM, "--epochs", "1", members=2, env={**launcher.env, **legacy})
        reports = launcher.reports()
    values = [report["metrics"]["accuracy"] for report in reports if "accuracy" in report["metrics"]]
    assert values
    assert all(0 <= value <= 1 for value in values)
    losses = [report["metrics"]["loss"] for report in reports if "loss" in report["metrics"]]
    assert max(losses) < 1.0  # a coin's is 0.69; a sum over two members would begin at 1.3


def test_fit_ends_when_the_metric_is_reached(tmp_path: Path) -> None:
    rule = {"metric": "val_loss", "reaches": 0.3, "mode": "auto"}
    [member] = run_members(PROGRAM, "--epochs", "30", members=1, spec={"stopWhen": rule})
    assert member.code == 0
    losses = member.result["histories"][0]["val_loss"]
    assert losses[-1] <= 0.3 < min(losses[:-1])
    assert "reached 0.3" in member.output


def test_fit_ends_when_nothing_improves_and_takes_the_best_weights(tmp_path: Path) -> None:
    rule = {"metric": "val_accuracy", "patience": 2, "minDelta": 0.5, "restoreBest": True}
    [member] = run_members(PROGRAM, "--epochs", "30", members=1, spec={"stopWhen": rule})
    assert len(member.result["epochs"]) == 3  # the first is the best, two are no better
    assert "val_accuracy did not improve 2 times in a row" in member.output
    [one] = run_gang(PROGRAM, "--epochs", "1", members=1)
    assert member.result["weights"] == one["weights"]


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_the_evaluator_evaluates_each_checkpoint_and_ends_with_the_training(
    tmp_path: Path, legacy: dict[str, str]
) -> None:
    """The same script, started beside the trainer; it trains nothing."""
    spec = {"checkpoint": {"path": str(tmp_path / "c"), "everySteps": 9, "keep": 10}, "evaluator": True}
    cluster = {"chief": [f"127.0.0.1:{free_ports(1)[0]}"]}
    role = {
        "TRAININGJOB_MEMBER": "evaluator-0",
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "evaluator", "index": 0}}),
    }
    with listening(tmp_path / "s") as launcher, ThreadPoolExecutor() as pool:
        beside = pool.submit(run_members, PROGRAM, members=1, spec=spec, env={**role, **launcher.env, **legacy})
        [trained] = run_gang(PROGRAM, members=1, spec=spec, env=legacy)
        [evaluator] = beside.result()
        reports = launcher.reports()
    assert evaluator.code == 0, evaluator.output
    assert evaluator.result["steps"] == 0
    assert [line.split(":")[1] for line in evaluator.output.splitlines() if "evaluated step" in line] == [
        f" evaluated step {step}" for step in (9, 18, 27, 36)
    ]
    assert reports[-1]["step"] == 36
    assert evaluator.result["histories"] == trained["histories"]
    assert evaluator.result["weights"] == trained["weights"]
