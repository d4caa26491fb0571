"""Whole jobs on this machine with programs that need no TensorFlow: real launchers, real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.runs import PATIENCE, Desk, alive, job

#: Says who it is and where, for a test to read.
TELLS = """
import json, os, sys
print("told", json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}))
"""
#: Trains until it is asked to stop, and saves then.
SAVES = """
import os, pathlib, signal, sys, trainingjob
def stop(*_):
    pathlib.Path(sys.argv[1], os.environ["TRAININGJOB_MEMBER"]).write_text("saved")
    sys.exit(77)
signal.signal(signal.SIGTERM, stop)
trainingjob.report(step=1, total_steps=2, loss=2.0)
print("training", os.getpid(), flush=True)
pathlib.Path(sys.argv[1], "pid-" + os.environ["TRAININGJOB_MEMBER"]).write_text(str(os.getpid()))
while True:
    signal.pause()
"""
#: The same, but deaf.
DEAF = SAVES.replace("signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
CLAIM = [{"mountPath": "/claim", "persistentVolumeClaim": {"claimName": "claim"}}]


def told(text: str) -> dict[str, Any]:
    line = next(line for line in text.splitlines() if line.startswith("told "))
    value: dict[str, Any] = json.loads(line.removeprefix("told "))
    return value


def all_train(desk: Desk, members: int) -> list[int]:
    """Wait until every member trains; return their process numbers."""
    claim = desk.folder / "trainingjob-data" / "claim"
    deadline = time.monotonic() + PATIENCE
    while True:
        texts = [path.read_text() for path in claim.glob("pid-*")] if claim.exists() else []
        if len(texts) == members and all(texts):
            return [int(text) for text in texts]
        assert time.monotonic() < deadline, texts
        time.sleep(0.02)  # for another process, which tells nobody


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def test_a_gang_succeeds_and_the_status_is_the_operators(desk: Desk) -> None:
    program = (
        "import os, trainingjob\n"
        "print('cluster', os.environ['TF_CONFIG'])\n"
        "for step in range(1, 6):\n"
        "    trainingjob.report(step=step, total_steps=5, epoch=step, epochs=5, loss=1 / step, accuracy=step / 5)\n"
    )
    run = desk.run(job(program, workers=2), "-o", "yaml")
    body = run.object()
    status = body["status"]
    assert body["metadata"]["namespace"] == "default"
    assert status["phase"] == "Succeeded"
    assert status["observedGeneration"] == 1
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Valid": "True", "MembersReady": "False", "Running": "False", "Succeeded": "True", "Failed": "False",
    }  # fmt: skip
    items = {item["name"]: item for item in status["members"]["items"]}
    assert list(items) == ["chief-0", "worker-0", "worker-1"]
    assert items["chief-0"]["phase"] == "Succeeded"
    # as in a cluster, who still ends when the chief has ended has no phase in the last status
    assert {items[name].get("phase", "Succeeded") for name in ("worker-0", "worker-1")} == {"Succeeded"}
    assert status["training"]["metrics"] == {"loss": 0.2, "accuracy": 1}
    assert status["training"]["percent"] == 100
    shown = status["display"]
    assert (shown["members"], shown["progress"], shown["metric"]) == ("3/3", "100%", "accuracy=1")
    config = json.loads(
        next(line for line in run.err.splitlines() if line.startswith("cluster")).removeprefix("cluster")
    )
    assert config["task"] == {"type": "chief", "index": 0}
    assert len({*config["cluster"]["chief"], *config["cluster"]["worker"]}) == 3, "one port each"
    assert not list(desk.folder.glob("trainingjob-run-*")), "its folder is gone"


def test_without_a_terminal_the_log_is_stdout_and_the_line_is_stderr(desk: Desk) -> None:
    run = desk.run(job("print('hello')"))
    assert "hello" in run.out.splitlines()
    assert run.out.splitlines()[-1] == "trainingjob: the job has succeeded"
    heads = [line.split() for line in run.err.splitlines() if line.startswith(("NAME", "toy"))]
    assert heads[0] == [
        "NAME", "PHASE", "MEMBERS", "PROGRESS", "EPOCH", "LOSS", "METRIC", "SPEED", "ETA", "RESTARTS", "AGE",
    ]  # fmt: skip
    assert heads[-1][:3] == ["toy", "Succeeded", "1/1"]


def test_json_and_another_number_of_workers(desk: Desk) -> None:
    run = desk.run(job("pass", workers=5), "-w", "0", "-o", "json")
    body = json.loads(run.out)
    assert body["spec"]["workers"] == {"replicas": 0}
    assert body["status"]["display"]["members"] == "1/1"


def test_volumes_are_folders_and_paths_are_translated(desk: Desk) -> None:
    (desk.folder / "mine").mkdir()
    volumes = [
        *CLAIM,
        {"mountPath": "/claim/inner", "emptyDir": {}},
        {"mountPath": "/host", "hostPath": {"path": str(desk.folder)}},
        {"mountPath": "/given", "secret": {"secretName": "key"}},
    ]
    program = {"args": ["/claim/a", "--x=/claim/inner/b", "/host", "/given/c", "/claims"], "env": [
        {"name": "SEARCH", "value": "/claim/lib:/usr/lib"}, {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]}  # fmt: skip
    run = desk.run(job(TELLS, program=program, volumes=volumes), "--volume", "/given=mine")
    found = told(run.out)
    claim = str(desk.folder / "trainingjob-data" / "claim")
    own = found["cwd"].removesuffix("/workspace")
    assert found["argv"] == [
        f"{claim}/a", f"--x={own}/volume-1/b", str(desk.folder), f"{desk.folder}/mine/c", "/claims",
    ]  # fmt: skip
    assert found["env"]["SEARCH"] == f"{claim}/lib:/usr/lib"
    assert found["env"]["ME"] == "toy-chief-0"
    assert found["env"]["HOME"] == os.environ["HOME"], "a person's caches and credentials, not an empty folder"
    assert f"kept: {claim}" in run.err.splitlines()


def test_config_maps_come_from_the_jobs_file_or_from_a_folder(desk: Desk) -> None:
    spec = job(program={"env": [{"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "w"}}}]})
    spec["spec"]["program"]["source"] = {"configMap": {"name": "code"}}
    (desk.folder / "src").mkdir()
    (desk.folder / "src" / "main.py").write_text("import os; print('word', os.environ['WORD'])")
    words = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {w: from the file}\n---\n"
    text = words + json.dumps(spec)
    assert "word from the file" in desk.run(text, "--source", "src").out.splitlines()
    refused = desk.run(text, code=2)
    assert "ConfigMap code is not on this machine: give the folder with its files: --source FOLDER" in refused.err


def test_what_is_missing_is_named_with_its_remedy_before_anything_starts(desk: Desk) -> None:
    volumes = [
        {"mountPath": "/key", "secret": {"secretName": "key"}},
        {"mountPath": "/data", "nfs": {"server": "a", "path": "/b"}},
    ]
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}}]
    run = desk.run(
        job("print('started')", workers=1, volumes=volumes, program={"env": env, "workingDir": "/app"}), code=2
    )
    assert run.err.splitlines()[-4:] == [
        "/key: Secret key is not on this machine: give a folder for it: --volume /key=FOLDER",
        "/data: an NFS server is not on this machine: give a folder for it: --volume /data=FOLDER",
        "spec: variable TOKEN comes from Secret key, key token, which is not on this machine: export TOKEN=… first",
        "spec.program.workingDir: /app is a folder of the image: give one here: --volume /app=FOLDER",
    ]
    assert "started" not in run.out


def test_data_that_is_only_read_must_be_there(desk: Desk) -> None:
    body = job(TELLS, volumes=[{**CLAIM[0], "readOnly": True}])
    folder = desk.folder / "trainingjob-data" / "claim"
    [problem] = desk.run(body, code=2).err.splitlines()[-1:]
    assert problem == (
        f"/claim: {folder} is not there, and the job only reads it: put the data there, or give another folder: "
        "--volume /claim=FOLDER"
    )
    assert "is not there" in desk.run(body, "--volume", "/claim=typo", code=2).err
    folder.mkdir(parents=True)
    desk.run(body)


def test_an_invalid_spec_is_judged_as_by_the_operator(desk: Desk) -> None:
    spec = job(
        training={
            "dataset": {"builtin": {"name": "mnist"}},
            "model": {"preset": "Linear"},
            "loss": "mse",
            "optimizer": "adm",
            "epochs": 1,
        }
    )
    assert "spec.training.optimizer" in desk.run(spec, code=2).err
    spec = job("pass", worker={"replicas": 1})
    assert desk.run(spec, code=2).err.splitlines() == [
        "spec.worker: is not a field; did you mean workers? (it is an object with replicas)"
    ]


def test_a_failing_program_is_told_with_its_last_lines(desk: Desk) -> None:
    program = (
        "import os, signal\n"
        "if os.environ['TRAININGJOB_MEMBER'] == 'worker-0':\n"
        "    raise ValueError('a hole in the data')\n"
        "signal.pause()\n"
    )
    run = desk.run(job(program, workers=1), "-o", "yaml", "--members-log", "logs", code=1)
    status = run.object()["status"]
    failure = status["failure"]
    assert status["phase"] == "Failed"
    assert (failure["member"], failure["exitCode"], failure["pod"]) == ("worker-0", 1, "toy-worker-0")
    assert failure["lastLogLines"][-1] == "ValueError: a hole in the data"
    lines = run.err.splitlines()
    assert lines[-1] == "  ValueError: a hole in the data"
    assert "Failed: worker-0: TrainerFailed (exit code 1): ValueError: a hole in the data" in lines
    assert "ValueError: a hole in the data" in (desk.folder / "logs" / "toy-worker-0.log").read_text()


def test_ctrl_c_lets_every_member_save(desk: Desk) -> None:
    run = desk.start(job(SAVES, workers=2, volumes=CLAIM, program={"args": ["/claim"]}), "-o", "yaml")
    pids = all_train(desk, 3)
    run.interrupt()
    assert run.wait() == 130
    claim = desk.folder / "trainingjob-data" / "claim"
    assert {name for name in os.listdir(claim) if not name.startswith("pid-")} == {"chief-0", "worker-0", "worker-1"}
    assert gone(pids)
    assert run.object()["status"]["failure"]["reason"] == "Terminated"
    assert run.err.splitlines()[-1] == "stopped"


def test_a_second_ctrl_c_kills(desk: Desk) -> None:
    run = desk.start(job(DEAF, workers=1, volumes=CLAIM, program={"args": ["/claim"]}))
    pids = all_train(desk, 2)
    run.interrupt()
    run.line("stopping")
    assert all(alive(pid) for pid in pids), "it has its time to save"
    run.interrupt()
    assert run.wait() == 130
    assert gone(pids)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_ways_to_be_asked(desk: Desk, number: signal.Signals, code: int) -> None:
    run = desk.start(job(SAVES, volumes=CLAIM, program={"args": ["/claim"]}))
    pids = all_train(desk, 1)
    run.process.send_signal(number)
    assert run.wait() == code
    assert (desk.folder / "trainingjob-data" / "claim" / "chief-0").exists()
    assert gone(pids)


def test_nothing_outlives_a_run_that_is_killed(desk: Desk) -> None:
    run = desk.start(job(SAVES, workers=2, volumes=CLAIM, program={"args": ["/claim"]}))
    pids = all_train(desk, 3)
    run.process.kill()
    assert gone(pids)
    claim: Path = desk.folder / "trainingjob-data" / "claim"
    assert {"chief-0", "worker-0", "worker-1"} <= set(os.listdir(claim)), "and it was asked first"


def test_the_evaluator_runs_beside_the_gang_and_its_failure_fails_nothing(desk: Desk) -> None:
    program = (
        "import os, pathlib, sys, time\n"
        "seen = pathlib.Path(sys.argv[1], 'seen')\n"
        "if os.environ['TRAININGJOB_MEMBER'] == 'evaluator-0':\n"
        "    seen.write_text('x')\n"
        "    sys.exit(3)\n"
        "while not seen.exists():\n"
        "    time.sleep(0.05)\n"
    )
    checkpoint = {"volume": {"persistentVolumeClaim": {"claimName": "c"}}}
    body = job(program, workers=1, evaluator={}, checkpoint=checkpoint, program={"args": ["/checkpoints"]})
    status = desk.run(body, "-o", "yaml", "--members-log", "logs").object()["status"]
    assert status["phase"] == "Succeeded"
    assert status["members"]["desired"] == 2
    assert "has ended with code 3" in (desk.folder / "logs" / "toy-evaluator-0.log").read_text()
