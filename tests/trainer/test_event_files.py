"""The launcher's event files, as TensorBoard reads them."""

import math
import struct
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from trainingjob_launcher import events
from trainingjob_launcher.contract import Training
from trainingjob_launcher.tensorboard import EventFile, EventFiles, Slot


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Return what TensorBoard shows of a tag."""
    board = EventAccumulator(str(folder)).Reload()
    return [(event.step, round(event.value, 6)) for event in board.Scalars(tag)]


def write(folder: Path, clock: float, *trainings: Training) -> None:
    """Write one generation, a batch for each of `trainings`."""
    slot = Slot()
    file = EventFile(str(folder), slot, lambda: clock)
    for number, training in enumerate(trainings):
        slot.offer(training, clock + number)
        file.write(slot.take())


def step(number: int, **metrics: float) -> Training:
    return Training(step=number, metrics=metrics)


def test_values_come_out_at_their_steps_and_each_once(tmp_path: Path) -> None:
    write(tmp_path, 1e9, step(1, loss=0.5), step(2, loss=0.25, val_loss=0.75), step(3, loss=0.125, val_loss=0.75))
    assert points(tmp_path, "loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert points(tmp_path, "val_loss") == [(2, 0.75)]


def test_after_a_restart_the_steps_that_are_done_again_count_once(tmp_path: Path) -> None:
    """From another node, whose clock is an hour behind."""
    write(tmp_path, 1e9, *(step(number, loss=number / 100) for number in range(1, 11)))
    write(tmp_path, 1e9 - 3600, *(step(number, loss=number / 10) for number in range(6, 13)))
    old = [(number, number / 100) for number in range(1, 6)]
    assert points(tmp_path, "loss") == old + [(number, number / 10) for number in range(6, 13)]


def test_tensorboard_reads_live(tmp_path: Path) -> None:
    slot = Slot()
    file = EventFile(str(tmp_path), slot, lambda: 1e9)
    board = EventAccumulator(str(tmp_path))
    for number in range(5):
        slot.offer(step(number, loss=float(number)), 1e9 + number)
        file.write(slot.take())
        assert [event.step for event in board.Reload().Scalars("loss")] == list(range(number + 1))


def test_the_thread_writes_what_was_offered_last(tmp_path: Path) -> None:
    files = EventFiles(str(tmp_path / "new" / "folder"))
    files.offer(1, step(1, loss=0.5))
    files.offer(1, Training(step=9, examples_per_second=640.0, metrics={"loss": 0.25}))
    files.close(30.0)
    assert points(tmp_path / "new" / "folder", "loss")[-1] == (9, 0.25)
    assert points(tmp_path / "new" / "folder", "examples_per_second") == [(9, 640.0)]


tags = st.text("abcdefghijklmnopqrstuvwxyz_/.-0123456789", min_size=1, max_size=63)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(0, 4e9),
    st.integers(0, 2**53),
    st.dictionaries(tags, st.floats(), min_size=1, max_size=64),
)
def test_every_record_is_read_back(when: float, number: int, values: dict[str, float]) -> None:
    """By the protobuf code that TensorFlow writes it with, single precision apart."""
    data = events.scalars_record(when, number, values)
    (length,) = struct.unpack("<Q", data[:8])
    event = Event.FromString(data[12:-4])
    assert len(data) == length + 16
    assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
    assert struct.unpack("<I", data[-4:]) == (masked_crc32c(data[12:-4]),)
    assert (event.wall_time, event.step) == (when, number)
    assert [value.tag for value in event.summary.value] == list(values)
    for read, value in zip(event.summary.value, values.values(), strict=True):
        assert same(read.simple_value, value)


def same(single: float, value: float) -> bool:
    if math.isnan(value):
        return math.isnan(single)
    if abs(value) > 3.4028234663852886e38:
        return single == math.copysign(math.inf, value)
    return math.isclose(single, value, rel_tol=1e-7, abs_tol=1e-44)


def test_a_file_begins_as_tensorboard_expects(tmp_path: Path) -> None:
    write(tmp_path, 1e9, step(7, loss=0.5))
    [path] = tmp_path.iterdir()
    first, second, third = LegacyEventFileLoader(str(path)).Load()
    assert first.file_version == "brain.Event:2"
    assert (second.session_log.status, second.step) == (SessionLog.START, 7)
    assert third.step == 7
