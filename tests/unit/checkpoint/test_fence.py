"""Who was replaced writes no more: the fence file of a checkpoint folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainingjob._checkpoint import Checkpoints
from trainingjob._checkpoint_fence import FENCED, NAME, Fence, FencedError, pair_of
from trainingjob._checkpoint_restore import broadcast_read
from trainingjob._checkpoint_storage import Local, storage
from trainingjob_launcher.contract import GENERATION_VARIABLE

TRAINER_IMAGE = Path(__file__).parents[3] / "trainer_image"


def fence(folder: Path, incarnation: int, generation: int) -> Fence:
    return Fence(storage(str(folder)), (incarnation, generation))


def highest(folder: Path) -> tuple[int, int]:
    document = json.loads((folder / NAME).read_text())
    return document["incarnation"], document["generation"]


def trainer(folder: Path, pair: str, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    """A chief's trainer of the generation `pair`, which has just begun: it has claimed the folder and read it."""
    monkeypatch.setenv(GENERATION_VARIABLE, pair)
    checkpoints = Checkpoints(str(folder), is_chief=True)
    broadcast_read(checkpoints, None)
    return checkpoints


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("first", "then", "left"),
    [((1, 1), (1, 2), (1, 2)), ((1, 9), (2, 1), (2, 1)), ((1, 9), (1, 10), (1, 10)), ((3, 4), (3, 4), (3, 4))],
)
def test_the_highest_pair_stays_the_incarnation_counts_first(
    tmp_path: Path, first: tuple[int, int], then: tuple[int, int], left: tuple[int, int]
) -> None:
    fence(tmp_path, *first).claim()
    fence(tmp_path, *then).claim()
    assert highest(tmp_path) == left


def test_who_is_beaten_is_told_both_pairs_and_ends_with_75(tmp_path: Path) -> None:
    fence(tmp_path, 2, 7).claim()
    with pytest.raises(
        FencedError, match=r"belongs to generation 2\.7 now, this trainer is of generation 1\.6"
    ) as beaten:
        fence(tmp_path, 1, 6).claim()
    assert beaten.value.code == FENCED == 75
    assert highest(tmp_path) == (2, 7)


def test_a_program_that_does_not_know_the_error_ends_with_75(tmp_path: Path) -> None:
    fence(tmp_path, 2, 7).claim()
    program = (
        "import sys; from trainingjob._checkpoint_fence import Fence; from trainingjob._checkpoint_storage import Local\n"
        "try: Fence(Local(sys.argv[1]), (2, 6)).check()\nexcept Exception: pass"
    )
    env = {**os.environ, "PYTHONPATH": str(TRAINER_IMAGE)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 75
    assert "was replaced, writes nothing and ends" in done.stderr


def test_a_replaced_chief_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = trainer(tmp_path, "1.3", monkeypatch)
    old.write(10, {"x": np.zeros(3)}, {"step": 10})
    old.wait()
    trainer(tmp_path, "2.4", monkeypatch)
    before = files(tmp_path)
    old.write(20, {"x": np.ones(3)}, {"step": 20})
    with pytest.raises(FencedError, match=r"2\.4"):
        old.write(30, {"x": np.ones(3)}, {"step": 30})
    with pytest.raises(FencedError):
        old.wait()
    with pytest.raises(FencedError):
        old.complete(30)
    assert files(tmp_path) == before == ["checkpoint-10.npz", NAME]


def test_one_that_is_replaced_while_it_writes_publishes_nothing_and_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The successor comes between the two looks at the fence: when the file is written, before it gets its name."""
    old = trainer(tmp_path, "1.3", monkeypatch)

    class Late(dict[str, int]):
        """Part of a position: it is asked for its items when the file is all but written."""

        def items(self) -> Any:
            fence(tmp_path, 2, 4).claim()
            return super().items()

    old.write(10, {"x": np.zeros(3)}, {"step": 10, "late": Late(a=1)})
    with pytest.raises(FencedError):
        old.wait()
    assert files(tmp_path) == [NAME]


def test_a_replaced_chief_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path, "2.4", monkeypatch)
    with pytest.raises(FencedError):
        trainer(tmp_path, "1.9", monkeypatch)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"\x00\xff",
        b"[]",
        b"{}",
        b'{"incarnation": 1}',
        b'{"incarnation": "9", "generation": true}',
        b"[" * 5000,
    ],
)
def test_a_damaged_file_is_no_fence_and_is_mended(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / NAME).write_bytes(damaged)
    fence(tmp_path, 1, 2).claim()
    assert highest(tmp_path) == (1, 2)
    (tmp_path / NAME).write_bytes(damaged)
    fence(tmp_path, 1, 2).hold()  # before each save
    assert highest(tmp_path) == (1, 2)


def test_without_a_generation_there_is_no_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop; and what is in the folder is left alone."""
    monkeypatch.delenv(GENERATION_VARIABLE, raising=False)
    broadcast_read(Checkpoints(str(tmp_path / "new"), is_chief=True), None)
    assert files(tmp_path / "new") == []
    fence(tmp_path, 5, 5).claim()
    checkpoints = Checkpoints(str(tmp_path), is_chief=True)
    checkpoints.write(1, {"x": np.zeros(1)}, {})
    checkpoints.wait()
    assert highest(tmp_path) == (5, 5)


def test_workers_and_evaluators_do_not_touch_the_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GENERATION_VARIABLE, "1.1")
    Checkpoints(str(tmp_path), is_chief=False).claim()
    assert files(tmp_path) == []


def test_what_the_launcher_says() -> None:
    assert pair_of({}) is None
    assert pair_of({GENERATION_VARIABLE: "12.345"}) == (12, 345)
    for text in ("1", "1.", ".1", "a.b", "1.2.3", "-1.2"):
        with pytest.raises(ValueError, match=r"INCARNATION\.NUMBER"):
            pair_of({GENERATION_VARIABLE: text})


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    local = Local(str(tmp_path))
    local.write("file", lambda stream: _put(stream, b"before"))

    def half(stream: object) -> None:
        _put(stream, b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        local.write("file", half)
    assert files(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"


def _put(stream: object, data: bytes) -> None:
    stream.write(data)  # type: ignore[attr-defined]
