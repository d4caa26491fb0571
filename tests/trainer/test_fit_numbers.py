"""An unmodified Keras 3 script gives the numbers of one worker: losses and weights within 1e-5, metrics exact.

Each program runs as one plain process, without a line of ours, and as a gang; every case in it is a test.
"""

import functools
from typing import Any

import pytest

from tests.trainer.close import differences
from tests.trainer.gang import run_gang, run_plain

pytestmark = [pytest.mark.gang, pytest.mark.slow]

CASES = {
    "fit_basics.py": ["numpy_even", "numpy_uneven", "evaluate_and_predict", "tf_dataset"],
    "fit_inputs.py": [
        "sample_weight", "class_weight", "class_weight_dataset", "steps_per_epoch", "steps_of_arrays", "initial_epoch",
        "steps_per_execution", "generator", "py_dataset", "py_dataset_threads", "train_on_batch", "dictionaries", "two_fits",
    ],
    "fit_models.py": [
        "custom_step", "custom_step_compiled", "clipping", "accumulation", "ema_and_decay", "loss_scale", "many_metrics",
        "reductions", "masks", "batch_normalization", "regularized", "eager", "metrics_outside",
    ],
}  # fmt: skip


@functools.cache
def plain(program: str) -> Any:
    return run_plain(program)[0]


@functools.cache
def gang(program: str, members: int) -> Any:
    is_cold = (program, members) == ("fit_basics.py", 3)  # the hooks see their modules being imported
    return run_gang(program, members=members, cold=is_cold)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize(("program", "case"), [(program, case) for program, cases in CASES.items() for case in cases])
def test_every_member_has_the_numbers_of_one_process(program: str, case: str, members: int) -> None:
    expected = plain(program)[case]
    for rank, found in enumerate(gang(program, members)):
        assert not differences(expected, found[case]), f"member {rank}"


@pytest.mark.parametrize("case", CASES["fit_basics.py"])
def test_a_chief_alone_has_exactly_the_numbers_of_a_plain_process(case: str) -> None:
    [found] = gang("fit_basics.py", 1)
    assert found[case] == plain("fit_basics.py")[case]
