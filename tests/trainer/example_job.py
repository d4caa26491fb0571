"""Runs a job of examples/ as plain processes on loopback: what the operator and the launcher make of it, without both.

The document comes from the operator's models, the environment from the launcher's own function, and what the trainer
says is read by the launcher's own `Progress`: so `training` is what the job's status would show.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.trainer.gang import free_ports, member_names
from trainingjob_launcher.contract import Assignment, Training
from trainingjob_launcher.progress import MAX_DATAGRAM, Progress
from trainingjob_launcher.shell import trainer_environment
from trainingjob_operator.api.validation import parse_spec
from trainingjob_operator.core.document import build_document

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Ended:
    """How a job ended: each member's exit code, the chief's log, and the last of what it reported."""

    codes: list[int]
    log: str
    training: Training


def run_example(name: str, members: int, folder: Path, timeout: float = 240.0) -> Ended:
    """Run examples/NAME.yaml on so many members; `folder` takes its files and checkpoints."""
    spec, problems = parse_spec(yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))["spec"])
    assert spec is not None, problems
    document = build_document(spec)
    for key in ("checkpoint", "output"):
        if key in document:
            document[key]["path"] = str(folder / key)
    if spec.program is None:
        command = [sys.executable, "-m", "trainingjob_trainer"]
    else:
        assert spec.program.command == ["python", "main.py"]
        assert spec.program.source is not None
        assert spec.program.source.inline is not None
        for file, text in spec.program.source.inline.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "main.py"]
    return _run(command, json.dumps(document), members, folder, timeout)


def _run(command: list[str], document: str, members: int, folder: Path, timeout: float) -> Ended:
    names = member_names(members)
    addresses = [(n, f"127.0.0.1:{port}") for n, port in zip(names, free_ports(members), strict=True)]
    with contextlib.ExitStack() as stack:
        chiefs_ear = stack.enter_context(_Ear())
        others_ear = stack.enter_context(_Ear())
        processes = []
        for name in names:
            role, index = name.split("-")
            assignment = Assignment(
                job="example", namespace="test", uid="6f4c1a52", role=role, index=int(index), incarnation=1,
                workers=members - 1, key="00", work_dir=str(folder), spec=document,
            )  # fmt: skip
            base = {**os.environ, **assignment.to_env()}
            ear = chiefs_ear if role == "chief" else others_ear
            env = trainer_environment(base, assignment, addresses, ear.path)
            output = stack.enter_context((folder / f"{name}.log").open("wb"))
            processes.append(
                subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=output, start_new_session=True)
            )
        try:
            deadline = time.monotonic() + timeout
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    logs = [(folder / f"{name}.log").read_text(encoding="utf-8", errors="replace") for name in names]
    codes = [process.returncode for process in processes]
    if any(codes):
        raise AssertionError(
            f"exit codes {codes}\n" + "\n".join(f"--- {n}\n{log[-3000:]}" for n, log in zip(names, logs, strict=True))
        )
    return Ended(codes, logs[0], chiefs_ear.progress.training())


class _Ear:
    """The launcher's end of the trainer's socket, read by a thread until the trainer is gone."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._folder = tempfile.TemporaryDirectory(prefix="example-")
        self.path = str(Path(self._folder.name) / "progress")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> _Ear:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"", self.path)  # after all that was said
        self._thread.join()
        self._socket.close()
        self._folder.cleanup()

    def _listen(self) -> None:
        for said in self._heard():
            self.progress.take(json.loads(said), time.monotonic())

    def _heard(self) -> Iterator[bytes]:
        while said := self._socket.recv(MAX_DATAGRAM):
            yield said
