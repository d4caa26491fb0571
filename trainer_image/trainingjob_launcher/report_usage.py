"""What the members use: CPU, memory and accelerators. What can't be read is left out; it is never zero."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Tuple

from trainingjob_launcher.fields import ContractError, mapping, member, optional_amount

#: Larger gangs have their totals in the report, and no members.
MAX_MEMBERS = 32
MAX_GPUS = 16
#: What is above is a counter gone wrong: one member's, and the gang's.
MAX_CORES, MAX_GANG_CORES = 1e6, 1e9
MAX_BYTES = 1e18
_PATH = "telemetry"


@dataclasses.dataclass(frozen=True)
class GpuUsage:
    """One GPU, as NVML has it. `utilization` is percent of time with a kernel running."""

    utilization: Optional[float] = None
    memory_bytes: Optional[float] = None
    memory_total_bytes: Optional[float] = None

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        values = {
            "utilization": self.utilization,
            "memoryBytes": self.memory_bytes,
            "memoryTotalBytes": self.memory_total_bytes,
        }
        return known(values)

    @classmethod
    def from_json(cls, value: Any, path: str) -> GpuUsage:
        """Read what `to_json` wrote; raises ContractError."""
        document = mapping(value, path)
        return cls(
            utilization=optional_amount(document, "utilization", path, 100.0),
            memory_bytes=optional_amount(document, "memoryBytes", path, MAX_BYTES),
            memory_total_bytes=optional_amount(document, "memoryTotalBytes", path, MAX_BYTES),
        )


@dataclasses.dataclass(frozen=True)
class MemberUsage:
    """One member's container: CPU in cores, averaged over the last seconds; memory without what is page cache."""

    member: str
    cpu_cores: Optional[float] = None
    memory_bytes: Optional[float] = None
    memory_limit_bytes: Optional[float] = None
    gpus: Tuple[GpuUsage, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        values: Dict[str, Any] = {
            "member": self.member,
            "cpuCores": self.cpu_cores,
            "memoryBytes": self.memory_bytes,
            "memoryLimitBytes": self.memory_limit_bytes,
        }
        if self.gpus:
            values["gpus"] = [gpu.to_json() for gpu in self.gpus[:MAX_GPUS]]
        return known(values)

    @classmethod
    def from_json(cls, value: Any, path: str) -> MemberUsage:
        """Read what `to_json` wrote; raises ContractError."""
        document = mapping(value, path)
        gpus = items(document.get("gpus", []), f"{path}.gpus", MAX_GPUS)
        return cls(
            member=member(document, "member", f"{path}.member"),
            cpu_cores=optional_amount(document, "cpuCores", path, MAX_CORES),
            memory_bytes=optional_amount(document, "memoryBytes", path, MAX_BYTES),
            memory_limit_bytes=optional_amount(document, "memoryLimitBytes", path, MAX_BYTES),
            gpus=tuple(GpuUsage.from_json(gpu, f"{path}.gpus[{index}]") for index, gpu in enumerate(gpus)),
        )


@dataclasses.dataclass(frozen=True)
class Telemetry:
    """The gang's usage: totals over the members that could be read, and each of them in gangs of up to 32.

    `gpu_utilization` is the mean over all GPUs.
    """

    cpu_cores: Optional[float] = None
    memory_bytes: Optional[float] = None
    gpus: Optional[float] = None
    gpu_utilization: Optional[float] = None
    gpu_memory_bytes: Optional[float] = None
    members: Tuple[MemberUsage, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        values: Dict[str, Any] = {
            "cpuCores": self.cpu_cores,
            "memoryBytes": self.memory_bytes,
            "gpus": self.gpus,
            "gpuUtilization": self.gpu_utilization,
            "gpuMemoryBytes": self.gpu_memory_bytes,
        }
        if self.members:
            values["members"] = [usage.to_json() for usage in self.members[:MAX_MEMBERS]]
        return known(values)

    @classmethod
    def from_json(cls, value: Any) -> Telemetry:
        """Read what `to_json` wrote.

        Raises:
            ContractError: a field is of the wrong type or out of range.
        """
        document = mapping(value, _PATH)
        members = items(document.get("members", []), f"{_PATH}.members", MAX_MEMBERS)
        return cls(
            cpu_cores=optional_amount(document, "cpuCores", _PATH, MAX_GANG_CORES),
            memory_bytes=optional_amount(document, "memoryBytes", _PATH, MAX_BYTES),
            gpus=optional_amount(document, "gpus", _PATH, 1e6),
            gpu_utilization=optional_amount(document, "gpuUtilization", _PATH, 100.0),
            gpu_memory_bytes=optional_amount(document, "gpuMemoryBytes", _PATH, MAX_BYTES),
            members=tuple(MemberUsage.from_json(m, f"{_PATH}.members[{i}]") for i, m in enumerate(members)),
        )


def within(value: Optional[float], limit: float) -> Optional[float]:
    """Return an amount that `from_json` takes, None for one that it would refuse."""
    return value if value is not None and 0 <= value <= limit else None


def known(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what is known."""
    return {name: value for name, value in values.items() if value is not None}


def items(value: Any, path: str, limit: int) -> List[Any]:
    """Read a list of at most `limit` items; raises ContractError."""
    if not isinstance(value, list):
        raise ContractError(path, "must be a list")
    if len(value) > limit:
        raise ContractError(path, f"has {len(value)} items, the limit is {limit}")
    return value
