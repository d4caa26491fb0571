"""What the whole gang uses, from what its members say. Pure: times come from the caller."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from trainingjob_launcher.contract import MemberUsage, Telemetry
from trainingjob_launcher.report_usage import MAX_BYTES, MAX_GANG_CORES, MAX_MEMBERS, within


class GangUsage:
    """The latest word of each member. What is older than `lifetime` seconds counts for nothing."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._heard: Dict[str, Tuple[int, float, MemberUsage]] = {}

    def take(self, connection: int, usage: MemberUsage, now: float) -> None:
        """Take what a member has said over a connection."""
        self._heard[usage.member] = (connection, now, usage)

    def telemetry(self, connections: Mapping[str, int], now: float) -> Optional[Telemetry]:
        """Return the gang's usage, None when nobody's is known.

        `connections` are the members that are here, in order: who is gone or has come back since is not counted.
        """
        usages: List[MemberUsage] = []
        for member, connection in connections.items():
            heard = self._heard.get(member)
            if heard is not None and heard[0] == connection and now - heard[1] < self._lifetime:
                usages.append(heard[2])
        return total(usages, listed=len(connections) <= MAX_MEMBERS) if usages else None


def total(usages: Iterable[MemberUsage], listed: bool) -> Telemetry:
    """Return the totals over what is known, with the members if `listed`."""
    members = tuple(usages)
    gpus = [gpu for usage in members for gpu in usage.gpus]
    rates = [gpu.utilization for gpu in gpus if gpu.utilization is not None]
    cores = _sum((usage.cpu_cores for usage in members), MAX_GANG_CORES)
    return Telemetry(
        cpu_cores=cores if cores is None else round(cores, 3),
        memory_bytes=_sum((usage.memory_bytes for usage in members), MAX_BYTES),
        gpus=len(gpus) or None,
        gpu_utilization=round(sum(rates) / len(rates), 1) if rates else None,
        gpu_memory_bytes=_sum((gpu.memory_bytes for gpu in gpus), MAX_BYTES),
        members=members if listed else (),
    )


def _sum(values: Iterable[Optional[float]], limit: float) -> Optional[float]:
    known = [value for value in values if value is not None]
    return within(sum(known), limit) if known else None
