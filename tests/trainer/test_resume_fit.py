"""A `fit` script that knows nothing of checkpoints, killed and started again, ends like one that was not killed.

The program kills its own chief with SIGKILL after a number of steps; what is compared are weights, the History of all
epochs, the learning rate, and what callbacks remember.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.gang import run_gang, run_members

PROGRAM = "resume_fit.py"
LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
STEPS = 36  # 4 epochs of 9 batches


def spec(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"checkpoint": {"path": str(folder), "keep": 2, **(settings or {"everySteps": 4})}}


def assert_same(mine: Any, theirs: Any, path: str = "") -> None:
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), path
        for key in theirs:
            assert_same(mine[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs), path
        for number, item in enumerate(theirs):
            assert_same(mine[number], item, f"{path}/{number}")
    else:
        assert mine == pytest.approx(theirs, rel=1e-5, abs=1e-6), path


def assert_same_end(mine: Any, theirs: Any) -> None:
    for key in theirs:
        if key != "steps":  # those of this process
            assert_same(mine[key], theirs[key], key)


def kill_and_resume(
    folder: Path, *args: str, die_at: int, saved: str = "", members: int = 1, **run: Any
) -> list[Any]:
    """Let the chief die at a step, with this checkpoint `saved`: saving goes on beside training."""
    death = ("--die-at", str(die_at), "--die-after", str(folder / saved if saved else "/"))
    dead = run_members(PROGRAM, *args, *death, members=members, spec=spec(folder), **run)
    assert dead[0].code == -9, dead[0].output[-2000:]
    return run_gang(PROGRAM, *args, members=members, spec=spec(folder), **run)


@pytest.mark.parametrize("args", [(), ("--dropout",), ("--stop",)], ids=["numpy", "dropout", "early-stop"])
def test_arrays_on_one_member(tmp_path: Path, args: tuple[str, ...]) -> None:
    [whole] = run_gang(PROGRAM, *args, members=1)
    [resumed] = kill_and_resume(tmp_path, *args, die_at=14, saved="checkpoint-8.npz")
    assert_same_end(resumed, whole)
    assert resumed["steps"] in (whole["steps"] - 12, whole["steps"] - 8)


def test_a_dataset_that_shuffles_on_one_member(tmp_path: Path) -> None:
    [whole] = run_gang(PROGRAM, "dataset", members=1)
    [resumed] = kill_and_resume(tmp_path, "dataset", die_at=23)
    assert_same_end(resumed, whole)


@pytest.mark.gang
@pytest.mark.parametrize(
    "args",
    [("numpy", "--normalize"), ("dataset",), ("numpy", "--normalize", "--grouped")],
    ids=["numpy", "dataset", "several-steps-a-call"],
)
def test_on_two_members(tmp_path: Path, args: tuple[str, ...]) -> None:
    whole = run_gang(PROGRAM, *args, members=2)
    resumed = kill_and_resume(tmp_path, *args, die_at=14, members=2)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)
    assert resumed[0]["weights"] == resumed[1]["weights"]


def test_what_was_finished_is_not_run_again_and_more_epochs_are_added(tmp_path: Path) -> None:
    [whole] = run_gang(PROGRAM, members=1, spec=spec(tmp_path))
    assert (tmp_path / "complete").read_text() == '{"step": 36}'
    [again] = run_gang(PROGRAM, members=1, spec=spec(tmp_path))
    assert again["steps"] == 0
    assert_same_end(again, whole)
    [longer] = run_gang(PROGRAM, "--epochs", "5", members=1, spec=spec(tmp_path))
    assert longer["steps"] == 9
    assert longer["iterations"] == 45
    assert longer["epochs"] == [0, 1, 2, 3, 4]


def test_each_call_of_fit_has_its_own_checkpoints(tmp_path: Path) -> None:
    args = ("--fits", "2", "--epochs", "2")
    [whole] = run_gang(PROGRAM, *args, members=1)
    [resumed] = kill_and_resume(tmp_path, *args, die_at=25, saved="fit-2/checkpoint-4.npz")  # in the second call
    assert_same_end({**resumed, "counted": 0, "losses": []}, {**whole, "counted": 0, "losses": []})
    assert resumed["steps"] < 18
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "checkpoint-16.npz",
        "checkpoint-18.npz",
        "complete",
        "fit-2",
    ]


def test_by_seconds(tmp_path: Path) -> None:
    run_gang(PROGRAM, members=1, spec=spec(tmp_path, everySeconds=1e-9))
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["checkpoint-35.npz", "checkpoint-36.npz"]


@pytest.mark.gang
def test_by_seconds_on_two_members(tmp_path: Path) -> None:
    results = run_gang(PROGRAM, members=2, spec=spec(tmp_path, everySeconds=1e-9))
    assert [result["iterations"] for result in results] == [STEPS, STEPS]
    assert (tmp_path / "checkpoint-36.npz").exists()


def test_after_sigterm_the_step_is_saved_and_the_exit_code_says_so(tmp_path: Path) -> None:
    [whole] = run_gang(PROGRAM, members=1)
    [member] = run_members(PROGRAM, "--term-at", "15", members=1, spec=spec(tmp_path, everySteps=100))
    assert member.code == 77
    assert [path.name for path in tmp_path.glob("*")] == ["checkpoint-15.npz"]
    [resumed] = run_gang(PROGRAM, members=1, spec=spec(tmp_path, everySteps=100))
    assert resumed["steps"] == STEPS - 15
    assert_same_end(resumed, whole)


@pytest.mark.gang
@pytest.mark.parametrize(
    ("args", "members", "rank"),
    [
        (("--grouped",), 2, -1),
        (("--grouped", "--normalize"), 3, -1),
        ((), 2, 1),
        (("dataset", "--grouped"), 2, 1),
    ],
    ids=["several-steps-a-call", "three-members", "each-step", "dataset"],
)
def test_after_sigterm_all_members_stop_before_the_same_batch(
    tmp_path: Path, args: tuple[str, ...], members: int, rank: int
) -> None:
    """The signal comes to all, one after the other, or to one alone. No step is lost, and no metric of the epoch."""
    whole = run_gang(PROGRAM, *args, members=members)
    run: dict[str, Any] = {"members": members, "spec": spec(tmp_path, everySteps=100)}
    told = run_members(PROGRAM, *args, "--term-at", "15", "--term-rank", str(rank), **run)
    assert [member.code for member in told] == [77] * members, told[0].output[-2000:]
    [saved] = tmp_path.glob("*.npz")
    stopped = int(saved.stem.split("-")[1])
    assert 15 <= stopped <= 20
    resumed = run_gang(PROGRAM, *args, **run)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)
    assert [result["steps"] for result in resumed] == [STEPS - stopped] * members


@pytest.mark.gang
def test_a_gang_that_saves_nothing_ends_at_once_on_sigterm() -> None:
    told = run_members(PROGRAM, "--epochs", "500", "--term-at", "15", "--term-rank", "-1", members=2)
    assert [member.code for member in told] == [-15, -15], told[0].output[-2000:]


@pytest.mark.gang
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1)])
def test_a_gang_of_another_size_goes_on_with_the_same_numbers(tmp_path: Path, before: int, after: int) -> None:
    """The last batch of an epoch has 8 examples, which three members can't share evenly."""
    whole = run_gang(PROGRAM, "--grouped", members=1)
    dead = run_members(PROGRAM, "--grouped", "--die-at", "14", members=before, spec=spec(tmp_path))
    assert dead[0].code == -9
    resumed = run_members(PROGRAM, "--grouped", members=after, spec=spec(tmp_path))
    for member in resumed:
        assert member.code == 0, member.output[-2000:]
        assert_same_end({**member.result, "counted": 0}, {**whole[0], "counted": 0})
    said = f"fit goes on with {after} members, the checkpoint is of {before}: the global batches are the same\n"
    assert said in resumed[0].output


def test_without_patches_of_keras_a_run_resumes_at_an_epoch(tmp_path: Path) -> None:
    off = {**spec(tmp_path), "keras": {"patchFit": False}}
    [dead] = run_members(PROGRAM, "--die-at", "22", members=1, spec=off)
    assert dead.code == -9
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["checkpoint-18.npz", "checkpoint-9.npz"]
    [resumed] = run_gang(PROGRAM, members=1, spec=off)
    assert (resumed["steps"], resumed["iterations"], resumed["epochs"]) == (18, STEPS, [0, 1, 2, 3])


def test_another_model_is_refused(tmp_path: Path) -> None:
    run_gang(PROGRAM, "--epochs", "1", members=1, spec=spec(tmp_path))
    [member] = run_members(PROGRAM, "--normalize", members=1, spec=spec(tmp_path))
    assert member.code == 1
    assert "belongs to another model" in member.output
