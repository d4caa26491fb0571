"""Thread counts for TensorFlow from the container's CPU quota.

TensorFlow starts one thread per core of the *host*; under a quota of 1 CPU on a machine of 64 the container is
then throttled most of the time. Quotas are read from cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), the lowest
on the way from our own group to the root.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import Dict, List, Mapping, Optional

CGROUP_ROOT = Path("/sys/fs/cgroup")
#: Collectives of several members need a thread beside the one that computes.
MIN_INTER_OP = 2


def cpu_limit(proc_cgroup: str, root: Path = CGROUP_ROOT) -> Optional[float]:
    """Return the CPUs that the quota grants, None without one.

    `proc_cgroup` is the text of /proc/self/cgroup; `root` is where the cgroup file systems are mounted.
    """
    limits: List[float] = []
    for line in proc_cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            limits += [x for x in (_v2(root / group) for group in _ancestry(path)) if x is not None]
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                limits += [x for x in (_v1(root / name / group) for group in _ancestry(path)) if x is not None]
    return min(limits) if limits else None


def _ancestry(path: str) -> List[str]:
    """Return a cgroup path and all above it, relative to the mount. A path of the host may not exist here."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    return ["/".join(parts[:length]) for length in range(len(parts), -1, -1)]


def _v2(group: Path) -> Optional[float]:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    return _ratio(quota, period)


def _v1(group: Path) -> Optional[float]:
    return _ratio(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> Optional[float]:
    try:
        value = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def thread_count(limit: Optional[float], cores: int) -> int:
    """Return how many threads compute: the quota rounded up, never more than the cores that we may use."""
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def thread_variables(env: Mapping[str, str], limit: Optional[float], cores: int) -> Dict[str, str]:
    """Return the variables to set for the trainer; what the user has set stays."""
    count = thread_count(limit, cores)
    wanted = {
        "OMP_NUM_THREADS": str(count),
        "TF_NUM_INTRAOP_THREADS": str(count),
        "TF_NUM_INTEROP_THREADS": str(max(MIN_INTER_OP, count)),
    }
    return {name: value for name, value in wanted.items() if not env.get(name)}


def own_thread_variables(env: Mapping[str, str]) -> Dict[str, str]:
    """Return `thread_variables` for the container that we are in."""
    return thread_variables(env, cpu_limit(_read(Path("/proc/self/cgroup"))), len(os.sched_getaffinity(0)))
