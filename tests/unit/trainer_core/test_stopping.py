"""`stopWhen`: when training has reached its end."""

import json

import pytest

from trainingjob_trainer.document import StopWhen
from trainingjob_trainer.errors import SpecError
from trainingjob_trainer.stopping import Stopping


def fed(rule: StopWhen, values: list[float], directions: dict[str, str] | None = None) -> Stopping:
    stopping = Stopping(rule, directions)
    for step, value in enumerate(values, 1):
        stopping.observe(step, {rule.metric: value})
    return stopping


@pytest.mark.parametrize(
    ("metric", "reaches", "values", "ends"),
    [
        ("val_loss", 0.1, [0.3, 0.2, 0.11], False),
        ("val_loss", 0.1, [0.3, 0.1], True),
        ("val_accuracy", 0.9, [0.5, 0.89], False),
        ("val_accuracy", 0.9, [0.5, 0.9], True),
        ("f1_score", 0.9, [0.95], True),
        ("mae", 0.9, [0.95], False),
    ],
)
def test_reaches_looks_up_for_what_is_to_be_large_and_down_for_the_rest(
    metric: str, reaches: float, values: list[float], ends: bool
) -> None:
    assert (fed(StopWhen(metric, reaches=reaches), values).reason is not None) is ends


@pytest.mark.parametrize(
    ("values", "min_delta", "ends"),
    [
        ([3, 2, 1, 1, 1], 0.0, True),
        ([3, 2, 1, 1], 0.0, False),
        ([3, 4, 2, 3, 1], 0.0, False),
        ([3, 2.9, 2.8], 0.5, True),
        ([3, float("nan"), float("nan")], 0.0, True),
    ],
)
def test_patience_counts_observations_in_a_row_that_are_not_better(
    values: list[float], min_delta: float, ends: bool
) -> None:
    stopping = fed(StopWhen("loss", patience=2, min_delta=min_delta), values)
    assert (stopping.reason is not None) is ends


def test_mode_and_the_metrics_own_direction_go_before_its_name() -> None:
    assert fed(StopWhen("score", reaches=5.0, mode="max"), [6]).reason is not None
    assert fed(StopWhen("val_score", reaches=5.0), [6], {"score": "up"}).reason is not None
    assert fed(StopWhen("score", reaches=5.0), [6]).reason is None


def test_best_is_remembered_with_its_step() -> None:
    stopping = fed(StopWhen("loss", patience=5), [3, 1, 2])
    assert (stopping.best, stopping.best_step) == (1, 2)


def test_other_metrics_are_no_observation() -> None:
    stopping = Stopping(StopWhen("val_loss", patience=1))
    assert not stopping.observe(1, {"loss": 1.0})
    assert not stopping.observe(2, {"loss": 2.0})
    assert stopping.reason is None


def test_a_resumed_training_stops_where_an_unbroken_one_does() -> None:
    rule = StopWhen("loss", patience=3, min_delta=0.1)
    values = [5.0, 4.0, 4.0, 3.95, 3.99]
    for cut in range(len(values) + 1):
        first = fed(rule, values[:cut])
        second = Stopping(rule)
        second.restore(json.loads(json.dumps(first.state())))
        for step, value in enumerate(values[cut:], cut + 1):
            second.observe(step, {"loss": value})
        assert second.state() == fed(rule, values).state()


def test_a_metric_that_never_comes_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"spec\.stopWhen\.metric: is 'val_acuracy'.*Did you mean val_accuracy\?"):
        Stopping(StopWhen("val_acuracy", patience=1)).check_known(["loss", "accuracy", "val_loss", "val_accuracy"])
