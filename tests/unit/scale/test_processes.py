"""CPU and memory are read from the process table."""

from __future__ import annotations

import os

from tests.scale.processes import Usage, parse, usage

STAT = "42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 8 0 100 1000 200"
STATUS = "Name:\ta\nVmHWM:\t 2000 kB\nVmRSS:\t 1000 kB\nThreads:\t8\n"


def test_user_and_system_time_are_added_and_the_name_may_hold_anything() -> None:
    assert parse(STAT, STATUS, 100) == Usage(4.0, 1.024, 2.048)


def test_what_was_used_is_the_difference_and_the_peak_is_the_whole_lifes() -> None:
    assert Usage(5.5, 30.0, 40.0).since(Usage(4.0, 10.0, 35.0)) == {
        "cpu_seconds": 1.5,
        "memory_mb": 30.0,
        "peak_mb": 40.0,
    }


def test_this_process_uses_something() -> None:
    found = usage(os.getpid())
    assert found.cpu > 0
    assert 0 < found.memory <= found.peak
