"""What dies in a run starts again: a trainer in its place, a whole member as its next incarnation."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.runs import PATIENCE, Desk, alive, job

#: Each start of it is one step; the second one ends well.
TWICE = """
import os, pathlib, signal, sys, trainingjob
me = pathlib.Path(sys.argv[1], os.environ["TRAININGJOB_MEMBER"])
me.mkdir(exist_ok=True)
starts = len(list(me.iterdir())) + 1
trainingjob.report(step=starts, total_steps=2, loss=1 / starts)
begun = me / f"{starts}.new"
begun.write_text(str(os.getpid()))
begun.rename(me / str(starts))
while starts == 1:
    signal.pause()
"""
#: Makes a step more at each start, and then ends with the code that it is told to.
DIES = """
import os, pathlib, sys, trainingjob
steps = pathlib.Path(sys.argv[1], "steps")
step = 1 + (int(steps.read_text()) if steps.exists() else 0)
trainingjob.report(step=step, total_steps=100, loss=1 / step)
steps.write_text(str(step))
sys.exit(int(sys.argv[2]) if step < 5 else 0)
"""
CLAIM = [{"mountPath": "/claim", "persistentVolumeClaim": {"claimName": "claim"}}]
BOTH = ["chief-0", "worker-0"]


def twice(**spec: Any) -> dict[str, Any]:
    return job(TWICE, workers=1, volumes=CLAIM, program={"args": ["/claim"]}, **spec)


def dies(code: int, **spec: Any) -> dict[str, Any]:
    return job(DIES, volumes=CLAIM, program={"args": ["/claim", str(code)]}, **spec)


def first_trainers(desk: Desk) -> dict[str, int]:
    """Wait until both members train for the first time; return their process numbers."""
    claim = desk.folder / "trainingjob-data" / "claim"
    deadline = time.monotonic() + PATIENCE
    while not all((claim / member / "1").exists() for member in BOTH):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # for another process, which tells nobody
    return {member: int((claim / member / "1").read_text()) for member in BOTH}


def launcher_of(trainer: int) -> int:
    return int(Path(f"/proc/{trainer}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("member", BOTH)
def test_a_trainer_that_dies_starts_again_in_its_place(desk: Desk, member: str) -> None:
    run = desk.start(twice(), "-o", "yaml")
    trainers = first_trainers(desk)
    launchers = {name: launcher_of(pid) for name, pid in trainers.items()}
    os.kill(trainers[member], signal.SIGKILL)
    assert run.wait() == 0, run.err
    status = run.object()["status"]
    assert status["phase"] == "Succeeded"
    assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
    assert status["training"]["generation"] == 2
    failure = status["failure"]
    assert (failure["member"], failure["reason"], failure["generation"]) == (member, "TrainerKilled", 1)
    assert {item["name"]: item["incarnation"] for item in status["members"]["items"]} == dict.fromkeys(BOTH, 1)
    assert not any(alive(pid) for pid in [*trainers.values(), *launchers.values()])


@pytest.mark.parametrize("member", BOTH)
def test_a_launcher_that_is_killed_takes_its_trainer_with_it_and_gets_its_next(desk: Desk, member: str) -> None:
    run = desk.start(twice(), "-o", "yaml", "--members-log", "logs")
    trainers = first_trainers(desk)
    os.kill(launcher_of(trainers[member]), signal.SIGKILL)
    assert run.wait() == 0, run.err
    status = run.object()["status"]
    assert status["phase"] == "Succeeded"
    items = {item["name"]: item for item in status["members"]["items"]}
    assert {name: item["incarnation"] for name, item in items.items()} == {**dict.fromkeys(BOTH, 1), member: 2}
    assert items[member]["pod"] == f"toy-{member}-2"
    assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}, "nobody knows what killed it, so it counts"
    assert (desk.folder / "logs" / f"toy-{member}-2.log").exists(), "each has a log of its own"
    assert not any(alive(pid) for pid in trainers.values())


def test_the_limit_ends_the_run(desk: Desk) -> None:
    run = desk.run(dies(134, failurePolicy={"backoffLimit": 2}), "-o", "yaml", code=1)
    status = run.object()["status"]
    assert status["phase"] == "Failed"
    assert status["failure"]["reason"] == "BackoffLimitExceeded"
    assert status["failure"]["exitCode"] == 134
    assert status["restarts"]["counted"] == 3, "two are survived, the third is too many"
    assert status["training"]["step"] == 3
    assert run.err.splitlines()[-1].startswith("Failed: chief-0: BackoffLimitExceeded (exit code 134)")


@pytest.mark.parametrize(
    ("code", "rules", "phase", "counted"),
    [
        (3, None, "Succeeded", 4),
        (3, [{"exitCodes": [3], "action": "RestartFree"}], "Succeeded", 0),
        (3, [{"exitCodes": [3], "action": "Fail"}], "Failed", None),
        (42, None, "Succeeded", 0),
    ],
    ids=["counts", "free by a rule", "fails by a rule", "free by its code"],
)
def test_codes_and_rules_are_judged_as_in_a_cluster(
    desk: Desk, code: int, rules: list[Any] | None, phase: str, counted: int | None
) -> None:
    body = dies(code, **({"failurePolicy": {"rules": rules}} if rules else {}))
    status = desk.run(body, "-o", "yaml", code=0 if phase == "Succeeded" else 1).object()["status"]
    assert status["phase"] == phase
    if counted is not None:
        assert status["restarts"] == {"total": 4, "counted": counted, "free": 4 - counted}


def test_a_restart_is_shown(desk: Desk) -> None:
    run = desk.start(twice())
    os.kill(first_trainers(desk)["worker-0"], signal.SIGKILL)
    assert run.wait() == 0
    rows = [line.split() for line in run.err.splitlines() if line.startswith("toy")]
    assert rows[-1][:3] == ["toy", "Succeeded", "2/2"]
    assert rows[-1][-2] == "1", "RESTARTS, before AGE"


def test_ctrl_c_ends_a_run_whose_gang_is_not_complete(desk: Desk) -> None:
    """A launcher that stands still can't be asked, so the second Ctrl-C is for it."""
    run = desk.start(twice())
    trainers = first_trainers(desk)
    worker = launcher_of(trainers["worker-0"])
    os.kill(worker, signal.SIGSTOP)
    run.interrupt()
    run.line("stopping")
    run.interrupt()
    assert run.wait() == 130
    assert not any(alive(pid) for pid in [worker, *trainers.values()])


def test_who_runs_a_job_in_a_cluster_does_not_matter_here(desk: Desk) -> None:
    run = desk.run(job("pass", suspend=True, managedBy="kueue.x-k8s.io/multikueue"), "-o", "yaml")
    assert "note: spec.suspend is for a cluster: the job runs here, now" in run.err.splitlines()
    body = run.object()
    assert body["status"]["phase"] == "Succeeded"
    assert "managedBy" not in body["spec"]


def test_fewer_workers_than_an_elastic_job_wants_at_least(desk: Desk) -> None:
    body = desk.run(job("pass", workers=3, elastic={"minWorkers": 2}), "-w", "0", "-o", "yaml").object()
    assert body["spec"]["elastic"]["minWorkers"] == 0
    assert body["status"]["phase"] == "Succeeded"
