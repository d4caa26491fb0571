"""Starts the declarative trainer as a gang of real processes on loopback, and listens to what it reports."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.trainer import nursery
from tests.trainer.gang import PROGRAMS, ROOT, free_ports, member_names

TIMEOUT = 240.0
DIGITS = {"builtin": {"name": "mnist"}}
TEST_DIGITS = {"builtin": {"name": "mnist", "part": "test"}}
SMALL_CNN = [
    {"Conv2D": {"filters": 4, "kernel_size": 5, "strides": 3, "activation": "relu"}},
    "Flatten",
    {"Dense": {"units": 10, "activation": "softmax"}},
]


def training(**changes: Any) -> dict[str, Any]:
    """Return spec.training of a small job on the digits, with these fields changed."""
    spec = {
        "dataset": DIGITS,
        "model": {"layers": SMALL_CNN},
        "optimizer": {"Adam": {"learning_rate": 0.003}},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "epochs": 2,
        "globalBatchSize": 96,
        "seed": 7,
    }
    return {name: value for name, value in {**spec, **changes}.items() if value is not None}


def line(**changes: Any) -> dict[str, Any]:
    """Return spec.training of the linear regression y = 2x + 1 + noise."""
    dataset = {"builtin": {"name": "linear-regression", "examples": 1000, "slope": 2, "intercept": 1, "noise": 0.1}}
    spec = {
        "dataset": dataset,
        "model": {"preset": "Linear"},
        "optimizer": {"SGD": {"learning_rate": 0.1}},
        "loss": "mse",
        "epochs": 5,
        "globalBatchSize": 32,
    }
    return {name: value for name, value in {**spec, **changes}.items() if value is not None}


def document(spec: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """Return TRAININGJOB_SPEC with this training and what else the job says."""
    return {"version": 1, "training": dict(spec), **others}


class Trainers:
    """The processes of one job. Leaving the block ends those that still run."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        members: int = 1,
        *,
        program: Sequence[str] = ("-m", "trainingjob_trainer"),
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        cold: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="trainers-")
        self.folder = Path(self._folder.name)
        self.names = member_names(members)
        self._listener = Listener(self.folder / "reports")
        addresses = [f"127.0.0.1:{port}" for port in free_ports(members)]
        cluster = {"chief": addresses[:1], "worker": addresses[1:]}
        self.processes = []
        for name in self.names:
            role, index = name.split("-")
            own = {"TRAININGJOB_MEMBER": name, "TRAININGJOB_SPEC": json.dumps(spec), **(env or {})}
            own["TRAININGJOB_TEST_RESULT"] = str(self.folder / f"{name}.json")
            if name == "chief-0":
                own["TRAININGJOB_SOCKET"] = str(self.folder / "reports")
            if members > 1:
                own["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": role, "index": int(index)}})
            with (self.folder / f"{name}.log").open("wb") as output:
                process = nursery.start(
                    program,
                    env={**_clean_environment(), **own},
                    output=output,
                    cwd=cwd or self.folder,
                    pass_fds=pass_fds,
                    cold=cold,
                )
            self.processes.append(process)

    def __enter__(self) -> Trainers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            nursery.end(process)
        self._listener.close()
        self._folder.cleanup()

    @property
    def reports(self) -> list[dict[str, Any]]:
        """What the chief has reported so far."""
        return list(self._listener.received)

    def output(self, name: str = "chief-0") -> str:
        """What a member has printed so far, without TensorFlow's two lines of greeting."""
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        noise = ("WARNING: All log messages before absl", "I0000 ")
        return "\n".join(row for row in text.splitlines() if not row.startswith(noise))

    def wait(self, timeout: float = TIMEOUT) -> list[int]:
        """Wait until all have ended; return their exit codes, the chief's first."""
        deadline = time.monotonic() + timeout
        for process in self.processes:
            process.wait(max(0.1, deadline - time.monotonic()))
        return [process.returncode for process in self.processes]

    def wait_at_most(self, seconds: float) -> list[int | None]:
        """Give all together so long to end; return their exit codes, None for those that still run."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.001, deadline - time.monotonic()))
        return [process.poll() for process in self.processes]

    def wait_for_report(self, holds: Callable[[dict[str, Any]], bool], timeout: float = TIMEOUT) -> dict[str, Any]:
        """Wait for a report of the chief for which `holds` is true."""
        return self._listener.wait_for(holds, timeout)

    def results(self) -> list[Any]:
        """Wait for all, and return what each wrote with results.write."""
        codes = self.wait()
        said = "\n".join(f"--- {name}\n{self.output(name)[-3000:]}" for name in self.names)
        assert codes == [0] * len(codes), f"exit codes {codes}\n{said}"
        return [json.loads((self.folder / f"{name}.json").read_text()) for name in self.names]


class Listener:
    """The launcher's end of the report socket."""

    def __init__(self, path: Path) -> None:
        self.received: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def wait_for(self, holds: Callable[[dict[str, Any]], bool], timeout: float) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(holds, self.received)), timeout), self.received[-3:]
            return next(report for report in self.received if holds(report))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(65536):
            with self._changed:
                self.received.append(json.loads(data))
                self._changed.notify_all()


def steps_of(spec: Mapping[str, Any], members: int, steps: int, every: int = 1) -> dict[str, Any]:
    """Take `steps` steps of a job, one by one; return the chief's {"losses": […], "weights": […], …}.

    All members must come to the same: that is checked here.
    """
    program = [str(PROGRAMS / "trainer_steps.py"), str(steps), str(every)]
    with Trainers(spec, members, program=program) as trainers:
        results = trainers.results()
    for result in results[1:]:
        assert result == results[0]
    return dict(results[0])


@contextlib.contextmanager
def trained(spec: Mapping[str, Any], members: int = 1, **options: Any) -> Iterator[Trainers]:
    """Train to the end, and see that it ended well."""
    with Trainers(spec, members, **options) as trainers:
        codes = trainers.wait()
        said = "\n".join(f"--- {name}\n{trainers.output(name)[-3000:]}" for name in trainers.names)
        assert codes == [0] * members, f"exit codes {codes}\n{said}"
        yield trainers


def _clean_environment() -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("TF_CONFIG", "TRAININGJOB_"))}
    given = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    ours = [path for path in (str(ROOT / "trainer_image"), str(ROOT)) if path not in given]
    return {**env, "PYTHONPATH": os.pathsep.join([*given, *ours]), "PYTHONUNBUFFERED": "1"}
