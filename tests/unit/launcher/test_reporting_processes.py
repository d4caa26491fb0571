"""What a trainer says or does not say, through a real launcher: to the operator, and to TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path

from tests.unit.launcher.processes import Gang, Intake
from tests.unit.launcher.test_event_files import steps
from trainingjob_launcher.contract import Extremes, Training

SILENT = "import os; print('training'); os.read(os.open(os.environ['GO'], os.O_RDONLY), 1)"


def test_a_program_that_reports_nothing_runs_with_all_unknown(gang: Gang, intake: Intake, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    gang.start(SILENT, workers=0, report_url=intake.url, report_ca=intake.ca, env={"GO": str(go)})
    _, first = intake.take()
    assert (first.state, first.training) == ("Running", Training(extremes={}))
    go.write_text("x")
    last = intake.final()
    assert (last.state, last.training) == ("Succeeded", Training(extremes={}))
    assert gang.codes() == {"chief-0": 0}


ALL_AT_ONCE = """
import trainingjob
for step in range(1, 1001):
    trainingjob.report(step=step, total_steps=1000, loss=abs(step - 700) / 100 + 1)
"""


def test_the_best_value_arrives_though_nobody_has_sent_it(gang: Gang, intake: Intake, tmp_path: Path) -> None:
    """1000 values in some milliseconds: what is sent are two or three of them."""
    folder = tmp_path / "checkpoints" / "tensorboard" / "job"
    gang.start(ALL_AT_ONCE, workers=0, report_url=intake.url, report_ca=intake.ca, tensorboard_dir=str(folder))
    last = intake.final()
    assert last.training is not None
    assert last.training.metrics == {"loss": 4.0}
    assert last.training.extremes == {"loss": Extremes(1.0, 7.99, 700, 1)}
    assert gang.codes() == {"chief-0": 0}
    [events] = folder.iterdir()
    assert steps(events.read_bytes())[0] == 0
    assert b"loss" in events.read_bytes()


def test_a_folder_for_tensorboard_that_is_not_there_ends_no_training(gang: Gang, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gang.start(ALL_AT_ONCE, workers=0, tensorboard_dir=str(tmp_path / "file" / "x"))
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].err.decode().count("event files for TensorBoard can't be written") == 1
    assert gang["chief-0"].report().training is not None
