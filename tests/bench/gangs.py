"""A gang of real launchers on this machine's loopback, without a cluster, and what its trainers say of each step."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.runs import CLOCK_VARIABLE, PROGRAMS, ROOT, START_SECONDS, RunError
from trainingjob_launcher.contract import Assignment
from trainingjob_launcher.policy import Policy

T = TypeVar("T")

MEMBERS = ("chief-0", "worker-0")
LOOPBACK = "127.0.0.1"
#: A save each so many steps: what a failure costs besides is at most so many, done again.
EVERY_STEPS = 50
#: Two members share the processors: each gets its part of them, as the launcher gives it under a CPU quota.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"}
MAX_DATAGRAM = 65536


@dataclass(frozen=True)
class Done:
    """`member` has finished step number `step` at `seconds` of the monotonic clock, in process `pid`.

    That process began with the checkpoint of step `start`.
    """

    member: str
    pid: int
    step: int
    start: int
    seconds: float


@dataclass(frozen=True)
class Line:
    """What a member's launcher or trainer wrote, and when."""

    member: str
    text: str
    seconds: float


class Gang:
    """A chief and a worker, each a launcher process with `program` as its trainer. `close` ends all of it."""

    def __init__(self, folder: Path, policy: Policy, program: str = "restarted.py") -> None:
        self._news = threading.Condition()
        #: Not all steps: who looks through thousands of them takes the processor from those who train.
        self._first: dict[int, Done] = {}
        self._newest: dict[str, Done] = {}
        self._best = 0
        self._lines: list[Line] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "steps"))
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self.launchers: dict[str, subprocess.Popen[str]] = {}
        key, port = secrets.token_hex(32), _free_port()
        for member in MEMBERS:
            role, _, index = member.partition("-")
            self.launchers[member] = process = subprocess.Popen(
                [sys.executable, "-m", "trainingjob_launcher", "--", sys.executable, str(PROGRAMS / program)],
                env=_environment(_assignment(role, int(index), key, port, policy, folder), folder),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._threads.append(threading.Thread(target=self._read, args=(member, process), daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Kill all of it. A trainer has a process group of its own, and would stay."""
        trainers = self.known
        for pid in [process.pid for process in self.launchers.values()]:
            trainers |= set(children(pid))
        for process in self.launchers.values():
            process.kill()
        for pid in trainers:
            kill(pid, signal.SIGKILL)
        for process in self.launchers.values():
            process.wait()

    # --- What was heard ---

    @property
    def known(self) -> set[int]:
        """The numbers of all trainers that have ever told of a step."""
        with self._news:
            return set(self._first)

    @property
    def newest(self) -> dict[str, Done]:
        """Each member's latest step."""
        with self._news:
            return dict(self._newest)

    @property
    def best(self) -> int:
        """The highest step that was ever done."""
        with self._news:
            return self._best

    @property
    def lines(self) -> list[Line]:
        """All that was written."""
        with self._news:
            return list(self._lines)

    def until(self, found: Callable[[], T | None], what: str, seconds: float = START_SECONDS) -> T:
        """Wait until `found` returns something; it is asked whenever there is news, and ten times a second.

        Raises:
            RunError: it did not in time, or a launcher has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = found()
            if answer is not None:
                return answer
            ended = [name for name, process in self.launchers.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                said = "\n".join(f"{line.member}: {line.text}" for line in self.lines[-40:])
                raise RunError(f"{what}: {f'{ended} ended' if ended else f'not in {seconds:g} s'}:\n{said}")
            with self._news:
                self._news.wait(0.1)

    def trainers(self, old: Iterable[int] = ()) -> dict[str, int]:
        """Wait for steps of all members in other processes than `old`; return each one's trainer."""

        def found() -> dict[str, int] | None:
            pids = {done.member: done.pid for done in self.newest.values()}
            return pids if len(pids) == len(MEMBERS) and not set(old) & set(pids.values()) else None

        return self.until(found, "steps of all members")

    def first_step(self, old: Iterable[int], what: str) -> Done:
        """Wait for the chief's first step in another process than `old`."""

        def found() -> Done | None:
            pid = self.newest[MEMBERS[0]].pid
            return self._first[pid] if pid not in old else None

        return self.until(found, what)

    def train_for(self, steps: int) -> None:
        """Wait until so many steps more were done than the job had ever done before."""
        goal = self.best + steps
        self.until(lambda: True if self.best >= goal else None, f"{steps} steps more")

    def _listen(self) -> None:
        while True:
            said = json.loads(self._socket.recv(MAX_DATAGRAM))
            done = Done(said["member"], said["pid"], said["step"], said["from"], said["time"])
            with self._news:
                self._first.setdefault(done.pid, done)
                self._newest[done.member] = done
                self._best = max(self._best, done.step)
                self._news.notify_all()

    def _read(self, member: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for text in process.stdout:
                with self._news:
                    self._lines.append(Line(member, text.rstrip("\n"), time.monotonic()))
                    self._news.notify_all()


@contextlib.contextmanager
def running(policy: Policy) -> Iterator[Gang]:
    """Start a gang; at the end of the block it is killed, wherever it is."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        gang = Gang(Path(folder), policy)
        try:
            yield gang
        finally:
            gang.close()


def _assignment(role: str, index: int, key: str, port: int, policy: Policy, folder: Path) -> Assignment:
    checkpoint = {"path": str(folder / "checkpoints"), "everySteps": EVERY_STEPS, "keep": 2}
    return Assignment(
        job="bench",
        namespace="bench",
        uid="bench",
        role=role,
        index=index,
        incarnation=1,
        workers=len(MEMBERS) - 1,
        key=key,
        chief_host=LOOPBACK,
        chief_port=port,
        trainer_port=0,
        spec=json.dumps({"version": 1, "keras": {"patchFit": True}, "checkpoint": checkpoint}),
        report_url=(folder / "report.json").as_uri() if role == "chief" else "",
        report_interval_seconds=5.0,
        policy=policy,
        pod_ip=LOOPBACK,
    )


def _environment(given: Assignment, folder: Path) -> dict[str, str]:
    dropped = ("TF_CONFIG", "TF_USE_LEGACY_KERAS")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env = {name: value for name, value in env.items() if not name.startswith("TRAININGJOB_")}
    return {
        **env,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **ONE_THREAD,
        "PYTHONPATH": f"{ROOT / 'trainer_image'}{os.pathsep}{ROOT}",
        CLOCK_VARIABLE: str(folder / "steps"),
        "TRAININGJOB_TERMINATION_PATH": str(folder / f"{given.member}.termination"),
        "TRAININGJOB_POD_IP": LOOPBACK,
        **given.to_env(),
    }


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as sock:
        return int(sock.getsockname()[1])


# --- Processes as the kernel tells of them ---


def kill(pid: int, number: int) -> None:
    """Send a signal, if there is still somebody."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    return _stat(pid)[:1] not in ([], ["Z"])


def children(pid: int) -> list[int]:
    """Return the numbers of a process's children."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and _stat(int(name))[1:2] == [str(pid)]:
            found.append(int(name))
    return found


def cpu_ticks(pid: int) -> int:
    """Return how much processor time a process has used, all of its threads together."""
    stat = _stat(pid)
    return int(stat[11]) + int(stat[12]) if stat else 0


def has_tensorflow(pid: int) -> bool:
    """Whether a process has loaded TensorFlow's library."""
    with contextlib.suppress(OSError):
        return "libtensorflow" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    return False


def memory_of(pid: int) -> dict[str, int]:
    """Return a process's memory in bytes: resident, and what is its own alone (it goes when the process goes)."""
    values = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0]) * 1024
    own = sum(values.get(name, 0) for name in ("Private_Clean", "Private_Dirty"))
    return {"resident": values.get("Rss", 0), "own": own}


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, empty for a process that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
