"""Trouble with the checkpoint volume: training goes on as long as it can, and the status says what is wrong."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.faults import COLD, WORKER
from tests.chaos.gang import Gang
from tests.chaos.machine import NODES, nodes
from tests.chaos.program import EVERY
from tests.e2e.world import World

NODE = NODES[0]
#: All pods are where the volume is.
HERE = {"spec": {"nodeSelector": {"kubernetes.io/hostname": NODE}}}


@contextmanager
def small_volume(path: Path) -> Iterator[None]:
    """Have a file system of 256 KiB in a folder, as the node sees it."""
    nodes("in", NODE, "mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", str(path))
    try:
        yield
    finally:
        nodes("in", NODE, "umount", "--lazy", str(path))


def test_a_full_volume(world: World, folder: Path) -> None:
    """Nothing is saved while it is full, and nothing is broken: a restart goes back to what was saved before."""
    gang = Gang(world, "full", folder)
    volume = folder / "checkpoints"
    with small_volume(volume):
        gang.apply(podTemplate=HERE)
        gang.settled(4 * EVERY)
        nodes("in", NODE, "sh", "-c", f"cat /dev/zero >{volume}/filler; true")
        filled = gang.steps.newest.number
        gang.steps.until(20, number=filled + 4 * EVERY)
        before = gang.settled(1)
        gang.kill(WORKER)
        step = gang.steps.until(COLD + 20, beyond=before.step.generation)
        assert EVERY < step.number <= filled + EVERY + 1
        table.add("checkpoint volume full", step.at - before.at, f"Running, resumed at step {step.number - 1}", 1, 0)
        log = gang.world.kubectl("logs", "full-chief-0")
        assert "No space left on device" in log

        nodes("in", NODE, "rm", f"{volume}/filler")
        gang.steps.until(60, beyond=before.step.generation, number=before.step.number + 2 * EVERY)
        again = gang.settled(1)
        gang.kill(WORKER)
        step = gang.steps.until(COLD + 20, beyond=again.step.generation)
        assert step.number > filled + EVERY, "it saves again"
        gang.end_at(gang.steps.newest.number + 20)
        world.until_phase("full", "Succeeded", 60)


def test_a_volume_that_becomes_read_only(world: World, folder: Path) -> None:
    """Training goes on; a restart that can save nothing is refused, and the failure names the volume."""
    gang = Gang(world, "readonly", folder)
    volume = folder / "checkpoints"
    with small_volume(volume):
        gang.apply(podTemplate=HERE)
        before = gang.settled(2 * EVERY)
        nodes("in", NODE, "mount", "-o", "remount,ro", str(volume))
        gang.steps.until(20, number=gang.steps.newest.number + 3 * EVERY)
        assert gang.steps.newest.generation == before.step.generation, "training goes on"
        gang.kill(WORKER)
        status = world.until_phase("readonly", "Failed", 90)
        failure = status["failure"]
        assert failure["member"] == "chief-0"
        assert "Read-only file system" in failure["message"]
        assert "spec.checkpoint" in failure["message"]
        restarts = status["restarts"]
        table.add("checkpoint volume read-only", None, "Failed", restarts["counted"], restarts["free"])


def test_a_volume_that_is_read_only_from_the_start(world: World, folder: Path) -> None:
    """It fails at once, before hours of training that nobody could keep."""
    gang = Gang(world, "readonly", folder)
    volume = folder / "checkpoints"
    with small_volume(volume):
        nodes("in", NODE, "mount", "-o", "remount,ro", str(volume))
        started = time.monotonic()
        gang.apply(podTemplate=HERE)
        status = world.until_phase("readonly", "Failed", 60)
        assert "Read-only file system" in status["failure"]["message"]
        assert (status.get("restarts") or {}).get("total") in (0, None)
        assert gang.steps.all() == []
        table.add(
            "checkpoint volume read-only at the start", None, f"Failed after {time.monotonic() - started:.0f} s", 0, 0
        )


@pytest.mark.parametrize("everything", [False, True], ids=["the newest", "all"])
def test_broken_checkpoints(world: World, folder: Path, everything: bool) -> None:
    """The newest is half a file, as a disk leaves it that lost its power: the one before it is taken, if there is one."""
    gang = Gang(world, "broken", folder)
    gang.apply()
    before = gang.settled(4 * EVERY)
    files = gang.break_checkpoints(everything=everything)
    step = gang.steps.until(COLD + 20, beyond=before.step.generation)
    if everything:
        assert step.number == 1
    else:
        assert step.number == files[-2] + 1
    table.add(
        "all checkpoints are half files" if everything else "newest checkpoint is half a file",
        step.at - before.at, f"Running, resumed at step {step.number - 1}", 1, 0,
    )  # fmt: skip
    gang.end_at(gang.steps.newest.number + 20)
    world.until_phase("broken", "Succeeded", 60)
