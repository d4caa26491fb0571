"""Starts Python programs in processes that have imported TensorFlow already: three of the four seconds of a start.

The processes are real, each with its own TensorFlow: forked from one that has imported it and done nothing else
(`nursery_server.py`), they become the program as a warm standby does, by the code of `trainingjob_hooks.standby`. The
chiefs come from one such process and the workers from another, so that members differ in the order of their sets.

`start` starts the program cold where the difference could show: where the environment has anything that is read
before or during the import, or where file descriptors are inherited. Cold is also whatever `trainingjob run` starts.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

#: Read by the program, or by TensorFlow after its import.
LATE = ("TF_CONFIG", "TMPDIR", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER")
LATE_PREFIXES = ("TRAININGJOB_", "PYTEST_")
SITE = str(Path("trainingjob_hooks", "site"))
#: What makes another TensorFlow: worth a nursery of its own.
LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
_FORKS = hasattr(os, "pidfd_open")


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    output: IO[bytes],
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    cold: bool = False,
) -> Process:
    """Run `python ARGUMENTS` in a session of its own, with both outputs in one file."""
    early = _early(env)
    if cold or pass_fds or not _FORKS or early not in ({}, LEGACY):
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    is_worker = env.get("TRAININGJOB_MEMBER", "").startswith("worker")
    return _nursery(bool(early), is_worker).bear(arguments, env, output, cwd)


class Born:
    """A process from the nursery, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a process from the nursery", timeout or 0)
            said = os.read(self._status, 64)
            os.close(self._status)
            assert said, "the nursery has died"
            self.returncode = int(said)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Born


@contextlib.contextmanager
def ended_after(process: Process) -> Iterator[Process]:
    """Leaving the block kills the process and what it has started."""
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    """Kill a process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Nursery:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            server = str(Path(__file__).resolve().with_name("nursery_server.py"))
            self._process = subprocess.Popen(
                [sys.executable, "-u", server, str(theirs.fileno())],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._close)

    def bear(self, arguments: Sequence[str], env: Mapping[str, str], output: IO[bytes], cwd: Path | None) -> Born:
        ours, theirs = os.pipe()
        told = {"env": dict(env), "cwd": str(cwd or Path.cwd()), **_program(arguments)}
        told["hooked"] = any(path.endswith(SITE) for path in env.get("PYTHONPATH", "").split(os.pathsep))
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(told).encode()], [output.fileno(), theirs])
                answer = self._control.recv(64)
        finally:
            os.close(theirs)
        assert answer, f"the nursery has died: {self._process.wait()}"
        return Born(int(answer), ours)

    def _close(self) -> None:
        self._control.close()
        self._process.wait()


@functools.cache
def _nursery(legacy: bool, workers: bool) -> _Nursery:
    """The nursery of these processes. It ends with this one, however that may end."""
    return _Nursery({**_base(), **(LEGACY if legacy else {})})


@functools.cache
def _base() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(LATE_PREFIXES) and name not in LATE
    }


def _early(env: Mapping[str, str]) -> dict[str, str | None]:
    """Return what of the environment is other than here, and may matter to Python's start and to TensorFlow's import."""
    base = _base()
    names = [name for name in {*env, *base} if not name.startswith(LATE_PREFIXES) and name not in LATE]
    found = {name: env.get(name) for name in names if env.get(name) != base.get(name)}
    given = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and not path.endswith(SITE)]
    if set(given) <= set(base.get("PYTHONPATH", "").split(os.pathsep)):
        found.pop("PYTHONPATH", None)
    return found


def _program(arguments: Sequence[str]) -> dict[str, Any]:
    module = arguments[1] if arguments[0] == "-m" else ""
    rest = arguments[2:] if module else arguments[1:]
    return {
        "script": "" if module else arguments[0],
        "module": module,
        "arguments": list(rest),
        "command": [sys.executable, *arguments],
    }
