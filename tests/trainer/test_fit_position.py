"""Which examples a step sees: all of them once a pass, the same on 1, 2 and 3 members, and from the middle on again."""

import functools
from typing import Any

import pytest

from tests.trainer.close import differences
from tests.trainer.gang import run_gang, run_plain

pytestmark = [pytest.mark.gang, pytest.mark.slow]

INPUTS = [
    "arrays", "arrays in batches", "arrays in order", "arrays in parts", "dataset", "dataset in parts", "py_dataset",
]  # fmt: skip


@functools.cache
def run(members: int, *arguments: str) -> Any:
    return run_gang("fit_position.py", *arguments, members=members)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("members", [2, 3])
def test_a_program_without_a_seed_sees_the_same_batches_on_any_number_of_members(name: str, members: int) -> None:
    [alone] = run(1)
    for found in run(members):
        assert not differences(alone[name], found[name], relative=1e-4)


@pytest.mark.parametrize("name", ["arrays", "arrays in batches", "dataset", "py_dataset"])
def test_a_pass_holds_every_example_once_and_the_next_one_has_another_order(name: str) -> None:
    [alone] = run(1)
    everything = sum(i + i * i for i in range(22))
    orders = []
    for epoch in range(4):
        losses = [loss for e, _, loss in alone[name] if e == epoch]
        sizes = [4, 4, 4, 4, 4, 2]
        if name == "py_dataset":  # whole batches change places: which one is the short one is seen by its loss
            assert sorted(losses) == pytest.approx(sorted(plain_batches()), rel=1e-5)
        else:
            assert sum(n * loss for n, loss in zip(sizes, losses, strict=True)) == pytest.approx(everything, rel=1e-5)
        orders.append(losses)
    if name == "arrays in batches":  # examples change places within their batch, which its mean does not show
        assert orders[0] == orders[1]
    else:
        assert orders[0] != orders[1]


def plain_batches() -> list[float]:
    batches = [range(k, min(k + 4, 22)) for k in range(0, 22, 4)]
    return [sum(i + i * i for i in batch) / len(batch) for batch in batches]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(("members", "epoch", "batch"), [(1, 2, 3), (2, 1, 1)])
def test_a_fit_begins_in_the_middle_with_the_batches_of_the_unbroken_run(
    name: str, members: int, epoch: int, batch: int
) -> None:
    unbroken = [step for step in run(1)[0][name] if (step[0], step[1]) >= (epoch, batch)]
    for found in run(members, "--start", str(epoch), str(batch)):
        assert not differences(unbroken, found[name], relative=1e-4)


@pytest.mark.parametrize("name", ["arrays in order", "dataset", "dataset in parts"])
def test_with_a_seed_of_its_own_a_chief_alone_sees_what_a_plain_process_sees(name: str) -> None:
    [plain] = run_plain("fit_position.py", "seeded")
    [alone] = run(1, "seeded")
    assert alone[name] == plain[name]
