"""What gangs of real launchers report of their CPU, memory and GPUs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.launcher.gpus import TOTAL, USED, UTILIZATION, compiled
from tests.unit.launcher.processes import KEY, PATIENCE, Gang, Intake
from trainingjob_launcher.contract import GpuUsage, Telemetry
from trainingjob_launcher.messages import Hello
from trainingjob_launcher.rendezvous import Caller
from trainingjob_launcher.settings import Timings

MIB = 1024**2
FAST = {"TRAININGJOB_USAGE_SECONDS": "0.4"}
#: Until it is told to end.
WAITS = "import os; gate = open(os.environ['GATE']); print('ready'); gate.read()"
HOLDS = "ballast = bytearray(100 << 20)\n" + WAITS
BURNS = """
import os, select
gate = open(os.environ["GATE"]); print("ready")
while not select.select([gate], [], [], 0)[0]:
    sum(range(10000))
"""


class Gate:
    """A pipe that we hold open: whoever reads it waits until we close it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._held = open(path, "r+b", buffering=0)  # noqa: SIM115

    def open(self) -> None:
        self._held.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def started(gang: Gang, intake: Intake, gate: Gate, program: str | dict[str, str], **more: Any) -> Gang:
    env = {**FAST, "GATE": str(gate.path), **more.pop("env", {})}
    more = {"report_url": intake.url, "report_ca": intake.ca, "report_interval_seconds": 0.2, **more}
    gang.start(program, env=env, **more)
    for launcher in gang.members.values():
        launcher.line("ready")
    return gang


def told(intake: Intake, enough: int) -> Telemetry:
    """Return the telemetry of the first report in which so many members have said what they use."""
    by = time.monotonic() + PATIENCE
    while time.monotonic() < by:
        telemetry = intake.take()[1].telemetry
        if telemetry is not None and len([m for m in telemetry.members if m.cpu_cores is not None]) >= enough:
            return telemetry
    raise AssertionError(f"no report had the usage of {enough} members")


def test_each_member_tells_what_it_uses_and_the_report_has_the_totals(gang: Gang, intake: Intake, gate: Gate) -> None:
    started(gang, intake, gate, {"worker-0": HOLDS, "*": WAITS})
    telemetry = told(intake, 3)
    assert [usage.member for usage in telemetry.members] == ["chief-0", "worker-0", "worker-1"]
    chief, holder, other = (usage.memory_bytes or 0.0 for usage in telemetry.members)
    # A Python launcher and a Python trainer; one of them with 100 MiB more.
    assert 5 * MIB < other < 100 * MIB
    assert 100 * MIB < holder < 200 * MIB
    assert 5 * MIB < chief < 100 * MIB
    assert telemetry.memory_bytes == chief + holder + other
    cores = [usage.cpu_cores for usage in telemetry.members]
    assert telemetry.cpu_cores == pytest.approx(sum(core for core in cores if core is not None), abs=0.002)
    assert telemetry.gpus is None
    assert all(usage.gpus == () for usage in telemetry.members)
    gate.open()
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}


def test_who_computes_uses_cpu_and_who_waits_does_not(gang: Gang, intake: Intake, gate: Gate) -> None:
    started(gang, intake, gate, {"worker-0": BURNS, "*": WAITS}, workers=1)
    busy = idle = 0.0
    by = time.monotonic() + PATIENCE
    # On a machine that is busy with other things a share of a core is all that one thread may get.
    while time.monotonic() < by and not (busy > 0.3 and busy > 4 * idle):
        idle, busy = (usage.cpu_cores or 0.0 for usage in told(intake, 2).members)
    assert 0.3 < busy < 1.3
    assert busy > 4 * idle
    gate.open()
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}


def test_a_trainer_that_says_nothing_is_reported_with_its_usage(gang: Gang, intake: Intake, gate: Gate) -> None:
    started(gang, intake, gate, WAITS, workers=0)
    assert told(intake, 1).members[0].member == "chief-0"
    _, report = intake.take()  # and on it goes
    assert report.training is not None
    assert report.training.step is None
    gate.open()


def test_the_last_report_has_no_usage_of_the_moment(gang: Gang, intake: Intake, gate: Gate) -> None:
    started(gang, intake, gate, WAITS, workers=0)
    told(intake, 1)
    gate.open()
    assert intake.final().telemetry is None
    assert gang.codes() == {"chief-0": 0}
    assert gang["chief-0"].report().telemetry is None


def test_the_evaluator_is_no_member_and_does_not_even_measure(
    gang: Gang, intake: Intake, gate: Gate, tmp_path: Path
) -> None:
    spec = '{"version": 1, "checkpoint": {"path": "/checkpoints"}, "evaluator": true}'
    started(gang, intake, gate, WAITS, workers=1, spec=spec)
    # Whoever measures says of this library that it does not start.
    library = compiled(tmp_path, "-DINIT=18")
    env = {**FAST, "GATE": str(gate.path), "LD_LIBRARY_PATH": str(library.parent)}
    beside = gang.member("evaluator", 0, [sys.executable, "-u", "-S", "-c", WAITS], 1, spec=spec, env=env)
    beside.line("ready")
    for _ in range(3):
        assert [usage.member for usage in told(intake, 2).members] == ["chief-0", "worker-0"]
    assert b"evaluator-0 is lost" not in gang["chief-0"].err
    assert b"NVML" not in beside.err


# --- GPUs ---


def test_gpus_are_in_the_report_where_there_are_some(gang: Gang, intake: Intake, gate: Gate, tmp_path: Path) -> None:
    library = compiled(tmp_path)
    started(gang, intake, gate, WAITS, workers=1, env={"LD_LIBRARY_PATH": str(library.parent)})
    telemetry = told(intake, 2)
    gpus = (GpuUsage(UTILIZATION, USED[0], TOTAL), GpuUsage(None, USED[1], TOTAL), GpuUsage())
    assert [usage.gpus for usage in telemetry.members] == [gpus, gpus]
    assert (telemetry.gpus, telemetry.gpu_utilization) == (6, UTILIZATION)
    assert telemetry.gpu_memory_bytes == 2 * sum(USED)
    gate.open()
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}


def test_a_driver_that_hangs_costs_the_gpus_and_nothing_else(
    gang: Gang, intake: Intake, gate: Gate, tmp_path: Path
) -> None:
    # Its library holds a lock for ever that it wants at the process's end too.
    library = compiled(tmp_path, "-DHANG")
    started(gang, intake, gate, WAITS, workers=1, env={"LD_LIBRARY_PATH": str(library.parent)})
    telemetry = told(intake, 2)
    assert [usage.gpus for usage in telemetry.members] == [(), ()]
    assert telemetry.gpus is None
    gate.open()
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    assert intake.final() == gang["chief-0"].report()
    for launcher in gang.members.values():
        assert launcher.err.splitlines()[-1].endswith(b"the job has succeeded")


# --- Frames ---


async def test_usage_that_makes_no_sense_costs_its_sender_the_connection(gang: Gang) -> None:
    chief = gang.member("chief", 0, ["true"], 2)
    gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    caller = Caller(
        ("127.0.0.1", gang.port),
        bytes.fromhex(KEY),
        lambda _: Hello("worker-0", 1, "127.0.0.1:1"),
        "worker-0",
        Timings(),
        lambda: caller.send({"t": "usage", "usage": {"member": "worker-1", "cpuCores": 1.0}}),
        lambda frame: None,
        gone.set_result,
    )
    caller.connect()
    await asyncio.wait_for(gone, PATIENCE)
    await caller.close()
    lost = await asyncio.to_thread(chief.line, "trainingjob: worker-0 is lost")
    assert lost == "trainingjob: worker-0 is lost: it is worker-0 and tells what worker-1 uses"
    gang.member("worker", 0, ["true"], 2)
    gang.member("worker", 1, ["true"], 2)
    assert await asyncio.to_thread(gang.codes) == {"chief-0": 0, "worker-0": 0, "worker-1": 0}
