"""`trainingjob run` as a person starts it: a process of its own, whose output is read as it comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.unit.child import Child

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


def job(text: str = "", /, workers: int = 0, **spec: Any) -> dict[str, Any]:
    """A TrainingJob that runs a program, unless the spec says what else it trains."""
    own: dict[str, Any] = {"workers": {"replicas": workers}, **spec}
    if "training" not in spec:
        own["program"] = {
            "command": ["python", "main.py"],
            **spec.get("program", {}),
            "source": {"inline": {"files": {"main.py": text}}},
        }
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "toy"},
        "spec": own,
    }


class Run(Child):
    """One `trainingjob run`. `out` and `err` are what it wrote so far."""

    def __init__(self, folder: Path, file: str | Path, patience: float, *arguments: str, **env: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TRAININGJOB_", "TF_"))}
        given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        ours = [str(ROOT / name) for name in ("client", "operator", "trainer_image")]
        super().__init__(
            [sys.executable, "-m", "trainingjob_client", "run", "-f", str(file), *arguments],
            {**clean, "PYTHONPATH": os.pathsep.join([*given, *ours]), "TMPDIR": str(folder), **env},
            folder,
            patience,
        )

    @property
    def out(self) -> str:
        return self._written[1].decode()

    @property
    def err(self) -> str:
        return self._written[2].decode()

    def interrupt(self) -> None:
        """Do what a terminal does at Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def object(self) -> dict[str, Any]:
        """The job that `-o yaml` printed."""
        value = yaml.safe_load(self.out)
        assert isinstance(value, dict), self.out + self.err
        return value

    def close(self) -> None:
        if self.process.poll() is None:
            self.interrupt()
            self.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.process.kill()
        self.wait()


class Desk:
    """A folder to run jobs in. What still runs at the end is killed."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.folder = folder
        self._patience = patience
        self._runs: list[Run] = []

    def start(self, given: dict[str, Any] | str | Path, *arguments: str, **env: str) -> Run:
        """Start a job, given as an object, as the text of its file, or by the path of its file."""
        if not isinstance(given, Path):
            text = given if isinstance(given, str) else yaml.safe_dump(given)
            given = self.folder / "job.yaml"
            given.write_text(text, encoding="utf-8")
        run = Run(self.folder, given, self._patience, *arguments, **env)
        self._runs.append(run)
        return run

    def run(self, given: dict[str, Any] | str | Path, *arguments: str, code: int = 0, **env: str) -> Run:
        """Run a job to its end, which must be this exit code."""
        run = self.start(given, *arguments, **env)
        assert run.wait() == code, run.out + run.err
        return run

    def close(self) -> None:
        for run in self._runs:
            run.close()


@contextlib.contextmanager
def desk_in(folder: Path, patience: float = PATIENCE) -> Iterator[Desk]:
    desk = Desk(folder, patience)
    try:
        yield desk
    finally:
        desk.close()


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
