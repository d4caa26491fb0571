"""CPU and memory from control groups and from /proc: what is read, and what is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.launcher.test_cgroup import V1_MACHINE, V1_POD, V2_POD, a_copy
from trainingjob_launcher.contract import GpuUsage, MemberUsage
from trainingjob_launcher.usage import (
    CONTAINER,
    PROCESSES,
    ProcessTimes,
    Reading,
    UsageReader,
    parse_process,
    private_pages,
    read_container,
    read_processes,
    read_stat,
    tree,
    usage_of,
    working_set,
)

MIB = 1024**2

# --- A container ---


def test_a_pod_of_version_1() -> None:
    # 63594496 charged, 630784 of it inactive file pages; a limit of 512 MiB.
    expected = Reading(CONTAINER, 2.423861473, 62963712, 512 * MIB)
    assert UsageReader(True, V1_POD).read(1) == expected


def test_a_pod_of_version_2() -> None:
    expected = Reading(CONTAINER, 912.345678, 5497556992 - 1073741824, 8192 * MIB)
    assert UsageReader(True, V2_POD).read(1) == expected


def test_a_hybrid_machine_counts_in_version_1_and_has_no_limit() -> None:
    reading = UsageReader(True, V1_MACHINE).read(1)
    assert reading.memory_bytes == 22831104 - 5324800
    assert reading.memory_limit_bytes is None  # 9223372036854771712 is none
    cpu = int((V1_MACHINE / "sys/fs/cgroup/cpuacct/cpuacct.usage").read_text())
    assert reading.cpu_seconds == pytest.approx(cpu / 1e9)


def test_the_lowest_limit_above_us_counts(tmp_path: Path) -> None:
    v1, v2 = a_copy(V1_POD, tmp_path), a_copy(V2_POD, tmp_path)
    (v1 / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert UsageReader(True, v1).read(1).memory_limit_bytes == 512 * MIB  # hierarchical_memory_limit, the pod's
    (v2 / "proc/self/cgroup").write_text("0::/inner\n")
    shutil.copytree(v2 / "sys/fs/cgroup", tmp_path / "inner")
    shutil.move(tmp_path / "inner", v2 / "sys/fs/cgroup/inner")
    (v2 / "sys/fs/cgroup/inner/memory.max").write_text("max\n")
    assert UsageReader(True, v2).read(1).memory_limit_bytes == 8192 * MIB


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        (V1_POD, "memory/memory.stat"),
        (V1_POD, "memory/memory.usage_in_bytes"),
        (V2_POD, "memory.stat"),
        (V2_POD, "memory.current"),
    ],
)
def test_without_one_of_its_files_memory_is_unknown_and_cpu_is_not(pod: Path, name: str, tmp_path: Path) -> None:
    root = a_copy(pod, tmp_path)
    (root / "sys/fs/cgroup" / name).unlink()
    reading = UsageReader(True, root).read(1)
    assert reading.memory_bytes is None
    assert reading.cpu_seconds is not None


def test_the_files_are_read_one_after_the_other_and_memory_is_never_below_zero() -> None:
    assert working_set(100, 300) == 0
    assert working_set(None, 3) is None
    assert working_set(3, None) is None


def test_in_a_container_without_control_groups_processes_are_counted() -> None:
    reading = UsageReader(True, Path("/nowhere")).read(os.getpid())
    assert reading == Reading(PROCESSES)
    assert read_container({}) is None


@given(st.text(max_size=80) | st.lists(st.sampled_from(["a 1", "b max", "c", "a -2", " 3"])).map("\n".join))
def test_whatever_a_stat_file_holds_nothing_breaks(text: str) -> None:
    assert all(value >= 0 for value in read_stat(text).values())


# --- Processes ---


def test_this_process_and_its_children(tmp_path: Path) -> None:
    code = "import sys; ballast = bytearray(64 << 20); print('there', flush=True); sys.stdin.read()"
    alone = read_processes(os.getpid())
    child = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        both, only = read_processes(os.getpid()), read_processes(child.pid)
        child.communicate(timeout=20)
    assert alone.memory_bytes is not None
    assert both.memory_bytes is not None
    assert only.memory_bytes is not None
    assert 64 * MIB < only.memory_bytes < 96 * MIB
    assert both.memory_bytes - alone.memory_bytes > 60 * MIB
    assert both.source == PROCESSES
    assert both.memory_limit_bytes is None


def test_cpu_is_what_the_kernel_has_booked() -> None:
    before = read_processes(os.getpid()).cpu_seconds
    booked = time.process_time()
    while time.process_time() - booked < 0.2:
        pass
    after = read_processes(os.getpid()).cpu_seconds
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(time.process_time() - booked, abs=0.05)


def test_what_children_used_stays_counted_when_they_are_gone() -> None:
    before = read_processes(os.getpid()).cpu_seconds
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-S", "-c", burn], check=True, timeout=30)
    after = read_processes(os.getpid()).cpu_seconds
    assert before is not None
    assert after is not None
    assert after - before > 0.25


def test_a_process_that_is_gone_has_nothing() -> None:
    child = subprocess.Popen(["true"])
    child.wait(20)
    assert read_processes(child.pid) == Reading(PROCESSES)


def test_names_with_brackets_and_blanks() -> None:
    line = "4242 (a) R 9 (b c) S 17 4242 4242 0 -1 4194304 98 0 0 0 12 3 40 5 20 0 1 0 2506224 3133440 406"
    assert parse_process(line) == ProcessTimes(17, 12 + 3 + 40 + 5)
    assert private_pages("765 434 406 5 0 123 0") == 28


def test_a_tree_is_what_hangs_below() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert tree(10, parents) == {10, 11, 12}
    assert tree(1, parents) == set(parents)
    assert tree(99, parents) == set()


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9)), st.integers(0, 9))
def test_a_tree_ends_whatever_the_parents_are(parents: dict[int, int], pid: int) -> None:
    found = tree(pid, parents)  # read while processes come and go: rings are possible
    assert found <= set(parents)
    assert (pid in found) == (pid in parents)
    assert all(parents[member] in found for member in found if member != pid)


@given(st.text("0123456789 ()RSabc-", max_size=90))
def test_whatever_proc_holds_nothing_breaks(text: str) -> None:
    process = parse_process(text)
    assert process is None or process.ticks >= 0
    pages = private_pages(text)
    assert pages is None or pages >= 0


# --- Two readings ---


def test_cores_are_the_cpu_time_between_two_readings() -> None:
    gpus = (GpuUsage(50.0),)
    before, after = Reading(CONTAINER, 10.0, 5), Reading(CONTAINER, 17.50012, 7, 9)
    assert usage_of("worker-0", before, after, 5.0, gpus) == MemberUsage("worker-0", 1.5, 7, 9, gpus)
    idle = usage_of("worker-0", after, after, 5.0)
    assert idle.cpu_cores == 0.0  # measured


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        (Reading(CONTAINER), Reading(CONTAINER, 3.0), 5.0),
        (Reading(CONTAINER, 3.0), Reading(CONTAINER), 5.0),
        (Reading(CONTAINER, 1.0), Reading(PROCESSES, 3.0), 5.0),
        (Reading(CONTAINER, 3.0), Reading(CONTAINER, 1.0), 5.0),
        (Reading(CONTAINER, 1.0), Reading(CONTAINER, 1.1), 0.001),
        (Reading(CONTAINER, 1.0), Reading(CONTAINER, 1.1), 0.0),
    ],
    ids=["no first", "no second", "another source", "backwards", "too near", "no time"],
)
def test_what_does_not_compare_has_no_cores(before: Reading, after: Reading, seconds: float) -> None:
    assert usage_of("chief-0", before, after, seconds).cpu_cores is None


seconds = st.none() | st.floats(0, 1e9)
readings = st.builds(
    Reading, st.sampled_from([CONTAINER, PROCESSES]), seconds, *[st.none() | st.integers(0, 2**64)] * 2
)


@given(readings, readings, st.floats(-1, 1e6))
def test_whatever_was_read_fits_the_contract(before: Reading, after: Reading, elapsed: float) -> None:
    usage = usage_of("worker-1", before, after, elapsed)
    assert MemberUsage.from_json(usage.to_json(), "usage").cpu_cores == usage.cpu_cores
    cpu = [before.cpu_seconds, after.cpu_seconds]
    if usage.cpu_cores is not None:
        assert None not in cpu
