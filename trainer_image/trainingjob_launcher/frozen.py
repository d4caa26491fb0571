"""Sees a trainer that was stopped (SIGSTOP, a frozen container): it neither works nor ends, and its peers wait."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

#: A process that was stopped at this many looks in a row, one each second, is frozen.
LOOKS = 2
LOOK_SECONDS = 1.0


def is_stopped(pid: int) -> bool:
    """Whether a process is in state T. One that a debugger holds is in state t, and none of our business."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[:1] == ["T"]
    except OSError:
        return False


class Watch:
    """Looks at a process each second, and calls `frozen` once when it is."""

    def __init__(self, pid: int, frozen: Callable[[], None], seconds: float = LOOK_SECONDS) -> None:
        self._pid = pid
        self._frozen = frozen
        self._seconds = seconds
        self._seen = 0
        self._timer: Optional[asyncio.TimerHandle] = None
        self._wait()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def _look(self) -> None:
        self._seen = self._seen + 1 if is_stopped(self._pid) else 0
        if self._seen < LOOKS:
            self._wait()
            return
        self._timer = None
        self._frozen()
