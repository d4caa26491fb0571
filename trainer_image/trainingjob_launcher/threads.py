"""Thread counts for TensorFlow from the container's CPU quota.

TensorFlow starts one thread per core of the *host*; under a quota of 1 CPU on a machine of 64 the container is
then throttled most of the time. Quotas are read from cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), the lowest
on the way from our own group to the root.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Dict, Mapping, Optional

from trainingjob_launcher.cgroup import V2, number, own_groups, read

#: Collectives of several members need a thread beside the one that computes.
MIN_INTER_OP = 2


def cpu_limit(root: Path = Path("/")) -> Optional[float]:
    """Return the CPUs that the quota grants, None without one. `root` is where /proc and /sys are."""
    groups = own_groups(root)
    limits = [_v2(group) for group in groups.get(V2, ())] + [_v1(group) for group in groups.get("cpu", ())]
    return min((limit for limit in limits if limit is not None), default=None)


def _v2(group: Path) -> Optional[float]:
    quota, _, period = read(group / "cpu.max").partition(" ")
    return _ratio(quota, period)


def _v1(group: Path) -> Optional[float]:
    return _ratio(read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> Optional[float]:
    granted, of = number(quota), number(period)
    return granted / of if granted and of else None


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
    return thread_variables(env, cpu_limit(), len(os.sched_getaffinity(0)))
