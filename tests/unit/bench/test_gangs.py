"""What the benchmark of restarts reads from the kernel, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bench import gangs

BUSY = "import sys, time; print(flush=True); [None for _ in iter(int, 1)]"
RESTS = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("child", [RESTS], indirect=True)
def test_a_process_is_there_until_it_is_dead(child: int) -> None:
    assert gangs.is_alive(child)
    assert child in gangs.children(os.getpid())
    assert not gangs.has_tensorflow(child)
    memory = gangs.memory_of(child)
    assert memory["resident"] >= memory["own"] > 100_000
    gangs.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not gangs.is_alive(child), "a zombie is dead"


@pytest.mark.parametrize("child", [BUSY], indirect=True)
def test_who_works_uses_the_processor(child: int) -> None:
    before = gangs.cpu_ticks(child)
    while gangs.cpu_ticks(child) < before + 2:  # a tick is 10 ms
        assert gangs.is_alive(child)


def test_nobody_has_no_children_and_no_memory() -> None:
    nobody = 2**22 + 1  # above the highest number that a kernel gives
    assert not gangs.is_alive(nobody)
    assert gangs.children(nobody) == []
    assert gangs.cpu_ticks(nobody) == 0
    assert gangs.memory_of(nobody) == {"resident": 0, "own": 0}
    gangs.kill(nobody, signal.SIGKILL)
