"""`tf.summary.scalar` of programs that were written without us in mind reaches the launcher."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.gang import run_gang
from tests.trainer.launcher_socket import listening
from trainingjob_launcher.progress import Progress


def reported(case: str, folder: Path, members: int = 1, **env: str) -> list[dict[str, Any]]:
    """Run a case; return what arrived at the launcher."""
    with listening(folder / "s") as launcher:
        run_gang(
            "summaries.py",
            case,
            str(folder / "logs"),
            members=members,
            env={**launcher.env, **env},
            cold=case == "eager",  # once with the hook in place before TensorFlow is imported
        )
        return launcher.reports()


def test_what_a_loop_writes_is_reported_and_what_it_does_not_write_is_not(tmp_path: Path) -> None:
    last = reported("eager", tmp_path)[-1]
    odd = last["metrics"].pop("odd")
    assert math.isnan(odd)
    assert last["metrics"] == {
        "loss": pytest.approx(0.1),
        "learning_rate": 0.5,
        "test_loss": 0.0,
        "other/loss": 104.0,  # record_if was false from then on
        "part/loss": 7.0,
    }
    assert last["step"] == 9
    assert last["extremes"]["loss"] == pytest.approx([0.1, 9, 1.0, 0])
    assert last["extremes"]["test_loss"] == [0.0, 9, 9.0, 0]
    assert "odd" not in last["extremes"]


def test_values_of_a_graph_are_reported_and_the_last_one_always(tmp_path: Path) -> None:
    last = reported("graph", tmp_path)[-1]
    assert last["step"] == 999
    assert last["metrics"]["loss"] == pytest.approx(1e-3)
    assert math.isnan(last["metrics"]["vanishing"])
    progress = Progress()
    assert progress.take(last, 1e9)
    training = progress.training()
    # Nobody has said how long it will be.
    assert (training.percent, training.eta_seconds, training.examples_per_second) == (None, None, None)


def test_a_module_with_its_writer_is_saved_as_ever(tmp_path: Path) -> None:
    reported("saved", tmp_path)
    assert (tmp_path / "logs" / "saved" / "saved_model.pb").exists()


def test_where_the_program_tells_its_step_the_summarys_step_does_not_count(tmp_path: Path) -> None:
    last = reported("own_report", tmp_path)[-1]
    assert last["step"] == 300
    assert last["metrics"] == {"loss": 0.5, "epoch_accuracy": pytest.approx(0.2)}


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_fit_with_the_tensorboard_callback_reports_each_value_once(tmp_path: Path, legacy: dict[str, str]) -> None:
    last = reported("fit", tmp_path, **legacy)[-1]
    assert set(last["metrics"]) == {"loss", "val_loss", "test_loss", "rate"}
    assert (last["step"], last["totalSteps"], last["epoch"]) == (16, 16, 2)


@pytest.mark.gang
def test_of_two_members_the_chief_reports(tmp_path: Path) -> None:
    reports = reported("gang", tmp_path, members=2)
    assert reports[-1]["step"] == 49
    assert reports[-1]["metrics"] == {"loss": pytest.approx(1 / 50)}
