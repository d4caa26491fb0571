"""The warm standby with TensorFlow itself: real launchers, a chief and a worker, whose trainers are killed.

The next generation's trainers are the processes that waited, and what comes out is what an unbroken run gives. The
programs stand still until the standbys are there, so nothing here depends on how long they take.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.trainer.close import differences
from tests.trainer.gang import PROGRAMS, ROOT, free_ports, run_gang
from tests.trainer.trainers import document, training
from trainingjob_launcher.contract import Assignment
from trainingjob_launcher.policy import Policy
from trainingjob_operator.runtime.launcher_archive import build

T = TypeVar("T")

MEMBERS = ("chief-0", "worker-0")
PATIENCE = 180.0
BUILT_IN = (sys.executable, "-m", "trainingjob_launcher")
CHECKPOINTS = {"everySteps": 5, "keep": 2}


class Gang:
    """A launcher for each member, with standbys on. Their words are in files."""

    def __init__(
        self, folder: Path, command: Sequence[str], spec: Mapping[str, Any], launcher: Sequence[str]
    ) -> None:
        self.folder = folder
        key, [port] = secrets.token_hex(32), free_ports(1)
        self.launchers = {}
        checkpoint = {"path": str(folder / "checkpoints"), **CHECKPOINTS}
        for member in MEMBERS:
            role, _, index = member.partition("-")
            given = Assignment(
                job="job",
                namespace="here",
                uid="uid",
                role=role,
                index=int(index),
                incarnation=1,
                workers=1,
                key=key,
                chief_host="127.0.0.1",
                chief_port=port,
                trainer_port=0,
                spec=json.dumps({**spec, "checkpoint": checkpoint}),
                report_url=self.report.as_uri() if role == "chief" else "",
                report_interval_seconds=1.0,
                policy=Policy(warm_standby=True, checkpoints=True),
                pod_ip="127.0.0.1",
            )
            env = {
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'trainer_image'}" if launcher is BUILT_IN else "",
                "TRAININGJOB_TERMINATION_PATH": str(folder / f"{member}.termination"),
                "TRAININGJOB_POD_IP": "127.0.0.1",
                "TRAININGJOB_TEST_RESULT": str(folder / f"{member}.json"),
                **given.to_env(),
            }
            with (folder / f"{member}.log").open("wb") as log:
                self.launchers[member] = subprocess.Popen(
                    [*launcher, "--", *command], env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT
                )

    @property
    def report(self) -> Path:
        """The chief's latest report."""
        return self.folder / "report.json"

    def log(self, member: str) -> str:
        return (self.folder / f"{member}.log").read_text(errors="replace")

    def until(self, found: Callable[[], T | None], what: str) -> T:
        by = time.monotonic() + PATIENCE
        while (answer := found()) is None:
            said = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in MEMBERS)
            ended = [name for name, process in self.launchers.items() if process.poll() is not None]
            assert time.monotonic() < by, f"{what}: not in time\n{said}"
            assert not ended, f"{what}: {ended} ended\n{said}"
            time.sleep(0.05)
        return answer

    def standbys(self) -> dict[str, int]:
        """Wait until each member has one that has imported everything; return their numbers."""
        return {name: self.until(lambda name=name: self._waiting(name), f"{name}'s standby") for name in MEMBERS}

    def trainer(self, member: str, besides: int) -> int:
        """Return the member's other child, which trains."""
        [pid] = [pid for pid in children(self.launchers[member].pid) if pid != besides]
        return pid

    def results(self) -> dict[str, Any]:
        """Wait until all have ended well; return what the programs wrote."""
        for member, process in self.launchers.items():
            assert process.wait(PATIENCE) == 0, self.log(member)[-3000:]
        return {name: json.loads((self.folder / f"{name}.json").read_text()) for name in MEMBERS}

    def _waiting(self, member: str) -> int | None:
        for pid in children(self.launchers[member].pid):
            with contextlib.suppress(OSError):
                where = Path(f"/proc/{pid}/wchan").read_text()
                if "hooks.standby" in Path(f"/proc/{pid}/cmdline").read_text() and (
                    "unix_stream" in where or "skb" in where
                ):
                    return pid
        return None


@contextlib.contextmanager
def gang(
    folder: Path, *command: str, spec: Mapping[str, Any] | None = None, launcher: Sequence[str] = BUILT_IN
) -> Iterator[Gang]:
    """Start a gang; nothing of it is left after the block."""
    running = Gang(folder, command, spec or {"version": 1, "keras": {"patchFit": True}}, launcher)
    try:
        yield running
    finally:
        pids = [pid for process in running.launchers.values() for pid in children(process.pid)]
        for process in running.launchers.values():
            process.kill()
            process.wait()
        for pid in pids:
            kill(pid)


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def keep_to(processor: int, pid: int) -> None:
    """Have all threads of a process run on one processor. They come and go: until none is found elsewhere."""
    found = True
    while found:
        found = False
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                if os.sched_getaffinity(int(thread)) != {processor}:
                    os.sched_setaffinity(int(thread), {processor})
                    found = True


def assert_is_idle(pid: int) -> None:
    """It has TensorFlow and is nobody yet: no place in a cluster, no network, no device, no wish for the processor."""
    proc = Path(f"/proc/{pid}")
    assert "libtensorflow" in (proc / "maps").read_text()
    assert (proc / "oom_score_adj").read_text() == "1000\n"
    environment = (proc / "environ").read_text()
    assert "TF_CONFIG" not in environment
    assert "TRAININGJOB_SOCKET" not in environment
    inodes = {os.readlink(file) for file in (proc / "fd").iterdir()}
    network = [line.split()[9] for kind in ("tcp", "tcp6", "udp") for line in sockets(kind)]
    assert not {f"socket:[{inode}]" for inode in network} & inodes
    assert not any("nvidia" in name for name in inodes)
    before = ticks(proc)
    time.sleep(1.0)
    assert ticks(proc) == before


def sockets(kind: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    return []


def ticks(proc: Path) -> list[str]:
    return (proc / "stat").read_text().rpartition(")")[2].split()[11:13]


def is_warm(log: str) -> int:
    return log.count("is the warm standby")


@pytest.mark.gang
def test_a_loop_of_the_users_own(tmp_path: Path) -> None:
    """Twice broken: all are warm, then the worker's standby is dead and only the chief is."""
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    program = [str(PROGRAMS / "resume_loop.py"), "--steps", "60", "--wait-at", "20", first, "--wait-at", "40", second]
    with gang(tmp_path, sys.executable, *program) as broken:
        waiting = broken.standbys()
        for pid in waiting.values():
            assert_is_idle(pid)
        kill(broken.trainer("worker-0", besides=waiting["worker-0"]))
        Path(first).touch()
        broken.until(lambda: True if all(is_warm(broken.log(name)) for name in MEMBERS) else None, "a warm start")
        again = broken.standbys()
        assert {name: broken.trainer(name, besides=again[name]) for name in MEMBERS} == waiting
        kill(again["worker-0"])
        broken.until(lambda: None if again["worker-0"] in children(broken.launchers["worker-0"].pid) else True, "end")
        kill(broken.trainer("chief-0", besides=again["chief-0"]))
        Path(second).touch()
        ended = broken.results()
        assert [is_warm(broken.log(name)) for name in MEMBERS] == [2, 1]
    assert {result["start"] for result in ended.values()} == {40}
    whole = run_gang(*program[0].split("/")[-1:], *program[1:], members=2)
    for result, expected in zip(ended.values(), whole, strict=True):
        assert differences(expected["weights"], result["weights"]) == []
        assert differences(expected["losses"][40:], result["losses"]) == []


@pytest.mark.gang
def test_fit_from_an_image_without_a_launcher(tmp_path: Path) -> None:
    """The launcher, the hooks and with them the standby come out of one zip file."""
    archive, go = tmp_path / "launcher.pyz", tmp_path / "go"
    archive.write_bytes(build().data)
    program = [str(PROGRAMS / "resume_fit.py"), "--epochs", "4", "--wait-at", "20", str(go)]
    with gang(tmp_path, sys.executable, *program, launcher=[sys.executable, str(archive)]) as broken:
        waiting = broken.standbys()
        kill(broken.trainer("chief-0", besides=waiting["chief-0"]))
        go.touch()
        ended = broken.results()
        assert [is_warm(broken.log(name)) for name in MEMBERS] == [1, 1]
    [expected, _] = run_gang("resume_fit.py", *program[1:], members=2)
    of_this_process = ("start", "steps")
    mine, theirs = (
        {name: value for name, value in result.items() if name not in of_this_process}
        for result in (ended["chief-0"], expected)
    )
    assert differences(theirs, mine) == []


@pytest.mark.gang
def test_the_declarative_trainer(tmp_path: Path) -> None:
    """It never stands still, so its standby comes while it trains; the trainers keep to one processor here."""
    processor = min(os.sched_getaffinity(0))

    def step_of(generation: int) -> int | None:
        with contextlib.suppress(OSError, ValueError, KeyError):  # none yet, or none with a step
            report = json.loads(broken.report.read_text())
            if report["generation"] == generation and report["state"] == "Running":
                return int(report["training"]["step"])
        return None

    spec = document(training(epochs=100_000))
    with gang(tmp_path, sys.executable, "-m", "trainingjob_trainer", spec=spec) as broken:
        broken.until(lambda: True if (step_of(1) or 0) > 20 else None, "steps")
        for launcher in broken.launchers.values():
            for pid in children(launcher.pid):
                if "hooks.standby" not in Path(f"/proc/{pid}/cmdline").read_text():
                    keep_to(processor, pid)
        waiting = broken.standbys()
        before = step_of(1) or 0
        kill(broken.trainer("worker-0", besides=waiting["worker-0"]))
        broken.until(lambda: True if (step_of(2) or 0) > before else None, "steps of the next generation")
        assert [is_warm(broken.log(name)) for name in MEMBERS] == [1, 1]
        trainers = {pid for process in broken.launchers.values() for pid in children(process.pid)}
        assert set(waiting.values()) <= trainers
