"""How training is cut into calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_trainer.schedule import CALL_SECONDS, Plan, steps_per_call

small = st.integers(1, 40)
maybe = st.none() | small


@given(st.integers(1, 300), small, maybe, maybe, st.lists(st.integers(1, 100), min_size=1))
def test_calls_take_every_step_once_and_end_where_something_is_due(
    total: int, per_epoch: int, validate_every: int | None, checkpoint_every: int | None, wishes: list[int]
) -> None:
    plan = Plan(total, per_epoch, validate=True, validate_every=validate_every, checkpoint_every=checkpoint_every)
    step, ends = 0, [0]
    while step < total:
        steps = plan.next_call(step, wishes[len(ends) % len(wishes)])
        assert 1 <= steps <= max(wishes)
        step += steps
        ends.append(step)
    assert step == total
    due = [n for n in range(1, total + 1) if plan.epoch_ends(n) or plan.validation_due(n) or plan.checkpoint_due(n)]
    assert set(due) <= set(ends)


def test_an_epoch_that_is_cut_short_counts_and_ends_with_the_training() -> None:
    plan = Plan(total_steps=25, steps_per_epoch=10)
    assert plan.epochs == 3
    assert [plan.epoch_of(step) for step in (0, 1, 10, 11, 25)] == [1, 1, 1, 2, 3]
    assert [step for step in range(26) if plan.epoch_ends(step)] == [10, 20, 25]


def test_validation_comes_with_the_epochs_or_every_so_many_steps_and_at_the_end() -> None:
    by_epoch = Plan(25, 10, validate=True)
    by_steps = Plan(25, 10, validate=True, validate_every=4)
    assert [step for step in range(26) if by_epoch.validation_due(step)] == [10, 20, 25]
    assert [step for step in range(26) if by_steps.validation_due(step)] == [4, 8, 12, 16, 20, 24, 25]
    assert not any(Plan(25, 10).validation_due(step) for step in range(26))


@pytest.mark.parametrize(
    ("steps", "seconds", "next_steps"), [(1, 1.0, 1), (10, CALL_SECONDS, 10), (10, CALL_SECONDS / 2, 20)]
)
def test_a_call_gets_as_many_steps_as_fit(steps: int, seconds: float, next_steps: int) -> None:
    assert steps_per_call(steps, seconds) == next_steps


def test_the_number_of_steps_grows_by_and_by() -> None:
    assert steps_per_call(1, 1e-9) == 4
