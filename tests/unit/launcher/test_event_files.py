"""Event files: the bytes, which value is written when, and what a disk that fails may cost: points, nothing else."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher import events
from trainingjob_launcher.contract import Training
from trainingjob_launcher.tensorboard import SPEED_TAG, EventFiles, Slot, next_name


def step(number: int | None, **metrics: float) -> Training:
    return Training(step=number, metrics=metrics)


def test_the_crc_is_castagnolis() -> None:
    # The check value of the CRC catalogue, and those of RFC 3720, B.4.
    assert events.crc32c(b"123456789") == 0xE3069283
    assert events.crc32c(bytes(32)) == 0x8A9136AA
    assert events.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert events.crc32c(bytes(range(32))) == 0x46DD794E


def test_the_bytes_are_those_that_tensorflow_writes() -> None:
    # tf.io.TFRecordWriter on the same Event, serialized by protobuf
    assert events.version_record(1.5).hex() == GOLDEN_VERSION
    assert events.scalars_record(1.5, 300, {"loss": 0.5, "a/b": math.inf}).hex() == GOLDEN_SCALARS
    assert events.start_record(2.0, 5).hex() == GOLDEN_START


def test_a_value_is_written_once_at_the_step_that_it_came_with() -> None:
    slot = Slot()
    slot.offer(step(99, loss=0.5), 1.0)
    slot.offer(step(100, loss=0.4, val_loss=0.7), 2.0)
    slot.offer(step(101, loss=0.3, val_loss=0.7), 3.0)
    assert slot.take() == {"loss": (3.0, 101, 0.3), "val_loss": (2.0, 100, 0.7)}
    slot.offer(step(102, loss=0.3, val_loss=0.7), 4.0)
    assert slot.take() == {}


def test_a_value_that_is_no_number_is_a_value_too_and_comes_once() -> None:
    slot = Slot()
    slot.offer(step(1, loss=math.nan), 1.0)
    slot.offer(step(2, loss=math.nan), 2.0)
    assert [point[:2] for point in slot.take().values()] == [(1.0, 1)]
    slot.offer(step(3, loss=1.0), 3.0)
    assert slot.take() == {"loss": (3.0, 3, 1.0)}


def test_speed_is_a_scalar_and_epochs_are_steps_where_there_are_no_others() -> None:
    slot = Slot()
    slot.offer(Training(epoch=4, examples_per_second=10.0, metrics={"loss": 1.0}), 1.0)
    assert slot.take() == {"loss": (1.0, 4, 1.0), SPEED_TAG: (1.0, 4, 10.0)}


@given(st.lists(st.integers(0, 2**40), max_size=5), st.floats(0, 4e9))
def test_a_new_file_sorts_after_those_that_are_there(stamps: list[int], now: float) -> None:
    there = [f"events.out.tfevents.{stamp:010d}.host.1.v2" for stamp in stamps if stamp < 10**10]
    assert sorted([*there, next_name([*there, "checkpoint", "events.out.tfevents.x.y"], now)])[-1] not in there


def test_a_write_that_does_not_get_through_leaves_nothing_behind(tmp_path: Path) -> None:
    """A disk that is full: here a limit on the file's size, in a process of its own."""
    code = (
        "import resource, signal, sys\n"
        "from trainingjob_launcher.contract import Training\n"
        "from trainingjob_launcher.tensorboard import EventFile, Slot\n"
        "slot = Slot(); file = EventFile(sys.argv[1], slot, lambda: 1e9)\n"
        "def write(n, names):\n"
        "    slot.offer(Training(step=n, metrics={f'm{i}': float(n) for i in range(names)}), 1e9)\n"
        "    file.write(slot.take())\n"
        "write(1, 1)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))\n"
        "try: write(2, 60)\n"
        "except OSError as error: print('refused')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "write(3, 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(Path(events.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")
    [path] = tmp_path.iterdir()
    assert steps(path.read_bytes()) == [0, 1, 1, 3]


def steps(data: bytes) -> list[int]:
    """Return the steps of a file's records, whose CRCs are right and which leave nothing over."""
    found = []
    while data:
        length = int.from_bytes(data[:8], "little")
        body = data[12 : 12 + length]
        assert events.record(body) == data[: 16 + length]
        found.append(body[10] if body[9] == 0x10 else 0)  # small steps are one byte, behind the time and their key
        data = data[16 + length :]
    return found


def test_a_folder_that_can_not_be_made_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    files = EventFiles(str(tmp_path / "file" / "folder"))
    files.offer(1, step(1, loss=1.0))
    files.offer(2, step(2, loss=2.0))
    files.close(30.0)
    said = capfd.readouterr()
    assert (said.out + said.err).count("event files for TensorBoard can't be written") == 1


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """The file turns out to be a FIFO that nobody reads: to open it waits for ever."""
    hanging = Hanging(tmp_path)
    files = EventFiles(str(tmp_path), clock=hanging)
    slowest = 0.0
    for number in range(200):
        before = time.perf_counter()
        files.offer(1, step(number, loss=float(number)))
        slowest = max(slowest, time.perf_counter() - before)
    before = time.perf_counter()
    files.close(0.5)
    assert 0.5 <= time.perf_counter() - before < 5.0  # it was waited for, and given up
    assert slowest < 0.5
    hanging.release()


class Hanging:
    """A clock that makes a FIFO of the file that would be begun at the time that it tells."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now = 1e9

    def __call__(self) -> float:
        self._now += 1
        os.mkfifo(self._folder / next_name([], self._now))
        return self._now

    def release(self) -> None:
        for path in self._folder.iterdir():
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def test_each_generation_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = EventFiles(str(tmp_path))
    files.offer(1, step(5, loss=1.0))
    files.offer(2, step(3, loss=2.0))
    files.close(30.0)
    assert [steps(path.read_bytes()) for path in sorted(tmp_path.iterdir())] == [[0, 5, 5], [0, 3, 3]]


GOLDEN_VERSION = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"
GOLDEN_SCALARS = (
    "2700000000000000bbe1b14609000000000000f83f10ac022a190a0b0a046c6f7373150000003f0a0a0a03612f62150000807f6480a044"
)
GOLDEN_START = "0f000000000000006d532b0909000000000000004010053a0208019451ed38"
