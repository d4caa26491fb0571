"""tf-keras scripts (TF_USE_LEGACY_KERAS=1): resume like those of Keras 3; per-batch logs are divided by the members."""

from pathlib import Path

import pytest

from tests.trainer.gang import run_gang, run_members
from tests.trainer.test_resume_fit import LEGACY, PROGRAM, STEPS, assert_same_end, kill_and_resume, spec


@pytest.mark.parametrize("args", [("numpy",), ("dataset",), ("numpy", "--lazy")], ids=["numpy", "dataset", "lazy"])
def test_on_one_member(tmp_path: Path, args: tuple[str, ...]) -> None:
    is_cold = args == ("numpy",)  # once with the hooks in place before Keras is imported
    [whole] = run_gang(PROGRAM, *args, members=1, env=LEGACY, cold=is_cold)
    [resumed] = kill_and_resume(tmp_path, *args, die_at=14, env=LEGACY, cold=is_cold)
    assert_same_end(resumed, whole)


@pytest.mark.gang
def test_on_two_members(tmp_path: Path) -> None:
    whole = run_gang(PROGRAM, members=2, env=LEGACY)
    resumed = kill_and_resume(tmp_path, die_at=14, members=2, env=LEGACY)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)


@pytest.mark.gang
def test_after_sigterm_both_members_stop_before_the_same_batch(tmp_path: Path) -> None:
    whole = run_gang(PROGRAM, members=2, env=LEGACY)
    rule = spec(tmp_path, everySteps=100)
    told = run_members(PROGRAM, "--term-at", "15", "--term-rank", "-1", members=2, env=LEGACY, spec=rule)
    assert [member.code for member in told] == [77, 77], told[0].output[-2000:]
    [saved] = tmp_path.glob("*.npz")
    resumed = run_gang(PROGRAM, members=2, env=LEGACY, spec=rule)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)
        assert mine["steps"] == STEPS - int(saved.stem.split("-")[1])
