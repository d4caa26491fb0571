"""What is refused, in one clear sentence, and what is left as it is."""

import keras
import pytest

from tests.trainer.close import differences
from tests.trainer.gang import Member, run_gang, run_members, run_plain

pytestmark = [pytest.mark.gang, pytest.mark.slow]


def said(member: Member) -> list[str]:
    """Return the lines that are ours or an error's."""
    return [line for line in member.output.splitlines() if line.startswith("trainingjob:") or "Error: " in line]


def test_a_keras_that_was_not_tested_is_refused_on_several_members_only() -> None:
    for member in run_members("fit_old_keras.py", members=2, cold=True):
        assert member.code == 1
        [line] = [line for line in said(member) if "RuntimeError" in line]
        for part in (keras.__version__, "3.0", "2 members", "patchFit: false", "pip install"):
            assert part in line
    [alone] = run_gang("fit_old_keras.py", members=1, cold=True)
    assert alone["weights"]


def test_patch_fit_false_lets_every_member_train_alone() -> None:
    found = run_gang("fit_refusals.py", "fit", members=2, spec={"keras": {"patchFit": False}})
    assert [result["strategy"] for result in found] == ["_DefaultDistributionStrategy"] * 2


def test_without_a_strategy_of_its_own_a_fit_gets_one() -> None:
    found = run_gang("fit_refusals.py", "fit", members=2)
    assert [result["strategy"] for result in found] == ["CollectiveAllReduceStrategy"] * 2


def test_a_loop_without_a_strategy_is_told_to_make_one() -> None:
    for member in run_members("fit_refusals.py", "loop_without_strategy", members=2):
        assert member.code == 1
        assert "tf.distribute.MultiWorkerMirroredStrategy()" in said(member)[-1]


def test_inputs_of_different_lengths_are_refused_before_the_first_step() -> None:
    for member in run_members("fit_refusals.py", "different_lengths", members=2):
        assert member.code == 1
        assert "batches 2, 4" in said(member)[-1]


def test_data_drawn_without_a_seed_are_noticed() -> None:
    for member in run_members("fit_refusals.py", "different_data", members=2):
        assert member.code == 0
        assert any("arrays differ" in line for line in said(member))


def test_weights_that_differ_become_the_chiefs() -> None:
    chief, worker = run_gang("fit_refusals.py", "weights_that_differ", members=2)
    [plain] = run_plain("fit_refusals.py", "weights_that_differ")
    assert chief == worker
    assert not differences(plain, chief)


def test_a_dataset_that_the_program_shards_is_left_to_tensorflow() -> None:
    chief, worker = run_gang("fit_refusals.py", "sharded_by_the_program", members=2)
    assert chief == worker
    assert chief["loss"][1] < chief["loss"][0]


def test_another_strategy_of_the_programs_own_is_left_alone_and_said() -> None:
    for member in run_members("fit_refusals.py", "own_mirrored_strategy", members=2):
        assert member.result == {"strategy": "MirroredStrategy"}
        assert any("its own MirroredStrategy" in line for line in said(member))


@pytest.mark.parametrize("case", ["loop", "fit"])
def test_a_program_with_its_own_multi_worker_strategy_has_the_numbers_of_one_worker(case: str) -> None:
    [plain] = run_plain("fit_own_strategy.py", case)
    for found in run_gang("fit_own_strategy.py", case, members=2):
        assert not differences(plain, found)


def test_two_replicas_in_one_process() -> None:
    [plain] = run_plain("fit_two_devices.py")
    [found] = run_gang("fit_two_devices.py", members=1)
    assert not differences(plain, found)
