"""Runs a program as the trainers of one job: N processes on loopback, with the environment that the launcher gives.

    results = run_gang("fit_basics.py", members=3)       # programs/fit_basics.py; one JSON result per member
    [result] = run_plain("fit_basics.py")                # one process, nothing of ours in it

A program hands its result over with `results.write({...})` (programs/results.py): the last one counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.trainer import nursery

PROGRAMS = Path(__file__).resolve().parent / "programs"
ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "trainer_image"


@dataclasses.dataclass(frozen=True)
class Member:
    """How one process ended. `result` is what the program wrote last, None without any."""

    name: str
    code: int
    result: Any
    output: str


class GangError(AssertionError):
    """A member did not end with 0; the text holds the last lines of each one's output."""


def member_names(members: int) -> list[str]:
    """Return chief-0, worker-0, worker-1 …"""
    return ["chief-0", *(f"worker-{index}" for index in range(members - 1))]


def run_gang(
    program: str,
    *arguments: str,
    **options: Any,
) -> list[Any]:
    """Like `run_members`, for programs that end well; return each one's result, the chief's first."""
    return _results(run_members(program, *arguments, **options))


def run_members(
    program: str,
    *arguments: str,
    members: int,
    spec: Mapping[str, Any] | None = None,
    uid: str = "11111111-2222-3333-4444-555555555555",
    env: Mapping[str, str] | None = None,
    timeout: float = 240.0,
    cold: bool = False,
) -> list[Member]:
    """Run `program` on `members` processes with the hooks in place; return how each one ended, the chief first.

    With `cold`, each begins with an interpreter of its own (see nursery.py).
    """
    names = member_names(members)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(members)]
    environments = []
    for name in names:
        role, index = name.split("-")
        own = {
            "TRAININGJOB_MEMBER": name,
            "TRAININGJOB_UID": uid,
            "TRAININGJOB_SPEC": json.dumps({"version": 1, "keras": {"patchFit": True}, **(spec or {})}),
        }
        if members > 1:
            cluster = {"chief": addresses[:1], "worker": addresses[1:]}
            own["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": role, "index": int(index)}})
        environments.append((name, {**own, **(env or {})}))
    return _run(program, arguments, environments, hooked=True, timeout=timeout, cold=cold)


def run_plain(
    program: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 240.0,
    cold: bool = False,
) -> list[Any]:
    """Run `program` as one process, as on a laptop: without hooks and without the job's environment."""
    return _results(_run(program, arguments, [("plain", dict(env or {}))], hooked=False, timeout=timeout, cold=cold))


def free_ports(count: int) -> list[int]:
    """Return `count` ports of 127.0.0.1 that were free just now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def python_path(*, hooked: bool) -> str:
    """Return PYTHONPATH as the launcher sets it: the hooks' site folder first, their parent last.

    What the caller has on it stays: a folder with another version of Keras, for example.
    """
    ours = (str(ROOT), str(HOOKS))
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in ours]
    return os.pathsep.join([str(HOOKS / "trainingjob_hooks" / "site"), *given, str(HOOKS)] if hooked else given)


def _run(
    program: str,
    arguments: Sequence[str],
    environments: Sequence[tuple[str, dict[str, str]]],
    *,
    hooked: bool,
    timeout: float,
    cold: bool,
) -> list[Member]:
    with tempfile.TemporaryDirectory(prefix="gang-") as folder, contextlib.ExitStack() as stack:
        processes = []
        for name, own in environments:
            clean = {
                key: value for key, value in os.environ.items() if not key.startswith(("TF_CONFIG", "TRAININGJOB_"))
            }
            env = {
                **clean,
                "PYTHONPATH": python_path(hooked=hooked),
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
                "TRAININGJOB_TEST_RESULT": str(Path(folder, f"{name}.json")),
                **own,
            }
            if not hooked:
                env = {
                    key: value
                    for key, value in env.items()
                    if key == "TRAININGJOB_TEST_RESULT" or not key.startswith("TRAININGJOB_")
                }
            output = stack.enter_context(Path(folder, f"{name}.log").open("wb"))
            process = nursery.start([str(PROGRAMS / program), *arguments], env=env, output=output, cold=cold)
            processes.append(stack.enter_context(nursery.ended_after(process)))
        _wait(processes, timeout)
        ended = []
        for (name, _), process in zip(environments, processes, strict=True):
            result = Path(folder, f"{name}.json")
            ended.append(
                Member(
                    name,
                    process.returncode,
                    json.loads(result.read_text()) if result.exists() else None,
                    Path(folder, f"{name}.log").read_text(errors="replace"),
                )
            )
        return ended


def _wait(processes: Sequence[nursery.Process], timeout: float) -> None:
    """Wait for all. One that failed ends the others after a moment, as the launcher would end its gang."""
    deadline = time.monotonic() + timeout
    failed = None
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if failed is None and any(process.returncode not in (None, 0) for process in processes):
            failed = time.monotonic()
        if any(
            process.returncode == -signal.SIGKILL for process in processes
        ):  # by its own hand: nothing to be heard
            break
        if failed is not None and time.monotonic() > failed + 10:
            break
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
    late = time.monotonic() >= deadline
    for process in processes:
        if process.poll() is None:
            if late:  # it hangs: faulthandler writes where into its output
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    process.send_signal(signal.SIGABRT)
                    process.wait(5)
            nursery.end(process)


def _results(ended: Sequence[Member]) -> list[Any]:
    if any(member.code != 0 or member.result is None for member in ended):
        said = "\n".join(f"--- {m.name}: exit {m.code}\n" + "\n".join(m.output.splitlines()[-40:]) for m in ended)
        raise GangError(f"not all members ended well\n{said}")
    return [member.result for member in ended]
