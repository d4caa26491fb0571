"""What the launcher hears at once: where the trainer resumed, and what it is busy with besides steps."""

from __future__ import annotations

import json
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

import trainingjob
from trainingjob import _progress
from trainingjob._progress import SEND_SECONDS, URGENT_SECONDS, Sender, note_resumed, spacing

TRAINER_IMAGE = Path(__file__).parents[3] / "trainer_image"


class Ear:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def hear(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.socket.recv(65536))
        return document

    def hear_until(self, **wanted: Any) -> dict[str, Any]:
        while True:
            document = self.hear()
            if all(document.get(key) == value for key, value in wanted.items()):
                return document


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    """The launcher's end of the socket, with a sender of this test's own."""
    ear = Ear(tmp_path / "progress")
    monkeypatch.setattr(_progress, "_sender", Sender(str(tmp_path / "progress")))
    yield ear
    ear.socket.close()


def test_a_pause_is_said_at_once_and_its_end_too(ear: Ear) -> None:
    trainingjob.report(step=1)
    ear.hear_until(step=1)
    began = time.monotonic()
    with trainingjob.busy("evaluation"):
        ear.hear_until(busy="evaluation")
    ear.hear_until(busy="", step=1)
    assert time.monotonic() - began < SEND_SECONDS  # two, where reports are one a second


def test_pauses_lie_in_each_other(ear: Ear) -> None:
    with trainingjob.busy("evaluation"):
        ear.hear_until(busy="evaluation")
        with trainingjob.busy("checkpoint"):
            ear.hear_until(busy="checkpoint")
        ear.hear_until(busy="evaluation")
    ear.hear_until(busy="")


def test_a_pause_that_ends_in_an_error_ends(ear: Ear) -> None:
    with pytest.raises(KeyError), trainingjob.busy("checkpoint"):
        raise KeyError
    ear.hear_until(busy="")


def test_thousands_of_short_pauses_are_a_few_messages(ear: Ear) -> None:
    heard = []
    thread = threading.Thread(target=lambda: heard.extend(iter(lambda: ear.hear().get("step"), 5000)), daemon=True)
    thread.start()
    began = time.monotonic()
    for _ in range(5000):
        with trainingjob.busy("checkpoint"):
            pass
    seconds = time.monotonic() - began
    trainingjob.report(step=5000)
    with trainingjob.busy("checkpoint"):
        pass
    thread.join(10)
    assert not thread.is_alive()
    assert len(heard) <= 5 + seconds / _progress.URGENT_SECONDS
    assert seconds < 2.0  # 0.4 ms for each would be a lot; it is some microseconds


def test_where_it_resumed_is_said_at_once(ear: Ear) -> None:
    trainingjob.report(step=1)
    ear.hear_until(step=1)
    began = time.monotonic()
    note_resumed(1200)
    assert ear.hear()["resumedStep"] == 1200
    assert time.monotonic() - began < SEND_SECONDS


def test_blocks_that_do_not_lie_in_each_other(ear: Ear) -> None:
    """Two threads: one saves while the other evaluates, and is done later."""
    evaluation, checkpoint = trainingjob.busy("evaluation"), trainingjob.busy("checkpoint")
    evaluation.__enter__()
    checkpoint.__enter__()
    ear.hear_until(busy="checkpoint")
    evaluation.__exit__(None, None, None)
    trainingjob.report(step=1)
    assert ear.hear_until(step=1)["busy"] == "checkpoint"
    checkpoint.__exit__(None, None, None)
    ear.hear_until(busy="")


def test_a_forked_child_can_be_busy_too(ear: Ear) -> None:
    """Its sender has the parent's slot, but neither its thread nor its locks, which may be held just then."""
    program = (
        "import os, trainingjob as t\n"
        "with t.busy('evaluation'):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        with t.busy('checkpoint'):\n"
        "            t.report(step=7); t.flush()\n"
        "            assert t._progress._sender._thread.is_alive(), 'a thread of its own'\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "t.report(step=8)\n"
    )
    path = ear.socket.getsockname()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TRAINER_IMAGE), "TRAININGJOB_SOCKET": path}
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ear.hear_until(step=7)["busy"] == "checkpoint"
    assert ear.hear_until(step=8)["busy"] == ""


def test_reports_are_close_in_the_first_seconds_of_a_program_and_one_a_second_then() -> None:
    """One that dies again and again soon after its restart has come further, or has not: that must be known."""
    assert [spacing(age) for age in (0.0, 9.9)] == [URGENT_SECONDS] * 2
    assert [spacing(age) for age in (10.0, 3600.0)] == [SEND_SECONDS] * 2
    assert 4 * URGENT_SECONDS <= SEND_SECONDS


def test_steps_of_the_first_seconds_do_not_wait_a_second_for_each_other(ear: Ear) -> None:
    began = time.monotonic()
    for step in range(1, 4):
        trainingjob.report(step=step)
        ear.hear_until(step=step)
    assert time.monotonic() - began < 2 * SEND_SECONDS  # three, where reports are one a second


def test_what_it_can_be_busy_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong word is an error on a laptop already, not first in the job."""
    monkeypatch.setattr(_progress, "_sender", None)
    monkeypatch.delenv("TRAININGJOB_SOCKET", raising=False)
    with pytest.raises(ValueError, match="must be one of starting, evaluation, checkpoint"):
        trainingjob.busy("tea")
    with trainingjob.busy():
        assert _progress._sender is None
    note_resumed(3)
    assert "TRAININGJOB_SOCKET" not in os.environ
