"""One run of a training: start its processes, listen until enough was heard, end them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.series import Ear, Point, speed

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
#: Longest time from start to the first step.
START_SECONDS = 120.0
#: A program that says nothing for so long hangs.
SILENCE_SECONDS = 60.0
#: Said by the trainer's reports, and by our own programs.
SOCKET_VARIABLE = "TRAININGJOB_SOCKET"
CLOCK_VARIABLE = "BENCH_SOCKET"


class RunError(RuntimeError):
    """A training that was to be measured ended or hung. The text holds the end of its output."""


@dataclass(frozen=True)
class Program:
    """What runs on each member, and with what environment.

    `clock` says who tells the time: the program itself (`clock.py`), or the trainer's reports. With `reports` a program
    that has a clock of its own has reports as well, as in a TrainingJob.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    clock: str = CLOCK_VARIABLE
    reports: bool = False


def script(name: str, file: str, *arguments: str, **env: str) -> Program:
    """One of the hand-written programs in programs/."""
    return Program(name, [sys.executable, str(PROGRAMS / file), *arguments], env)


def declarative(name: str, document: Mapping[str, Any]) -> Program:
    """The declarative trainer with a training document."""
    env = {"TRAININGJOB_SPEC": json.dumps(document)}
    return Program(name, [sys.executable, "-m", "trainingjob_trainer"], env, SOCKET_VARIABLE)


def steps_per_second(program: Program, members: int, warm: float, seconds: float) -> float:
    """Run a training and measure its speed over `seconds`, `warm` seconds after its first step."""
    with Ear() as ear, _running(program, members, ear) as gang:
        deadline = time.monotonic() + START_SECONDS
        while True:
            points = ear.points
            with contextlib.suppress(ValueError):
                if points:
                    return speed(points, warm, seconds)
            if ear.wait(len(points), 1.0):
                deadline = time.monotonic() + SILENCE_SECONDS
            gang.check(silent=time.monotonic() > deadline)


def seconds_to_first_step(program: Program) -> float:
    """Run a training of one member until its first step; return the seconds from its start to that."""
    with Ear() as ear:
        started = time.monotonic()
        with _running(program, 1, ear) as gang:
            while not ear.points:
                ear.wait(0, 1.0)
                gang.check(silent=time.monotonic() > started + START_SECONDS)
            first: Point = ear.points[0]
            return first.seconds - started


def seconds_of(command: Sequence[str]) -> float:
    """Run a command to its end; return the seconds."""
    started = time.monotonic()
    subprocess.run(command, env=_environment({}), check=True, capture_output=True, timeout=START_SECONDS)
    return time.monotonic() - started


@dataclass
class _Gang:
    program: Program
    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def check(self, *, silent: bool) -> None:
        """Raise RunError when a process has ended, or nothing was heard for too long."""
        ended = [process.returncode for process in self.processes if process.poll() is not None]
        if ended or silent:
            what = f"ended with {ended}" if ended else "says nothing"
            tails = (log.read_text(encoding="utf-8", errors="replace")[-2000:] for log in self.logs)
            raise RunError(f"{self.program.name} {what}:\n" + "\n".join(tails))


@contextlib.contextmanager
def _running(program: Program, members: int, ear: Ear) -> Iterator[_Gang]:
    """Start a training; at the end of the block it is killed, wherever it is."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as stack:
        nobody = stack.enter_context(Ear())  # takes reports that are sent for their cost alone
        gang = _Gang(program, [], [])
        for rank, config in enumerate(tf_configs(members)):
            env = dict(program.env) | ({"TF_CONFIG": config} if members > 1 else {})
            if rank == 0:
                env |= {SOCKET_VARIABLE: nobody.path} if program.reports else {}
                env[program.clock] = ear.path
            log = Path(folder, f"{rank}.log")
            gang.logs.append(log)
            gang.processes.append(stack.enter_context(_process(program.command, env, log)))
        yield gang


@contextlib.contextmanager
def _process(command: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=_environment(env), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tf_configs(members: int) -> list[str]:
    """TF_CONFIG of the chief and of each worker, on free ports of this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(members)]
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    tasks = [("chief", 0), *(("worker", index) for index in range(members - 1))]
    return [json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}) for kind, index in tasks]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    dropped = ("TF_CONFIG", "TF_USE_LEGACY_KERAS", "TRAININGJOB_SPEC", SOCKET_VARIABLE)
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    ours = f"{ROOT / 'trainer_image'}{os.pathsep}{ROOT}"
    path = f"{more['PYTHONPATH']}{os.pathsep}{ours}" if "PYTHONPATH" in more else ours
    return env | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"} | dict(more) | {"PYTHONPATH": path}
