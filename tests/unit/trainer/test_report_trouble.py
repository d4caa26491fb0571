"""`trainingjob.report` when the other end does not listen: training goes on at full speed, and the last word arrives.

Sockets, limits and processes are real ones.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainingjob import _progress
from trainingjob._progress import MAX_METRICS, Sender
from trainingjob_launcher.contract import SOCKET_VARIABLE
from trainingjob_launcher.progress import MAX_DATAGRAM, Progress

ROOT = Path(__file__).parents[3]
#: The socket's queue holds 10 datagrams by default (net.unix.max_dgram_qlen); whatever it is, it is less than this.
MANY = 5000


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.settimeout(20)
        yield sock


def hear(ear: socket.socket) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ear.recv(MAX_DATAGRAM))
    return document


def fill(ear: socket.socket) -> int:
    """Fill the socket's queue, as a launcher does that has stopped reading; return how much it holds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for number in range(MANY):
            try:
                sock.sendto(b"{}", ear.getsockname())
            except BlockingIOError:
                return number
    raise AssertionError(f"the socket's queue holds more than {MANY} datagrams")


def unheard() -> Sender:
    """Return a sender that sends nothing: for what is in its slot."""
    sender = Sender("/nowhere")
    sender._thread = threading.current_thread()
    return sender


def run(code: str, address: str, *before: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "trainer_image"), SOCKET_VARIABLE: address}
    return subprocess.run(
        [*before, sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_full_socket_costs_no_step_and_the_last_value_comes_when_it_is_read(ear: socket.socket) -> None:
    held = fill(ear)
    sender = Sender(ear.getsockname())
    slowest = 0.0
    for step in range(MANY):
        before = time.perf_counter()
        sender.report({"step": step}, None, {"loss": float(step)})
        slowest = max(slowest, time.perf_counter() - before)
    assert slowest < 0.5  # a send that waits takes a second; this machine may be busy with other things
    for _ in range(held):
        hear(ear)
    # Nothing is reported any more: what was not taken is offered again.
    while (document := hear(ear))["step"] != MANY - 1:
        pass
    assert document["extremes"] == {"loss": [0.0, 0, MANY - 1.0, MANY - 1]}


def test_a_launcher_that_comes_back_hears_what_was_said_while_it_was_gone(tmp_path: Path) -> None:
    failed = threading.Event()

    class Watched(Sender):
        def _send(self, timeout: float) -> bool:
            sent = super()._send(timeout)
            if not sent:
                failed.set()
            return sent

    sender = Watched(str(tmp_path / "s"))
    sender.report({"step": 7}, None, {"loss": 0.5})
    assert failed.wait(20)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "s"))
        ear.settimeout(20)
        assert hear(ear)["step"] == 7


def test_the_end_of_a_program_waits_a_moment_for_a_full_socket_and_no_longer(ear: socket.socket) -> None:
    fill(ear)
    before = time.monotonic()
    done = run("import trainingjob\nfor i in range(1000): trainingjob.report(step=i)", ear.getsockname())
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - before < 15  # two seconds, on a machine with nothing else to do


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        # The program closes what it finds open: the socket is opened for each datagram.
        ("os.closerange(3, 256)", ""),
        # It has no file descriptor left.
        (
            "resource.setrlimit(resource.RLIMIT_NOFILE, (0, 4096))",
            "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))",
        ),
    ],
    ids=["closed", "none left"],
)
def test_file_descriptors_that_are_closed_or_none_are_no_trouble(
    ear: socket.socket, trouble: str, remedy: str
) -> None:
    code = (
        "import json, logging, os, re, resource, socket, trainingjob\n"
        "trainingjob.report(step=1)\n"
        f"{trouble}\n"
        "for i in range(2, 1000): trainingjob.report(step=i, loss=1 / i)\n"
        "trainingjob.flush(0.1)\n"
        f"{remedy}\n"
    )
    done = run(code, ear.getsockname())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    while hear(ear)["step"] != 999:
        pass


def test_no_more_threads_are_no_trouble(ear: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose number of processes is limited, or in an `atexit` function."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sender = Sender(ear.getsockname())
    sender.report({"step": 1}, None, {})
    sender.flush(1.0)
    assert hear(ear)["step"] == 1


def test_a_report_in_an_atexit_function_raises_nothing(ear: socket.socket) -> None:
    code = "import atexit, trainingjob\natexit.register(lambda: trainingjob.report(step=9))"
    done = run(code, ear.getsockname())
    assert (done.returncode, done.stderr) == (0, "")


def test_stderr_on_a_full_disk_raises_nothing(ear: socket.socket) -> None:
    code = "import trainingjob\ntrainingjob.report(step='x')\ntrainingjob.report(step=3)"
    with open("/dev/full", "w") as full:
        environment = {"PYTHONPATH": str(ROOT / "trainer_image"), SOCKET_VARIABLE: ear.getsockname()}
        subprocess.run([sys.executable, "-c", code], env=environment, stderr=full, timeout=60)
    assert hear(ear)["step"] == 3


def test_a_handler_of_the_program_that_raises_is_not_heard(ear: socket.socket) -> None:
    code = (
        "import logging, trainingjob\n"
        "class Handler(logging.Handler):\n"
        "    def emit(self, record): raise SystemError('mine')\n"
        "logging.getLogger().addHandler(Handler())\n"
        "trainingjob.report(step='x', loss=1)\n"
    )
    done = run(code, ear.getsockname())
    assert (done.returncode, done.stderr) == (0, "")
    assert hear(ear)["metrics"] == {"loss": 1.0}


def test_many_threads_lose_nothing(ear: socket.socket) -> None:
    sender = Sender(ear.getsockname())

    def talk(number: int) -> None:
        for value in range(1000):
            sender.report({"step": value}, None, {f"m{number}": float(value)})

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = {f"m{number}": 999.0 for number in range(8)}
    while (document := hear(ear))["metrics"] != last:
        pass
    assert all((low, high) == (0.0, 999.0) for low, _, high, _ in document["extremes"].values())


def test_the_longest_report_fits_into_a_datagram(ear: socket.socket) -> None:
    """64 metrics with names of 63 characters and numbers that need all their digits, through the kernel."""
    names = [f"{number:02d}".rjust(63, "m") for number in range(MAX_METRICS)]
    low, high, step = -1.7976931348623157e308, 1.2345678901234567e-300, 2**53 - 2
    sender = Sender(ear.getsockname())
    counts = {"step": step, "totalSteps": step, "epoch": step, "totalEpochs": step, "batchSize": step}
    for value in (low, high, 0.1234567890123456):
        sender.report(counts, 1.2345678901234567e-300, dict.fromkeys(names, value))
    sender.flush(1.0)
    data = b""
    while b"e-300" not in data or str(low).encode() not in data:
        data = ear.recv(2 * MAX_DATAGRAM)
    assert 14_000 < len(data) < MAX_DATAGRAM / 4
    progress = Progress()
    assert progress.take(json.loads(data), 1e12)
    assert len(progress.training().extremes) == MAX_METRICS
    assert progress.training().extremes[names[0]].low == low


@example([(1, math.nan)])
@example([(1, math.nan), (2, 0.5)])
@given(st.lists(st.tuples(st.none() | st.integers(0, 100), st.floats()), min_size=1))
def test_extremes_are_of_all_values_and_not_of_those_sent(said: list[tuple[int | None, float]]) -> None:
    sender = unheard()
    steps: list[int | None] = []
    for step, value in said:
        sender.report({"step": step}, None, {"loss": value})
        steps.append(step if step is not None or not steps else steps[-1])
    real = [(value, step) for (_, value), step in zip(said, steps, strict=True) if not math.isnan(value)]
    if not real:
        assert sender._extremes == {}
        return
    low, low_step, high, high_step = sender._extremes["loss"]
    assert (low, high) == (min(value for value, _ in real), max(value for value, _ in real))
    assert low_step == next(step for value, step in real if value == low)  # of equal ones the first
    assert high_step == next(step for value, step in real if value == high)


def test_a_forked_child_goes_on_with_the_extremes(ear: socket.socket) -> None:
    code = (
        "import os, trainingjob as t\n"
        "t.report(step=1, loss=5.0); t.flush()\n"
        "if os.fork() == 0:\n"
        "    t.report(step=2, loss=1.0); t.flush(); os._exit(0)\n"
        "os.wait()\n"
    )
    assert run(code, ear.getsockname()).returncode == 0
    while (document := hear(ear))["step"] != 2:
        pass
    assert document["extremes"] == {"loss": [1.0, 2, 5.0, 1]}


def test_what_others_were_told_has_a_step_only_where_nobody_says_a_better_one() -> None:
    sender = unheard()
    sender.observe(5, {"loss": 1.0})
    sender.observe(2, {"test_loss": 1.0})  # an epoch's number
    assert sender._values["step"] == 5
    sender.report({"step": 300}, None, {})
    sender.observe(301, {"loss": 0.5})
    assert (sender._values["step"], sender._metrics["loss"]) == (300, 0.5)
    assert sender._extremes["loss"] == (0.5, 300, 1.0, 5)


def test_outside_a_job_nothing_is_observed() -> None:
    assert _progress._sender is None
    _progress.observe(1, "loss", 0.5)
    assert _progress._sender is None
