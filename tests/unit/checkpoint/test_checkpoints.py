"""The checkpoint folder: one whole file a checkpoint, the newest few kept, nothing but numpy needed."""

import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from trainingjob import _checkpoint_storage
from trainingjob._checkpoint import Checkpoints

VALUES = {"model/0/kernel": np.arange(6, dtype="float32").reshape(2, 3), "step": np.int64(2**53 + 1)}


def chief(path: Path, keep: int = 3) -> Checkpoints:
    return Checkpoints(str(path), keep, is_chief=True)


def write(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.write(step, {"x": np.full(3, float(step))}, {"step": step})
    checkpoints.wait()


def test_values_and_position_come_back_as_they_were(tmp_path: Path) -> None:
    position = {"step": 7, "epoch": 1, "batch": 3, "nested": {"losses": [0.1, float("inf")]}}
    path = chief(tmp_path / "new" / "folder").write(7, VALUES, position)
    found = chief(tmp_path / "new" / "folder")
    assert path == str(tmp_path / "new" / "folder" / "checkpoint-7.npz")
    for _ in range(2000):  # another object: the first one's thread is none of its business
        if found.steps():
            break
        threading.Event().wait(0.005)
    read = found.read()
    assert read is not None
    arrays, restored = read
    assert restored == position
    assert arrays.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert arrays[name].dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(arrays[name], value)


def test_numpy_opens_the_file(tmp_path: Path) -> None:
    checkpoints = chief(tmp_path)
    path = checkpoints.write(7, VALUES, {"step": 7})
    checkpoints.wait()
    with np.load(path) as file:
        np.testing.assert_array_equal(file["model/0/kernel"], VALUES["model/0/kernel"])
        assert json.loads(file["checkpoint.json"])["position"] == {"step": 7}


def test_values_are_those_of_the_moment_of_the_call(tmp_path: Path) -> None:
    checkpoints, value = chief(tmp_path), np.zeros(1_000_000)
    checkpoints.write(1, {"x": value}, {})
    value += 1  # the next step, while the thread writes
    checkpoints.wait()
    read = checkpoints.read()
    assert read is not None
    assert read[0]["x"].sum() == 0


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = chief(tmp_path, keep=2)
    write(checkpoints, 2, 10, 9, 100)
    assert checkpoints.steps() == [10, 100]


def test_a_torn_newest_file_is_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(chief(tmp_path), 1, 2, 3)
    torn = tmp_path / "checkpoint-3.npz"
    torn.write_bytes(torn.read_bytes()[:-40])
    read = chief(tmp_path).read()
    assert read is not None
    assert read[1] == {"step": 2}
    assert "checkpoint-3.npz is not whole" in caplog.text


def test_a_file_with_a_flipped_bit_is_passed_over(tmp_path: Path) -> None:
    write(chief(tmp_path), 1, 2)
    broken = tmp_path / "checkpoint-2.npz"
    data = bytearray(broken.read_bytes())
    data[data.index(np.float64(2).tobytes())] ^= 1
    broken.write_bytes(data)
    read = chief(tmp_path).read()
    assert read is not None
    assert read[1] == {"step": 1}


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_without_a_whole_file_there_is_nothing_to_resume(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint-5.npz").write_bytes(content)
    assert chief(tmp_path).read() is None


def test_an_empty_or_missing_folder_has_nothing_to_resume(tmp_path: Path) -> None:
    assert chief(tmp_path).read() is None
    assert chief(tmp_path / "missing").read() is None
    assert chief(tmp_path / "missing").steps() == []


def test_what_is_broken_does_not_push_out_what_is_written_after_it(tmp_path: Path) -> None:
    write(chief(tmp_path), 8)
    (tmp_path / "checkpoint-9.npz").write_bytes(b"torn")
    again = chief(tmp_path, keep=1)
    assert again.read() is not None
    write(again, 9)
    assert again.steps() == [9]


def test_what_a_killed_writer_left_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    left = tmp_path / ("checkpoint-4.npz" + _checkpoint_storage.TEMPORARY)
    left.write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("the user's")
    checkpoints = chief(tmp_path)
    assert checkpoints.steps() == []
    write(checkpoints, 5)
    assert not left.exists()
    assert (tmp_path / "notes.txt").exists()


def test_only_the_chief_writes(tmp_path: Path) -> None:
    worker = Checkpoints(str(tmp_path / "folder"), is_chief=False)
    worker.write(1, VALUES, {})
    worker.complete(1)
    worker.wait()
    assert not (tmp_path / "folder").exists()


def test_the_end_of_training_is_said_after_the_last_checkpoint_is_there(tmp_path: Path) -> None:
    checkpoints, follower = chief(tmp_path), Checkpoints(str(tmp_path), is_chief=False)
    assert follower.completed() is None
    checkpoints.write(12, VALUES, {})
    checkpoints.complete(12)
    assert follower.completed() == 12
    assert follower.steps() == [12]
    checkpoints.reopen()
    assert follower.completed() is None


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoints = chief(tmp_path / "file" / "folder")
    checkpoints.write(1, VALUES, {})
    with pytest.raises(OSError, match=r"cannot write to .*spec.checkpoint"):
        checkpoints.wait()


def test_what_is_no_number_is_refused_with_its_name(tmp_path: Path) -> None:
    checkpoints = chief(tmp_path)
    checkpoints.write(1, {"names": np.array(["a", None])}, {})
    with pytest.raises(TypeError, match="'names' holds strings"):
        checkpoints.wait()
    assert checkpoints.steps() == []


def test_a_checkpoint_of_a_later_format_is_not_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "checkpoint-3.npz", "w") as archive:
        archive.writestr("checkpoint.json", json.dumps({"format": 2}))
    with pytest.raises(ValueError, match="format 2"):
        chief(tmp_path).read()


def test_keep_must_leave_something() -> None:
    with pytest.raises(ValueError, match="keep is 0"):
        Checkpoints("/x", 0, is_chief=True)


def test_the_last_write_is_finished_when_the_program_ends(tmp_path: Path) -> None:
    program = (
        "import numpy, sys; from trainingjob._checkpoint import Checkpoints\n"
        "Checkpoints(sys.argv[1], is_chief=True).write(3, {'x': numpy.zeros(5_000_000)}, {'step': 3})\n"
    )
    root = Path(__file__).parents[3] / "trainer_image"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, env={"PYTHONPATH": str(root)}, timeout=50
    )
    read = chief(tmp_path).read()
    assert read is not None
    assert read[1] == {"step": 3}


def test_nothing_but_numpy_is_imported_for_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys, trainingjob; assert not {'numpy', 'zipfile', 'trainingjob._checkpoint'} & set(sys.modules)\n"
        "from trainingjob._checkpoint import Checkpoints\n"
        "Checkpoints(sys.argv[1], is_chief=True).read(); assert 'tensorflow' not in sys.modules"
    )
    root = Path(__file__).parents[3] / "trainer_image"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, env={"PYTHONPATH": str(root)}, timeout=50
    )
