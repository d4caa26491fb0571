"""What the gang uses, from the chief's report to `status.telemetry`. Pure.

What nobody could read is missing: a zero is a measurement. CPU is rounded to millicores, as Kubernetes counts it,
utilisation to tenths of a percent, memory to bytes.
"""

import math
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api.contract import GpuUsage, MemberUsage, Telemetry


def telemetry_status(telemetry: Telemetry) -> dict[str, Any]:
    """Return `status.telemetry` of a report's telemetry, {} when it says nothing."""
    return _known(
        {
            "cpuCores": _rounded(telemetry.cpu_cores, 3),
            "memoryBytes": _whole(telemetry.memory_bytes),
            "gpus": _whole(telemetry.gpus),
            "gpuUtilizationPercent": _rounded(telemetry.gpu_utilization, 1),
            "gpuMemoryBytes": _whole(telemetry.gpu_memory_bytes),
            "members": [_member(member) for member in telemetry.members],
        }
    )


def _member(usage: MemberUsage) -> dict[str, Any]:
    return _known(
        {
            "name": usage.member,
            "cpuCores": _rounded(usage.cpu_cores, 3),
            "memoryBytes": _whole(usage.memory_bytes),
            "memoryLimitBytes": _whole(usage.memory_limit_bytes),
            "gpus": [_gpu(gpu) for gpu in usage.gpus],
        }
    )


def _gpu(usage: GpuUsage) -> dict[str, Any]:
    # One of which nothing is known stays as {}: a list's position is the GPU's index.
    return _known(
        {
            "utilizationPercent": _rounded(usage.utilization, 1),
            "memoryBytes": _whole(usage.memory_bytes),
            "memoryTotalBytes": _whole(usage.memory_total_bytes),
        }
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _rounded(value: float | None, digits: int) -> float | None:
    return round(float(value), digits) if value is not None and math.isfinite(value) else None


def _whole(value: float | None) -> int | None:
    return round(value) if value is not None and math.isfinite(value) else None
