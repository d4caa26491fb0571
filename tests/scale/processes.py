"""What a process has used so far, from the process table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the process' start; memory now and at its highest, in MB of 10^6 bytes."""

    cpu: float
    memory: float
    peak: float

    def since(self, before: Usage) -> dict[str, float]:
        """Return what was used since an earlier moment; the peak is the process' whole life's."""
        used = {"cpu_seconds": self.cpu - before.cpu, "memory_mb": self.memory, "peak_mb": self.peak}
        return {name: round(value, 3) for name, value in used.items()}


def usage(pid: int) -> Usage:
    """Read the process table."""
    return parse(Path(f"/proc/{pid}/stat").read_text(), Path(f"/proc/{pid}/status").read_text(), _TICKS)


def parse(stat: str, status: str, ticks: int) -> Usage:
    """Read what Linux writes into /proc/PID/stat and /proc/PID/status."""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    memory, peak = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return Usage((int(fields[11]) + int(fields[12])) / ticks, memory, peak)


def usages(pids: dict[str, int]) -> dict[str, Usage]:
    """Read several processes."""
    return {name: usage(pid) for name, pid in pids.items()}
