"""What this member uses: CPU and memory of its container, or of the launcher and its children outside of one.

In a container the control group's books are exact and cost four small files. Memory is the working set, what the
kubelet evicts by and `kubectl top` shows: all that is charged, without file pages that the kernel may drop at any
time. Outside (a job run on a desk) our group is the session's or the whole machine's, so /proc is asked for each
process instead: its own memory, and CPU with that of the children it has waited for.

What can't be read is None, never zero. Nothing here raises.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set, Tuple

from trainingjob_launcher.cgroup import V2, Folders, number, own_groups, read
from trainingjob_launcher.contract import GpuUsage, MemberUsage
from trainingjob_launcher.report_usage import MAX_BYTES, MAX_CORES, within

CONTAINER = "container"
PROCESSES = "processes"
#: Version 1 writes the largest number of whole pages for "no limit".
_NO_LIMIT = 2**62
#: Between two readings nearer than this a CPU counter's own steps (10 ms in /proc) are too coarse.
MIN_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Reading:
    """The counters at one moment. `cpu_seconds` grows, and compares only with others of the same `source`."""

    source: str
    cpu_seconds: Optional[float] = None
    memory_bytes: Optional[int] = None
    memory_limit_bytes: Optional[int] = None


def usage_of(
    member: str, before: Reading, after: Reading, seconds: float, gpus: Tuple[GpuUsage, ...] = ()
) -> MemberUsage:
    """Return what a member used between two readings that are `seconds` apart, to a millicore and a byte.

    What the contract would refuse is left out: a counter gone wrong must not cost a member its connection, and one
    that runs backwards has lost a process that nobody waited for.
    """
    cores = _cores(before, after, seconds)
    memory, limit = (within(value, MAX_BYTES) for value in (after.memory_bytes, after.memory_limit_bytes))
    return MemberUsage(member, within(cores, MAX_CORES), memory, limit, gpus)


def _cores(before: Reading, after: Reading, seconds: float) -> Optional[float]:
    if before.source != after.source or before.cpu_seconds is None or after.cpu_seconds is None:
        return None
    used = after.cpu_seconds - before.cpu_seconds
    return round(used / seconds, 3) if seconds >= MIN_SECONDS else None


class UsageReader:
    """Reads our usage. The control groups are looked up once: a container's never change."""

    def __init__(self, in_container: bool, root: Path = Path("/")) -> None:
        """`in_container` says whether our control group is ours alone; `root` is where /proc and /sys are."""
        self._root = root
        self._groups = own_groups(root) if in_container else {}

    def read(self, pid: int) -> Reading:
        """Return the counters now; `pid` is the launcher's, for where there is no container."""
        found = read_container(self._groups)
        return found if found is not None else read_processes(pid, self._root)


# --- A container ----------------------------------------------------------------------------------------------


def read_container(groups: Mapping[str, Folders]) -> Optional[Reading]:
    """Return the counters of our control group, None where there are none.

    A controller that version 1 has is not in version 2.
    """
    cpu = _v1_cpu(groups["cpuacct"]) if "cpuacct" in groups else _v2_cpu(groups.get(V2, ()))
    memory, limit = _v1_memory(groups["memory"]) if "memory" in groups else _v2_memory(groups.get(V2, ()))
    if cpu is None and memory is None:
        return None
    return Reading(CONTAINER, cpu, memory, limit)


def _v1_cpu(folders: Folders) -> Optional[float]:
    nanoseconds = number(read(folders[0] / "cpuacct.usage"))
    return None if nanoseconds is None else nanoseconds / 1e9


def _v2_cpu(folders: Folders) -> Optional[float]:
    microseconds = read_stat(read(folders[0] / "cpu.stat")).get("usage_usec") if folders else None
    return None if microseconds is None else microseconds / 1e6


def _v1_memory(folders: Folders) -> Tuple[Optional[int], Optional[int]]:
    own = folders[0]
    stat = read_stat(read(own / "memory.stat"))
    used = number(read(own / "memory.usage_in_bytes"))
    # The second counts the groups above, which a container does not see.
    limits = [number(read(own / "memory.limit_in_bytes")), stat.get("hierarchical_memory_limit")]
    return working_set(used, stat.get("total_inactive_file")), _lowest(limits)


def _v2_memory(folders: Folders) -> Tuple[Optional[int], Optional[int]]:
    if not folders:
        return None, None
    used = number(read(folders[0] / "memory.current"))
    inactive = read_stat(read(folders[0] / "memory.stat")).get("inactive_file")
    return working_set(used, inactive), _lowest([number(read(folder / "memory.max")) for folder in folders])


def working_set(used: Optional[int], inactive_file: Optional[int]) -> Optional[int]:
    """Return the memory that can't be dropped at once. The two are read one after the other: never below zero."""
    return None if used is None or inactive_file is None else max(0, used - inactive_file)


def read_stat(text: str) -> Dict[str, int]:
    """Read lines like `inactive_file 630784`."""
    values: Dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        count = number(value)
        if count is not None:
            values[name] = count
    return values


def _lowest(limits: List[Optional[int]]) -> Optional[int]:
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)


# --- Processes ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ProcessTimes:
    """Of /proc/PID/stat: the parent, and CPU in clock ticks, that of children waited for included."""

    parent: int
    ticks: int


def read_processes(pid: int, root: Path = Path("/")) -> Reading:
    """Return the counters of a process and all beneath it."""
    try:
        pids = [int(name) for name in os.listdir(root / "proc") if name.isdigit()]
    except OSError:
        pids = []
    times = {found: parse_process(read(root / f"proc/{found}/stat")) for found in pids}
    known = {found: process for found, process in times.items() if process is not None}
    ours = tree(pid, {found: process.parent for found, process in known.items()})
    if not ours:
        return Reading(PROCESSES)
    pages = [private_pages(read(root / f"proc/{found}/statm")) for found in ours]
    resident = sum(count for count in pages if count is not None) * os.sysconf("SC_PAGE_SIZE")
    return Reading(
        PROCESSES,
        sum(known[found].ticks for found in ours) / os.sysconf("SC_CLK_TCK"),
        resident or None,  # not even the launcher's own: it could not be read
    )


def tree(pid: int, parents: Mapping[int, int]) -> Set[int]:
    """Return a process and all beneath it, of those whose parent is known."""
    children: Dict[int, List[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found: Set[int] = set()
    waiting = [pid] if pid in parents else []
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += children.get(current, [])
    return found


def parse_process(text: str) -> Optional[ProcessTimes]:
    """Read /proc/PID/stat. The program's name, in brackets, may hold blanks and brackets itself."""
    fields = text.rpartition(")")[2].split()
    numbers = [number(fields[index]) for index in (1, 11, 12, 13, 14)] if len(fields) > 14 else []
    if not numbers or None in numbers:
        return None
    parent, *ticks = (value for value in numbers if value is not None)
    return ProcessTimes(parent, sum(ticks))


def private_pages(text: str) -> Optional[int]:
    """Read /proc/PID/statm: the resident pages that are of no file and not shared."""
    fields = text.split()
    resident, shared = (number(fields[1]), number(fields[2])) if len(fields) > 2 else (None, None)
    return None if resident is None or shared is None else max(0, resident - shared)
