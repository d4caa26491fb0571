"""`trainingjob.report`: merges, sends in the background, never raises and never blocks."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainingjob import _progress
from trainingjob._progress import MAX_METRICS, Sender
from trainingjob_launcher.contract import MAX_METRICS as CONTRACT_MAX_METRICS
from trainingjob_launcher.contract import METRIC_NAME, SOCKET_VARIABLE
from trainingjob_launcher.progress import MAX_DATAGRAM, Progress

ROOT = Path(__file__).parents[3]


class Ear:
    """The launcher's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "progress")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(10)

    def hear(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._socket.recv(MAX_DATAGRAM))
        return document

    def silent(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(MAX_DATAGRAM)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path)
    yield ear
    ear.close()


def run(code: str, ear: Ear | None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a trainer would be run."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "trainer_image"), **env}
    if ear is not None:
        environment[SOCKET_VARIABLE] = ear.address
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30)


def test_the_names_of_both_sides_are_the_same() -> None:
    assert (_progress.SOCKET_VARIABLE, _progress.MAX_METRICS) == (SOCKET_VARIABLE, CONTRACT_MAX_METRICS)
    assert METRIC_NAME.pattern == f"^{_progress._METRIC_NAME}$"


def test_what_was_said_is_sent_at_the_end_of_the_program(ear: Ear) -> None:
    code = "import trainingjob as t\nfor i in range(1000): t.report(step=i, total_steps=1000, loss=1 / (i + 1))"
    done = run(code, ear)
    assert (done.returncode, done.stderr) == (0, "")
    document = ear.hear()
    while document["step"] != 999:
        document = ear.hear()
    assert (document["totalSteps"], document["metrics"]) == (1000, {"loss": 0.001})


def test_values_that_are_passing_are_shown_and_are_no_extremes(ear: Ear) -> None:
    sender = Sender(ear.address)
    sender.report({"step": 1}, None, {"loss": 0.1}, passing=True)
    sender.report({"step": 2}, None, {"loss": 0.4, "accuracy": 0.5})
    sender.report({"step": 3}, None, {"loss": 0.2, "accuracy": 1.0}, passing=True)
    sender.flush(1.0)
    heard = ear.hear()
    while heard["step"] < 3:
        heard = ear.hear()
    assert heard["metrics"] == {"loss": 0.2, "accuracy": 1.0}
    assert heard["extremes"] == {"loss": [0.4, 2, 0.4, 2], "accuracy": [0.5, 2, 0.5, 2]}


def test_the_thread_sends_without_the_programs_help(ear: Ear) -> None:
    sender = Sender(ear.address)
    sender.report({"step": 1}, None, {"loss": 0.5})
    assert ear.hear()["metrics"] == {"loss": 0.5}
    sender.report({"epoch": 2}, None, {"accuracy": 0.9})
    document = ear.hear()
    assert (document["step"], document["epoch"], document["metrics"]) == (1, 2, {"loss": 0.5, "accuracy": 0.9})


def test_flush_sends_before_os_exit(ear: Ear) -> None:
    run("import os, trainingjob as t; t.report(step=7); t.flush(); os._exit(0)", ear)
    assert ear.hear()["step"] == 7


def test_a_forked_child_reports_and_the_parent_still_does(ear: Ear) -> None:
    code = (
        "import os, trainingjob as t\n"
        "t.report(step=1); t.flush()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    t.report(step=2); t.flush(); os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "t.report(step=3)\n"
    )
    done = run(code, ear)
    assert (done.returncode, done.stderr) == (0, "")
    steps = {ear.hear()["step"] for _ in range(3)}
    assert steps == {1, 2, 3}


def test_a_fork_while_another_thread_reports_does_not_hang(ear: Ear) -> None:
    code = (
        "import os, threading, trainingjob as t\n"
        "stop = False\n"
        "def talk():\n"
        "    while not stop: t.report(step=1, loss=0.5)\n"
        "thread = threading.Thread(target=talk); thread.start()\n"
        "for _ in range(20):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        t.report(step=2); os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "stop = True; thread.join()\n"
    )
    assert run(code, ear, PYTHONWARNINGS="ignore").returncode == 0


def test_outside_a_cluster_it_does_nothing() -> None:
    code = "import threading, trainingjob as t; t.report(step=object(), loss='x'); t.flush(); print(threading.active_count())"
    done = run(code, None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.parametrize("address", ["/nowhere/socket", "@nobody-listens", "/tmp/" + "x" * 200])
def test_a_launcher_that_is_gone_costs_nothing(address: str) -> None:
    sender = Sender(address)
    sender.report({"step": 1}, None, {})
    sender.flush(1.0)


def test_a_launcher_that_does_not_read_does_not_block_report(ear: Ear) -> None:
    sender = Sender(ear.address)
    for step in range(20_000):  # far more than the socket's queue holds
        sender.report({"step": step}, None, {"loss": 1.0})
    sender.flush(0.01)


@pytest.mark.parametrize(
    "value", [3, 3.0, np.int64(3), np.float32(3), np.array(3), np.uint8(3), True + 2], ids=lambda v: type(v).__name__
)
def test_scalars_of_any_library_are_numbers(ear: Ear, value: Any) -> None:
    sender = Sender(ear.address)
    sender.report({"step": value}, value, {"loss": value})
    document = ear.hear()
    assert (document["step"], document["examplesPerSecond"], document["metrics"]["loss"]) == (3, 3.0, 3.0)


class Wild:
    """Something whose conversion fails in its own way, as a symbolic tensor's does."""

    def __float__(self) -> float:
        raise RuntimeError("not in a graph")

    def __index__(self) -> int:
        raise RuntimeError("not in a graph")


@pytest.mark.parametrize("bad", ["x", [1, 2], Wild(), object(), np.zeros(3), 1j])
def test_what_is_no_number_is_left_out_with_one_warning(ear: Ear, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender(ear.address)
    for _ in range(3):
        sender.report({"step": bad, "epoch": 1}, bad, {"loss": bad, "accuracy": 0.5})
    document = ear.hear()
    assert document["metrics"] == {"accuracy": 0.5}
    assert "step" not in document
    warned = sorted(record.getMessage().split()[1] for record in caplog.records)
    assert warned == ["examplesPerSecond", "loss", "step"]


@pytest.mark.parametrize("bad", [-1, 1.5, math.nan, math.inf, 2**60])
def test_a_count_is_a_whole_number_from_0_on(ear: Ear, bad: float) -> None:
    sender = Sender(ear.address)
    sender.report({"step": bad}, None, {"loss": 1.0})
    assert "step" not in ear.hear()


def test_no_number_and_infinity_are_metrics(ear: Ear) -> None:
    sender = Sender(ear.address)
    sender.report({}, None, {"loss": math.nan, "x": -math.inf})
    progress = Progress()
    progress.take(ear.hear(), 1e9)
    metrics = progress.training().metrics
    assert math.isnan(metrics["loss"])
    assert metrics["x"] == -math.inf


def test_names_that_can_not_be_shown_and_too_many_are_left_out(ear: Ear) -> None:
    sender = Sender(ear.address)
    sender.report({}, None, {f"m{number}": 1.0 for number in range(MAX_METRICS + 5)} | {"bad name": 1.0})
    assert len(ear.hear()["metrics"]) == MAX_METRICS


anything = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just(Wild())


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
@given(
    st.dictionaries(st.sampled_from(["step", "totalSteps", "batchSize"]), anything),
    anything,
    st.dictionaries(st.text(), anything),
)
def test_report_takes_anything_and_the_launcher_understands_it(
    tmp_path: Path, counts: dict[str, Any], rate: Any, metrics: dict[str, Any]
) -> None:
    folder = tmp_path / "ear"
    folder.mkdir()
    ear = Ear(folder)
    sender = Sender(ear.address)
    sender.report(counts, rate, metrics)
    sender.flush(1.0)
    assert Progress().take(ear.hear(), 1e9)
    ear.close()
    os.unlink(ear.address)
    folder.rmdir()


def test_the_import_is_light() -> None:
    done = run(
        "import sys, trainingjob; print([m for m in ('json', 'socket', 're', 'numpy', 'logging') if m in sys.modules])",
        None,
    )
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_said_with_those_that_there_are() -> None:
    import trainingjob

    with pytest.raises(AttributeError, match="it has report, busy, flush, checkpoint, datasets"):
        trainingjob.reprot  # noqa: B018
