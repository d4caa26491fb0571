"""Measurements with the operator and a real API server run in the development environment: ours has TensorFlow only."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/bin/python"
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")


def prepare() -> None:
    """Make the environment and build the API server, unless they are there."""
    subprocess.run([str(ROOT / "deploy/venv.sh")], check=True)
    subprocess.run([str(ROOT / "deploy/local/tools.sh"), *PROGRAMS], check=True)


def answer_of(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module to its end; return the JSON object that it prints. What it says on the way is shown."""
    prepare()
    command = [str(PYTHON), "-m", module, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment())
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def launcher_environment(interval: float) -> Iterator[dict[str, str]]:
    """Run an operator for the time of the block; yield the environment of a chief's launcher that reports to it.

    In a cluster the operator and the API server run on other machines. Here they take the processors only while nobody
    else wants them, so that what is measured is what the training's own machine does.
    """
    prepare()
    command = [str(PYTHON), "-m", "tests.bench.operator_side", str(interval)]
    side = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_environment(),
        preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
    )
    assert side.stdin is not None
    assert side.stdout is not None
    try:
        yield dict(json.loads(side.stdout.readline()))
    finally:
        side.stdin.close()
        side.wait(60)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / part) for part in (".", "operator", "trainer_image"))
    return {**os.environ, "PYTHONPATH": path}
