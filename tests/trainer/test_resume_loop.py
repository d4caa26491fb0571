"""`trainingjob.checkpoint` in custom loops: killed at a step and started again, the end is that of an unbroken run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.gang import Member, run_gang, run_members
from trainingjob_launcher.blame import is_collateral
from trainingjob_launcher.messages import TrainerExit

PROGRAM = "resume_loop.py"


def spec(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"checkpoint": {"path": str(folder), "keep": 2, **(settings or {"everySteps": 5})}}


def assert_same_end(resumed: Any, whole: Any) -> None:
    for mine, theirs in zip(resumed["weights"], whole["weights"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(resumed["losses"], whole["losses"][-len(resumed["losses"]) :], rtol=1e-5)
    assert resumed["seen"] == whole["seen"]


def steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob("checkpoint-*.npz"))


def test_on_one_member_killed_twice(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    [whole] = run_gang(PROGRAM, "--steps", "30", members=1)
    for death, saved in (("13", 10), ("22", 15)):
        dies = ("--die-at", death, "--die-after", str(folder / f"checkpoint-{saved}.npz"))
        [member] = run_members(PROGRAM, "--steps", "30", *dies, members=1, spec=spec(folder))
        assert member.code == -9
    [resumed] = run_gang(PROGRAM, "--steps", "30", members=1, spec=spec(folder))
    assert resumed["start"] in (15, 20)  # the write of step 20 may have been cut off: then the one before counts
    assert_same_end(resumed, whole)
    assert resumed["total"] == pytest.approx(whole["total"], rel=1e-5)
    assert steps(folder) == [25, 30]


@pytest.mark.gang
def test_on_two_members_without_a_shared_folder(tmp_path: Path) -> None:
    """Members begin with different weights; after a resume all have the chief's. Only the chief's folder is there."""
    folder = tmp_path / "checkpoints"
    whole = run_gang(PROGRAM, "--steps", "20", members=2, spec=spec(tmp_path / "other"))
    dies = ("--die-at", "13", "--die-after", str(folder / "checkpoint-10.npz"))
    members = run_members(PROGRAM, "--steps", "20", *dies, members=2, spec=spec(folder))
    assert members[0].code == -9
    assert members[1].code != 0
    before = steps(folder)
    resumed = run_gang(PROGRAM, "--steps", "20", members=2, spec=spec(folder))
    assert [result["start"] for result in resumed] == [10, 10]
    assert before == [5, 10]
    assert steps(folder) == [15, 20]
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)
    assert resumed[0]["weights"] == resumed[1]["weights"]


def test_without_a_checkpoint_in_the_job_nothing_is_written_and_the_step_is_0(tmp_path: Path) -> None:
    [result] = run_gang(PROGRAM, "--steps", "3", members=1, env={"TMPDIR": str(tmp_path)})
    assert result["start"] == 0
    assert list(tmp_path.rglob("*.npz")) == []


def test_by_seconds(tmp_path: Path) -> None:
    run_gang(PROGRAM, "--steps", "6", members=1, spec=spec(tmp_path, everySeconds=0.000001))
    assert steps(tmp_path) == [5, 6]


def test_another_model_is_refused_with_names_and_shapes(tmp_path: Path) -> None:
    run_gang(PROGRAM, "--steps", "5", members=1, spec=spec(tmp_path))
    [member] = run_members(PROGRAM, "--units", "9", members=1, spec=spec(tmp_path))
    assert member.code == 1
    assert f"checkpoint: the folder {tmp_path} belongs to another model" in member.output
    assert "model/0/kernel is (6, 9), in the checkpoint (6, 8)" in member.output
    assert "Give spec.checkpoint an empty folder" in member.output


def test_after_sigterm_the_step_is_saved_and_the_exit_code_says_so(tmp_path: Path) -> None:
    member: Member
    [member] = run_members(PROGRAM, "--steps", "30", "--term-at", "7", members=1, spec=spec(tmp_path))
    assert member.code == 77
    assert steps(tmp_path) == [5, 7]
    [resumed] = run_gang(PROGRAM, "--steps", "8", members=1, spec=spec(tmp_path))
    assert resumed["start"] == 7


@pytest.mark.gang
@pytest.mark.parametrize(("members", "rank"), [(2, -1), (2, 1), (3, -1)])
def test_after_sigterm_all_members_stop_after_the_same_step(tmp_path: Path, members: int, rank: int) -> None:
    """The signal comes to them one after the other, or to one alone; the end is at once, and no step is repeated."""
    late = ("--steps", "40", "--pause", "0.02")
    told = run_members(
        PROGRAM,
        *late,
        "--term-at",
        "7",
        "--term-rank",
        str(rank),
        members=members,
        spec=spec(tmp_path, everySteps=100),
    )
    assert [member.code for member in told] == [77] * members, told[-1].output[-2000:]
    [stopped] = steps(tmp_path)
    assert 7 <= stopped <= 11
    resumed = run_gang(PROGRAM, "--steps", "14", members=members, spec=spec(tmp_path, everySteps=100))
    assert [result["start"] for result in resumed] == [stopped] * members
    whole = run_gang(PROGRAM, "--steps", "14", members=members, spec=spec(tmp_path / "other"))
    assert_same_end(resumed[0], whole[0])


@pytest.mark.gang
def test_a_chief_that_alone_calls_save_saves_and_ends_alone(tmp_path: Path) -> None:
    late = ("--steps", "300", "--pause", "0.02", "--chief-only")
    told = run_members(PROGRAM, *late, "--term-at", "7", members=2, spec=spec(tmp_path, everySteps=100))
    assert told[0].code == 77, told[0].output[-2000:]
    assert 7 <= steps(tmp_path)[-1] <= 9


def test_a_file_tells_what_it_holds(tmp_path: Path) -> None:
    run_gang(PROGRAM, "--steps", "5", members=1, spec=spec(tmp_path))
    with np.load(tmp_path / "checkpoint-5.npz") as file:
        assert file["model/0/kernel"].shape == (6, 8)
        assert file["optimizer/0/iteration"] == 5
        assert json.loads(file["checkpoint.json"])["position"]["step"] == 5


@pytest.mark.gang
def test_what_is_wrong_with_the_chiefs_folder_is_said_by_all_and_is_the_chiefs_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chief, worker = run_members(PROGRAM, members=2, spec=spec(tmp_path / "file" / "checkpoints"))
    for member, echo in ((chief, False), (worker, True)):
        assert "checkpoint: the chief cannot use" in member.output
        assert is_collateral(TrainerExit(member.code, log_lines=tuple(member.output.splitlines()[-20:]))) is echo
