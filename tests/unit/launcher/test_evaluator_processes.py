"""An evaluator beside a gang of real launcher processes: its numbers arrive, and it disturbs nobody."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.unit.launcher.processes import Gang, Intake, Launcher, gone, kill
from trainingjob_launcher.rendezvous import listening_socket

DOCUMENT = json.dumps({"version": 1, "checkpoint": {"path": "/checkpoints"}, "evaluator": True})
#: Ends when it is told to.
WAITS = "import os; print('ready'); os.read(os.open(os.environ['GO'], os.O_RDONLY), 1)"


@pytest.fixture
def go(tmp_path: Path) -> Path:
    path = tmp_path / "go"
    os.mkfifo(path)
    return path


def evaluator(gang: Gang, program: str, **more: object) -> Launcher:
    return gang.member("evaluator", 0, [sys.executable, "-u", "-S", "-c", program], 1, spec=DOCUMENT, **more)


def test_its_validation_numbers_are_in_the_jobs_last_report(gang: Gang, intake: Intake, go: Path) -> None:
    chief = "import trainingjob; trainingjob.report(step=9, total_steps=9, loss=0.5, val_loss=9.0)"
    gang.start(
        {"chief-0": WAITS + "; " + chief, "*": "pass"},
        workers=1,
        spec=DOCUMENT,
        report_url=intake.url,
        report_ca=intake.ca,
        env={"GO": str(go)},
    )
    says = "import trainingjob, os; trainingjob.report(step=3, val_loss=0.25, val_accuracy=0.9, loss=7.0)\n"
    says += "print('said'); os.read(os.open(os.environ['GO2'], os.O_RDONLY), 1)\n"
    says += "trainingjob.report(step=9, val_loss=0.125)"
    go2 = go.with_name("go2")
    os.mkfifo(go2)
    beside = evaluator(gang, says, env={"GO2": str(go2)})
    beside.line("said")
    gang["chief-0"].line("ready")
    go.write_text("go")  # the chief's trainer ends; the evaluator has a last checkpoint to look at
    go2.write_text("x")
    last = intake.final().training
    assert last is not None
    assert last.step == 9
    assert last.metrics == {"loss": 0.5, "val_loss": 0.125, "val_accuracy": 0.9}
    assert last.extremes is not None
    assert last.extremes["val_loss"].low == 0.125
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "evaluator-0": 0}
    assert gang["evaluator-0"].report().state == "Succeeded"


def test_a_chief_alone_meets_its_evaluator_too(gang: Gang, go: Path) -> None:
    gang.start(WAITS, workers=0, spec=DOCUMENT, env={"GO": str(go)})
    gang["chief-0"].line("ready")
    beside = evaluator(gang, "import os; print(os.environ['TF_CONFIG'], os.environ['TRAININGJOB_MEMBER'])")
    config, member = beside.line("{").rsplit(" ", 1)
    assert member == "evaluator-0"
    assert json.loads(config)["task"] == {"type": "evaluator", "index": 0}
    assert list(json.loads(config)["cluster"]) == ["chief"]
    go.write_text("go")
    assert gang.codes() == {"chief-0": 0, "evaluator-0": 0}


def test_one_that_fails_ends_alone_and_the_next_takes_its_place(gang: Gang, go: Path) -> None:
    gang.start(WAITS, workers=1, spec=DOCUMENT, env={"GO": str(go)})
    first = evaluator(gang, "raise ValueError('bad shape')")
    assert first.wait() == 1
    failure = first.report().failure
    assert failure is not None
    assert (failure.member, failure.message) == ("evaluator-0", "ValueError: bad shape")
    assert (
        first.err.decode()
        .splitlines()[-1]
        .startswith("trainingjob: the evaluation has failed, the job goes on: evaluator-0: TrainerFailed")
    )
    second = evaluator(gang, "import os, signal; print('pid', os.getpid()); signal.pause()", incarnation=2)
    its_trainer = int(second.line("pid").split()[1])
    for name in ("chief-0", "worker-0"):
        gang[name].line("ready")
        assert gang[name].process.poll() is None
    second.process.send_signal(signal.SIGKILL)
    kill(its_trainer)  # in a pod the kernel does this: process 1 is gone
    gang["chief-0"].line("trainingjob: evaluator-0 is lost")
    # Open both ways, it waits for no reader, and holds for each the byte that it takes.
    with go.open("r+b", buffering=0) as gate:
        gate.write(b"go")
        assert (gang["chief-0"].wait(), gang["worker-0"].wait()) == (0, 0)


def test_one_that_never_ends_holds_the_job_up_for_a_bounded_time(gang: Gang, go: Path) -> None:
    env = {"GO": str(go), "TRAININGJOB_EVALUATE_SECONDS": "0.5"}
    gang.start(WAITS, workers=0, spec=DOCUMENT, env=env)
    gang["chief-0"].line("ready")
    beside = evaluator(gang, "import os, signal; print('pid', os.getpid()); signal.pause()")
    pid = int(beside.line("pid").split()[1])
    go.write_text("go")
    assert gang.codes() == {"chief-0": 0, "evaluator-0": 0}
    assert gone(pid)


def test_a_port_that_is_taken_costs_the_evaluator_and_not_the_training(gang: Gang) -> None:
    with listening_socket(gang.port):
        gang.start("print('trained')", workers=0, spec=DOCUMENT)
        assert gang.codes() == {"chief-0": 0}
    assert b"training goes on without the evaluator" in gang["chief-0"].err
