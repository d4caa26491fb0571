"""What tells a pause from a stall: the launcher hears what a trainer is busy with, and where a stuck one is."""

from __future__ import annotations

import os
import re
import select
import signal
from pathlib import Path

import pytest

from tests.trainer.gang import PROGRAMS, python_path
from tests.trainer.trainers import TEST_DIGITS, Trainers, document, training


@pytest.mark.gang
def test_the_first_step_the_validation_and_the_checkpoints_of_the_trainer(tmp_path: Path) -> None:
    spec = training(epochs=100, validation={"dataset": TEST_DIGITS})
    with Trainers(document(spec, checkpoint={"path": str(tmp_path), "everySteps": 5})) as trainers:
        trainers.wait_for_report(lambda report: report.get("busy") == "starting")
        trainers.wait_for_report(lambda report: report.get("busy") == "" and report.get("step", 0) > 0)
        trainers.wait_for_report(lambda report: report.get("busy") == "evaluation")
        trainers.wait_for_report(lambda report: report.get("busy") == "checkpoint")
        assert all("resumedStep" not in report for report in trainers.reports)


def test_the_first_step_and_the_validation_of_fit() -> None:
    program = [str(PROGRAMS / "resume_fit.py"), "--epochs", "300"]
    with Trainers({"version": 1}, program=program, env={"PYTHONPATH": python_path(hooked=True)}) as trainers:
        trainers.wait_for_report(lambda report: report.get("busy") == "starting")
        trainers.wait_for_report(lambda report: report.get("busy") == "evaluation")
        trainers.wait_for_report(lambda report: report.get("busy") == "" and report.get("step", 0) > 9)


@pytest.mark.gang
def test_a_trainer_that_waits_for_a_peer_shows_its_stack() -> None:
    """It is inside of TensorFlow, where no signal handler of Python's runs."""
    ours, theirs = os.pipe()
    try:
        env = {"TRAININGJOB_STACK_FD": str(theirs)}
        with Trainers(document(training(epochs=100)), 2, env=env, pass_fds=[theirs]) as trainers:
            os.close(theirs)
            trainers.wait_for_report(lambda report: report.get("step", 0) > 0)
            trainers.processes[1].send_signal(signal.SIGSTOP)
            text = ""
            # It is stuck, or will be in a moment; and a stack comes in pieces.
            while not re.search(r'trainingjob_trainer/pace\.py", line \d+ in call\n', text):
                trainers.processes[0].send_signal(signal.SIGUSR2)
                assert select.select([ours], [], [], 30)[0]
                text += os.read(ours, 1 << 20).decode()
            assert trainers.processes[0].poll() is None
    finally:
        os.close(ours)
