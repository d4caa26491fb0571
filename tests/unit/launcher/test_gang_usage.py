"""The gang's totals from what its members say, and frames that make no sense."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.contract import GpuUsage, MemberUsage, Telemetry
from trainingjob_launcher.gang_usage import GangUsage, total
from trainingjob_launcher.messages import MessageError, usage
from trainingjob_launcher.report_usage import MAX_MEMBERS

CHIEF = MemberUsage("chief-0", 1.5, 100, 1000, (GpuUsage(90.0, 10, 80), GpuUsage(70.0, 20, 80)))
WORKER = MemberUsage("worker-0", 0.25, 50)
HERE = {"chief-0": 0, "worker-0": 1}


def a_gang() -> GangUsage:
    gang = GangUsage(lifetime=15.0)
    gang.take(0, CHIEF, 100.0)
    gang.take(1, WORKER, 101.0)
    return gang


def test_totals_are_over_what_is_known() -> None:
    lost = MemberUsage("worker-1", None, None, None, (GpuUsage(None, 5), GpuUsage()))
    assert total([CHIEF, WORKER, lost], listed=True) == Telemetry(1.75, 150, 4, 80.0, 35, (CHIEF, WORKER, lost))


def test_nothing_known_is_none_and_not_zero() -> None:
    assert total([MemberUsage("chief-0"), MemberUsage("worker-0")], listed=False) == Telemetry()
    assert GangUsage(15.0).telemetry(HERE, 0.0) is None


def test_members_come_in_the_gangs_order() -> None:
    telemetry = a_gang().telemetry({"worker-0": 1, "chief-0": 0}, 102.0)
    assert telemetry is not None
    assert telemetry.members == (WORKER, CHIEF)


def test_a_member_that_is_lost_is_gone_at_once() -> None:
    assert a_gang().telemetry({"chief-0": 0}, 102.0) == total([CHIEF], listed=True)


def test_a_member_that_came_back_counts_when_it_has_spoken() -> None:
    gang = a_gang()
    again = {"chief-0": 0, "worker-0": 7}
    assert gang.telemetry(again, 102.0) == total([CHIEF], listed=True)
    gang.take(1, WORKER, 103.0)  # what its older connection still held
    assert gang.telemetry(again, 103.0) == total([CHIEF], listed=True)
    gang.take(7, WORKER, 104.0)
    assert gang.telemetry(again, 104.0) == total([CHIEF, WORKER], listed=True)


def test_what_is_too_old_says_nothing_about_now() -> None:
    gang = a_gang()
    assert gang.telemetry(HERE, 115.5) == total([WORKER], listed=True)
    assert gang.telemetry(HERE, 116.0) is None


def test_members_are_listed_in_gangs_of_up_to_32() -> None:
    gang = GangUsage(15.0)
    names = ["chief-0", *(f"worker-{number}" for number in range(MAX_MEMBERS))]
    for connection, name in enumerate(names):
        gang.take(connection, MemberUsage(name, 1.0), 0.0)
    connections = {name: connection for connection, name in enumerate(names)}
    large = gang.telemetry(connections, 1.0)
    assert large == Telemetry(cpu_cores=33.0)
    del connections["worker-5"]
    small = gang.telemetry(connections, 1.0)
    assert small is not None
    assert len(small.members) == MAX_MEMBERS
    assert Telemetry.from_json(small.to_json()) == small


# --- The frame ---


def test_a_frame_is_read_as_it_was_written() -> None:
    frame = json.loads(json.dumps({"t": "usage", "usage": CHIEF.to_json()}))
    assert usage(frame, "chief-0") == CHIEF


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (None, "usage: must be an object"),
        ({"member": "worker-1"}, "it is worker-0 and tells what worker-1 uses"),
        ({"member": "worker-0", "cpuCores": -1}, "usage.cpuCores"),
        ({"member": "worker-0", "cpuCores": "NaN"}, "usage.cpuCores"),
        ({"member": "worker-0", "memoryBytes": 10**400}, "usage.memoryBytes"),
        ({"member": "worker-0", "memoryBytes": True}, "usage.memoryBytes"),
        ({"member": "worker-0", "gpus": [{}] * 17}, "usage.gpus"),
        ({"member": "worker-0", "gpus": [{"utilization": 101}]}, r"usage.gpus\[0\].utilization"),
    ],
)
def test_a_frame_that_makes_no_sense_is_refused(sent: object, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        usage({"t": "usage", "usage": sent}, "worker-0")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("worker-0"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["member", "cpuCores", "memoryBytes", "gpus", "utilization"]), inner, max_size=4
        )
    ),
    max_leaves=9,
)


@given(values)
def test_whatever_a_peer_sends_is_usage_or_an_error_of_its_own(sent: object) -> None:
    try:
        found = usage({"usage": sent}, "worker-0")
    except MessageError:
        return
    assert found.member == "worker-0"
    telemetry = total([found] * 3, listed=True)
    assert Telemetry.from_json(telemetry.to_json()).members == telemetry.members
