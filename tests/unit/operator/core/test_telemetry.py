"""What a report says of the gang's usage is what the status says, rounded; what it does not say is missing."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import GpuUsage, MemberUsage, Telemetry
from trainingjob_operator.api.status import TelemetryStatus
from trainingjob_operator.core.telemetry import telemetry_status

GIB = 1024.0**3


def test_all_that_is_known_is_shown() -> None:
    telemetry = Telemetry(
        cpu_cores=3.14159,
        memory_bytes=2 * GIB,
        gpus=2.0,
        gpu_utilization=66.6666,
        gpu_memory_bytes=10 * GIB + 0.4,
        members=(
            MemberUsage("chief-0", 1.99949, GIB, 4 * GIB, (GpuUsage(100.0, 9 * GIB, 80 * GIB), GpuUsage())),
            MemberUsage("worker-0", 1.142, GIB),
        ),
    )
    assert telemetry_status(telemetry) == {
        "cpuCores": 3.142,
        "memoryBytes": 2147483648,
        "gpus": 2,
        "gpuUtilizationPercent": 66.7,
        "gpuMemoryBytes": 10737418240,
        "members": [
            {
                "name": "chief-0",
                "cpuCores": 1.999,
                "memoryBytes": 1073741824,
                "memoryLimitBytes": 4294967296,
                "gpus": [
                    {"utilizationPercent": 100.0, "memoryBytes": 9663676416, "memoryTotalBytes": 85899345920},
                    {},
                ],
            },
            {"name": "worker-0", "cpuCores": 1.142, "memoryBytes": 1073741824},
        ],
    }


def test_zero_is_a_measurement_and_unknown_is_missing() -> None:
    assert telemetry_status(Telemetry()) == {}
    assert telemetry_status(Telemetry(cpu_cores=0.0, gpu_utilization=0.0)) == {
        "cpuCores": 0.0,
        "gpuUtilizationPercent": 0.0,
    }
    assert telemetry_status(Telemetry(members=(MemberUsage("worker-3"),))) == {"members": [{"name": "worker-3"}]}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_is_left_out(number: float) -> None:
    assert telemetry_status(Telemetry(cpu_cores=number, memory_bytes=number, gpus=number)) == {}


def amounts(limit: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, limit)


gpus = st.builds(GpuUsage, amounts(100), amounts(1e18), amounts(1e18))
names = st.sampled_from(["chief-0", "worker-0", "worker-31"])
members = st.builds(
    MemberUsage, names, amounts(1e6), amounts(1e18), amounts(1e18), st.lists(gpus, max_size=3).map(tuple)
)
telemetries = st.builds(
    Telemetry,
    amounts(1e9),
    amounts(1e18),
    amounts(1e6),
    amounts(100),
    amounts(1e18),
    st.lists(members, max_size=4).map(tuple),
)


@given(telemetries)
def test_whatever_the_contract_lets_through_is_a_valid_status(telemetry: Telemetry) -> None:
    read = Telemetry.from_json(json.loads(json.dumps(telemetry.to_json())))
    status = telemetry_status(read)
    shown = TelemetryStatus.model_validate(json.loads(json.dumps(status, allow_nan=False)))
    assert ("cpuCores" in status) == (telemetry.cpu_cores is not None)
    assert [member.name for member in shown.members or []] == [member.member for member in telemetry.members]
    if telemetry.cpu_cores is not None:
        assert shown.cpu_cores == pytest.approx(telemetry.cpu_cores, abs=0.0005, rel=1e-9)
