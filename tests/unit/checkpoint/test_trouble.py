"""Folders in trouble: read-only, full, with files cut off or damaged."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob._checkpoint import Checkpoints
from trainingjob._checkpoint_fence import NAME
from trainingjob._checkpoint_file import BrokenError, load, save
from trainingjob._checkpoint_restore import broadcast_read
from trainingjob._checkpoint_storage import Local
from trainingjob_launcher.contract import GENERATION_VARIABLE


def chief(path: Path, keep: int = 3) -> Checkpoints:
    return Checkpoints(str(path), keep, is_chief=True)


def write(checkpoints: Checkpoints, *steps: int, size: int = 3) -> None:
    for step in steps:
        checkpoints.write(step, {"x": np.full(size, float(step))}, {"step": step})


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file beyond `size` bytes: like a full disk, the write fails half-way (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("pair", ["", "1.1"])
def test_a_folder_that_cannot_be_written_to_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: str
) -> None:
    monkeypatch.setenv(GENERATION_VARIABLE, pair)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Is spec\.checkpoint a volume or address that the chief may write to"):
        broadcast_read(chief(tmp_path / "file" / "checkpoints"), None)


def test_a_save_that_fails_is_said_each_time_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = chief(tmp_path)
    write(checkpoints, 1)
    checkpoints.wait()
    with largest_file(4000):
        write(checkpoints, 2, 3, 4, size=10_000)
        with pytest.raises(OSError, match="cannot write to"):  # where nothing comes after it
            checkpoints.wait()
    said = [re.match(r"step (\d) is not saved, training goes on: ", record.message) for record in caplog.records]
    assert [match.group(1) for match in said if match] == ["2", "3", "4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1.npz"]
    write(checkpoints, 5, size=10_000)  # there is space again
    checkpoints.wait()
    assert checkpoints.steps() == [1, 5]


def test_a_full_disk_at_the_start_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The job ran before, and filled it: what is there is resumed. Who was replaced can't write there either."""
    before = chief(tmp_path)
    write(before, 7)
    before.wait()
    monkeypatch.setenv(GENERATION_VARIABLE, "1.2")
    checkpoints = chief(tmp_path)

    def full(self: Local, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(Local, "write", full)
        found = broadcast_read(checkpoints, None)
    assert found is not None
    assert found[1] == {"step": 7}
    assert "Nothing is saved until there is" in caplog.text
    write(checkpoints, 8)
    checkpoints.wait()
    assert (tmp_path / NAME).exists()  # the fence is put up with the next save


VALUES = {"model/0/kernel": np.arange(12, dtype="float32").reshape(3, 4), "step": np.int64(5)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "file"
    with path.open("wb") as stream:
        save(stream, {name: np.asarray(value) for name, value in VALUES.items()}, {"step": 5})
    return path.read_bytes()


def test_a_file_that_is_cut_off_anywhere_is_broken(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with path.open("rb") as stream, pytest.raises(BrokenError):
            load(stream)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_broken_or_holds_what_it_held(whole: bytes, data: st.DataObject) -> None:
    """Bytes changed anywhere, a stretch of zeros as a crashed disk leaves it: values are never wrong."""
    import io

    damaged = bytearray(whole)
    start = data.draw(st.integers(0, len(whole) - 1))
    piece = data.draw(st.one_of(st.binary(min_size=1, max_size=16), st.integers(1, 600).map(bytes)))
    damaged[start : start + len(piece)] = piece
    try:
        arrays, position = load(io.BytesIO(bytes(damaged)))
    except BrokenError:
        return
    assert position == {"step": 5}
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, VALUES[name])


def test_the_newest_whole_one_is_resumed(tmp_path: Path) -> None:
    before = chief(tmp_path, keep=5)
    write(before, 1, 2, 3, 4)
    before.wait()
    (tmp_path / "checkpoint-4.npz").write_bytes(b"")
    (tmp_path / "checkpoint-3.npz").write_bytes((tmp_path / "checkpoint-3.npz").read_bytes()[:-1])
    (tmp_path / "checkpoint-9.npz.writing").write_bytes(b"half")
    (tmp_path / NAME).write_text("garbage")
    (tmp_path / "complete").write_text('{"st')
    found = broadcast_read(chief(tmp_path), None)
    assert found is not None
    assert found[1] == {"step": 2}
    assert chief(tmp_path).completed() is None


def test_killed_while_it_writes_the_checkpoint_before_is_whole(tmp_path: Path) -> None:
    """SIGKILL at a random byte of a write, many times: what was there stays, and there is always one to resume."""
    program = textwrap.dedent(
        """
        import os, random, sys, threading
        import numpy as np
        from trainingjob._checkpoint import Checkpoints
        from trainingjob._checkpoint_restore import broadcast_read
        checkpoints = Checkpoints(sys.argv[1], 2, is_chief=True)
        found = broadcast_read(checkpoints, None)
        step = found[1]["step"] if found else 0
        assert not found or (found[0]["x"] == step).all()
        checkpoints.write(step + 1, {"x": np.full(300_000, float(step + 1))}, {"step": step + 1})
        checkpoints.wait()
        threading.Timer(random.random() * 0.01, os.kill, (os.getpid(), 9)).start()
        checkpoints.write(step + 2, {"x": np.full(300_000, float(step + 2))}, {"step": step + 2})
        checkpoints.wait()
        threading.Event().wait()
        """
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "trainer_image")}
    for attempt in range(1, 9):
        command = [sys.executable, "-c", program, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, check=False, env=env)
        assert done.returncode == -9, done.stderr.decode()
        found = chief(tmp_path).read()
        assert found is not None
        assert found[1]["step"] >= attempt
        assert (found[0]["x"] == found[1]["step"]).all()


def test_a_folder_that_goes_away_is_made_again(tmp_path: Path) -> None:
    checkpoints = chief(tmp_path / "checkpoints")
    write(checkpoints, 1)
    checkpoints.wait()
    shutil.rmtree(tmp_path / "checkpoints")
    write(checkpoints, 2)
    checkpoints.wait()
    assert checkpoints.steps() == [2]
