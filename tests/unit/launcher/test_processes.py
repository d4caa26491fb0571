"""Whole gangs of real launcher processes on loopback, without Kubernetes and without TensorFlow."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.unit.launcher.processes import Gang, Intake, gone, kill
from trainingjob_launcher.contract import Failure, Policy

#: Says its pid and waits to be killed.
WAITS = "import os, signal; print('pid', os.getpid()); signal.pause()"
FAILS = "print('working'); raise ValueError('bad shape')"
#: The same, when it is told to.
FAILS_LATER = "import os; open(os.environ['GO']).read(); " + FAILS


def test_three_members_succeed_and_each_knows_its_place(gang: Gang) -> None:
    gang.start("import os; print(os.environ['TF_CONFIG']); print('KEY' in str(os.environ))")
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}
    configs = [json.loads(launcher.out.splitlines()[0]) for launcher in gang.members.values()]
    assert [config["task"] for config in configs] == [
        {"type": "chief", "index": 0},
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
    ]
    assert configs[0]["cluster"] == configs[1]["cluster"] == configs[2]["cluster"]
    for name, launcher in gang.members.items():
        assert launcher.out.splitlines()[1] == b"False", "no secret for the trainer"
        assert (launcher.report().member, launcher.report().state) == (name, "Succeeded")
        assert launcher.report().generation == 1
        assert launcher.err.splitlines()[-1].endswith(b"the job has succeeded")


def test_a_chief_alone_needs_no_tf_config(gang: Gang) -> None:
    gang.start("import os; print(os.environ.get('TF_CONFIG'))", workers=0)
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].out == b"None\n"


def test_output_comes_through_byte_by_byte(gang: Gang) -> None:
    program = "import os; os.write(1, bytes(range(256)) * 999); os.write(2, b'\\xff\\x00no newline')"
    gang.start(program, workers=0)
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].out == bytes(range(256)) * 999
    assert b"\xff\x00no newline" in gang["chief-0"].err


def test_a_workers_error_ends_the_job_in_its_name(gang: Gang, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    gang.start({"worker-1": FAILS_LATER, "*": WAITS}, env={"GO": str(go)})
    pids = [int(gang[name].line("pid").split()[1]) for name in ("chief-0", "worker-0")]
    go.write_text("go")
    assert gang.codes() == {"chief-0": 1, "worker-0": 1, "worker-1": 1}
    for name in gang.members:
        failure = gang[name].report().failure
        assert failure is not None
        assert (failure.member, failure.reason, failure.exit_code) == ("worker-1", "TrainerFailed", 1)
        assert failure.message == "ValueError: bad shape"
        assert failure.last_log_lines[-1] == "ValueError: bad shape"
        assert "working" in failure.last_log_lines
    last = gang["chief-0"].err.decode().splitlines()[-1]
    assert last == "trainingjob: the job has failed: worker-1: TrainerFailed (exit code 1): ValueError: bad shape"
    assert gone(*pids)


def test_the_chiefs_own_code_is_the_launchers(gang: Gang) -> None:
    gang.start({"chief-0": "raise SystemExit(42)", "*": WAITS}, workers=1)
    assert gang.codes() == {"chief-0": 42, "worker-0": 1}


def test_a_killed_trainer_is_137_for_a_job_that_survives_no_failure(gang: Gang) -> None:
    gang.start(WAITS, policy=Policy(backoff_limit=0))
    pids = {name: int(launcher.line("pid").split()[1]) for name, launcher in gang.members.items()}
    kill(pids["worker-0"])
    assert gang.codes() == {"chief-0": 1, "worker-0": 137, "worker-1": 1}
    failure = gang["chief-0"].report().failure
    assert failure is not None
    assert (failure.member, failure.reason, failure.exit_code, failure.signal) == (
        "worker-0",
        "BackoffLimitExceeded",
        137,
        9,
    )


def test_the_whole_process_group_goes_with_the_trainer(gang: Gang) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import signal; signal.pause()'])\n"
        "print('pid', child.pid)\n"
    )
    gang.start(program, workers=0)
    pid = int(gang["chief-0"].line("pid").split()[1])
    assert gang.codes() == {"chief-0": 0}
    assert gone(pid)


def test_orphans_are_reaped(gang: Gang, tmp_path: Path) -> None:
    # As process 1 of a container the launcher inherits orphans; here it asks the kernel to be given them.
    wrapper = tmp_path / "reaper.py"
    wrapper.write_text(
        "import ctypes, runpy, sys\n"
        "assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER\n"
        "sys.argv = sys.argv[2:]\n"
        "runpy.run_module('trainingjob_launcher', run_name='__main__')\n"
    )
    program = (
        "import os, signal\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); os.close(read); os.write(write, str(os.getpid()).encode()); os._exit(0)\n"
        "    os._exit(0)\n"
        "os.close(write); os.wait(); pid = int(os.read(read, 9)); os.read(read, 1)\n"
        "import time\n"
        "while os.path.exists(f'/proc/{pid}'): time.sleep(0.01)\n"
        "print('gone')\n"
    )
    gang.member("chief", 0, [sys.executable, "-S", "-c", program], 0, wrapper=(str(wrapper),))
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].out == b"gone\n"


def test_inline_files_are_put_into_place_and_run(gang: Gang, tmp_path: Path) -> None:
    work = tmp_path / "work"
    files = {"main.py": "import helper; print(helper.WORD)", "helper.py": "WORD = 'h\u00e9llo'"}
    gang.member("chief", 0, [sys.executable, "main.py"], 0, work_dir=str(work), files=files)
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].out.decode() == "h\u00e9llo\n"


@pytest.mark.parametrize(
    ("command", "files", "code", "reason", "said"),
    [
        (["no-such-command"], {}, 127, "CommandNotFound", "'no-such-command' was not found"),
        (["./main.py"], {"main.py": "print(1)"}, 126, "CommandNotExecutable", "is not executable"),
        (["true"], {"../x": ""}, 1, "ProgramInvalid", "'../x' must be a relative path"),
    ],
)
def test_a_program_that_can_not_start_is_said_clearly(
    gang: Gang, tmp_path: Path, command: list[str], files: dict[str, str], code: int, reason: str, said: str
) -> None:
    gang.member("chief", 0, command, 0, work_dir=str(tmp_path / "work") if files else "", files=files)
    assert gang.codes() == {"chief-0": code}
    failure = gang["chief-0"].report().failure
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert said in failure.message


def test_a_member_with_another_key_never_joins_and_disturbs_nobody(gang: Gang) -> None:
    gang.member("chief", 0, ["true"], 2, env={"TRAININGJOB_HEARTBEAT_SECONDS": "0.1"})
    gang["chief-0"].line("trainingjob: waiting for worker-0, worker-1")
    stranger = gang.member("worker", 0, ["true"], 2, key="66" * 32, env={"TRAININGJOB_PATIENCE_SECONDS": "0.2"})
    assert "handshake failed" in stranger.line("trainingjob: waiting for the chief")
    gang.member("worker", 1, ["true"], 2)
    assert gang["chief-0"].line("trainingjob: worker-1 has joined").endswith("waiting for worker-0")
    stranger.close()
    gang.member("worker", 0, ["true"], 2)
    assert {name: gang[name].wait() for name in ("chief-0", "worker-0", "worker-1")} == {
        "chief-0": 0,
        "worker-0": 0,
        "worker-1": 0,
    }
    assert stranger.process.returncode == -signal.SIGKILL


def test_strangers_do_not_keep_members_out(gang: Gang) -> None:
    gang.member("chief", 0, ["true"], 1)
    gang["chief-0"].line("trainingjob: waiting for worker-0")
    strangers = [socket.create_connection(("127.0.0.1", gang.port)) for _ in range(40)]
    for number, stranger in enumerate(strangers):
        try:
            stranger.sendall([b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"x" * 70_000, b"{", b"{}\n"][number % 4])
        except OSError:
            continue  # dropped already
    gang.member("worker", 0, ["true"], 1)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    for stranger in strangers:
        stranger.close()


def test_an_older_pod_of_a_member_is_refused(gang: Gang) -> None:
    gang.member("chief", 0, [sys.executable, "-S", "-c", WAITS], 2)
    gang.member("worker", 0, ["true"], 2, incarnation=2)
    gang["chief-0"].line("trainingjob: worker-0 has joined")
    old = gang.member("worker", 0, ["true"], 2, incarnation=1)
    assert old.wait() == 1
    failure = old.report().failure
    assert failure is not None
    assert failure.reason == "Refused"
    assert "incarnation 2 of worker-0" in failure.message


def test_a_launcher_outside_a_pod_says_what_is_missing(gang: Gang) -> None:
    launcher = gang.member("chief", 0, ["true"], 0, env={"TRAININGJOB_KEY": "xyz"})
    assert launcher.wait() == 2
    assert (
        launcher.err == b"trainingjob: this member can't start: TRAININGJOB_KEY: must be at least 16 bytes in hex\n"
    )


# --- Reports ---

REPORTS = """
import os, trainingjob
trainingjob.report(step=50, total_steps=100, epoch=1, epochs=2, loss=0.5)
print("half"); os.read(os.open(os.environ["GO"], os.O_RDONLY), 1)
trainingjob.report(step=100, epoch=2, loss=0.25, accuracy=0.97)
"""


def test_the_first_and_the_last_report_reach_the_intake(gang: Gang, intake: Intake, tmp_path: Path) -> None:
    token, go = tmp_path / "token", tmp_path / "go"
    token.write_text("token-1\n")
    os.mkfifo(go)
    gang.start(
        {"chief-0": REPORTS, "*": "pass"},
        workers=1,
        report_url=intake.url,
        report_ca=intake.ca,
        report_token_file=str(token),
        report_interval_seconds=0.2,
        env={"GO": str(go)},
    )
    headers, first = intake.take()
    assert (first.state, first.generation, first.final) == ("Running", 1, False)
    assert (headers["Authorization"], headers["path"]) == ("Bearer token-1", "/v1/report")
    _, second = intake.take()
    assert second.training is not None
    assert (second.training.step, second.training.percent, second.training.metrics) == (50, 50.0, {"loss": 0.5})
    token.write_text("token-2\n")
    go.write_text("x")
    headers, last = intake.take()
    while not last.final:
        assert last.state == "Running", "a job that ends well is not one that restarts"
        headers, last = intake.take()
    assert headers["Authorization"] == "Bearer token-2"
    assert last.training is not None
    assert (last.state, last.training.step, last.training.epoch) == ("Succeeded", 100, 2)
    assert last.training.metrics == {"loss": 0.25, "accuracy": 0.97}
    assert last.sequence > second.sequence > first.sequence
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    assert intake.connections == 1, "one connection is kept, and only the chief reports"
    assert gang["chief-0"].report() == last
    assert b"token" not in gang["chief-0"].err


def test_a_gang_that_forms_slowly_says_so(gang: Gang, intake: Intake) -> None:
    """Silence would look like a launcher that can't reach the operator."""
    more = {"report_url": intake.url, "report_ca": intake.ca}
    chief = gang.member("chief", 0, ["true"], 1, env={"TRAININGJOB_PATIENCE_SECONDS": "0.2"}, **more)
    _, forming = intake.take()
    assert (forming.state, forming.generation) == ("Forming", 0)
    gang.member("worker", 0, ["true"], 1, **more)
    assert chief.wait() == 0
    assert intake.final().generation == 1


def test_a_failure_reaches_the_intake_with_the_last_log_lines(gang: Gang, intake: Intake) -> None:
    gang.start({"worker-0": FAILS, "*": WAITS}, workers=1, report_url=intake.url, report_ca=intake.ca)
    failure = intake.final().failure
    assert failure is not None
    assert (failure.member, failure.message) == ("worker-0", "ValueError: bad shape")
    assert failure.last_log_lines[-1] == "ValueError: bad shape"
    assert gang.codes() == {"chief-0": 1, "worker-0": 1}


def test_an_intake_that_is_away_holds_nothing_up(gang: Gang, intake: Intake) -> None:
    gang.start(
        "print('done')",
        workers=0,
        report_url="https://127.0.0.1:1/report",
        report_ca=intake.ca,
        env={"TRAININGJOB_LAST_REPORT_SECONDS": "0.5"},
    )
    assert gang.codes() == {"chief-0": 0}
    said = gang["chief-0"].err.decode()
    assert said.count("can't be reached") == 1
    assert "the last report did not reach the operator" in said
    assert gang["chief-0"].report().state == "Succeeded"
