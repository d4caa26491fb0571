"""How much CPU stands idle: what the warm standby may take for its import without being in the way of training.

Both bounds hold: the processors of the machine that we may run on, and what our quota has left. A training that
waits for its GPUs, its data or the network leaves some; one that computes on all of them leaves none.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable, Iterable, Optional, Tuple

from trainingjob_launcher.cgroup import number, read


class Spare:
    """Called now and then: the CPUs that stood idle since the call before; 0 where it can't be known."""

    def __init__(
        self,
        limit: Optional[float],
        used: Callable[[], Optional[float]],
        cpus: Iterable[int],
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` is the quota in CPUs, None without one; `used` returns the CPU seconds that our container has used.

        `cpus` are the processors that we may run on, `root` is where /proc is.
        """
        self._limit = limit
        self._used = used
        self._cpus = frozenset(f"cpu{index}" for index in cpus)
        self._root = root
        self._clock = clock
        self._last = self._read()

    def __call__(self) -> float:
        """Return the CPUs that were idle on average since the last call."""
        (then, idle_then, used_then), self._last = self._last, self._read()
        now, idle, used = self._last
        seconds = now - then
        if seconds <= 0 or idle is None or idle_then is None:
            return 0.0
        spare = (idle - idle_then) / seconds
        if self._limit is not None:
            if used is None or used_then is None:
                return 0.0
            spare = min(spare, self._limit - (used - used_then) / seconds)
        return max(0.0, spare)

    def _read(self) -> Tuple[float, Optional[float], Optional[float]]:
        used = None if self._limit is None else self._used()
        return self._clock(), self._idle(), used

    def _idle(self) -> Optional[float]:
        """Return for how many seconds our processors have been idle, together, since the machine began."""
        ticks, found = 0, False
        for line in read(self._root / "proc/stat").splitlines():
            fields = line.split()
            counts = [number(field) for field in fields[4:6]]  # idle, and idle while a disk works
            if len(counts) == 2 and fields[0] in self._cpus:
                found = True
                ticks += sum(count for count in counts if count is not None)
        return ticks / os.sysconf("SC_CLK_TCK") if found else None
