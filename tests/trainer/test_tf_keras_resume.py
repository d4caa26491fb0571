"""tf-keras scripts (TF_USE_LEGACY_KERAS=1): resume like those of Keras 3; per-batch logs are divided by the members."""

from pathlib import Path

import pytest

from tests.trainer.gang import run_gang
from tests.trainer.test_resume_fit import LEGACY, PROGRAM, assert_same_end, kill_and_resume


@pytest.mark.parametrize("args", [("numpy",), ("dataset",), ("numpy", "--lazy")], ids=["numpy", "dataset", "lazy"])
def test_on_one_member(tmp_path: Path, args: tuple[str, ...]) -> None:
    [whole] = run_gang(PROGRAM, *args, members=1, env=LEGACY)
    [resumed] = kill_and_resume(tmp_path, *args, die_at=14, env=LEGACY)
    assert_same_end(resumed, whole)


@pytest.mark.gang
def test_on_two_members(tmp_path: Path) -> None:
    whole = run_gang(PROGRAM, members=2, env=LEGACY)
    resumed = kill_and_resume(tmp_path, die_at=14, members=2, env=LEGACY)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert_same_end(mine, theirs)
