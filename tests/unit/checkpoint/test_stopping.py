"""spec.stopWhen in `fit`: what is reached, and what is no better any more."""

from typing import Any

import pytest

from trainingjob_hooks.fit.stopping import StopWhen


class Model:
    """As much of a Keras model as the rule touches."""

    def __init__(self) -> None:
        self.stop_training = False
        self.weights: Any = "weights of the epoch"

    def get_weights(self) -> Any:
        return self.weights

    def set_weights(self, weights: Any) -> None:
        self.weights = weights


def epochs_run(rule: dict[str, Any], values: list[float], name: str | None = None) -> int:
    """Return how many epochs run until training is stopped; all of them when it is not."""
    callback, model = StopWhen(rule), Model()
    callback.model = model  # type: ignore[attr-defined]
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {name or rule["metric"]: value})
        if model.stop_training:
            return epoch + 1
    return len(values)


NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ({"metric": "val_loss", "reaches": 0.3}, [0.5, 0.3, 0.1], 2),
        ({"metric": "accuracy", "reaches": 0.9}, [0.5, 0.89, 0.9, 0.95], 3),
        ({"metric": "val_auc", "reaches": 0.9}, [0.5, 0.95, 0.99], 2),
        ({"metric": "score", "reaches": 0.9, "mode": "max"}, [0.5, 0.95], 2),
        ({"metric": "accuracy", "reaches": 0.1, "mode": "min"}, [0.5, 0.05, 0.01], 2),
        ({"metric": "loss", "patience": 2}, [3, 2, 2.5, 2.1, 1], 4),
        ({"metric": "loss", "patience": 2}, [3, 2, 2.5, 1, 1.5, 0.5], 6),
        ({"metric": "loss", "patience": 1, "minDelta": 0.5}, [3, 2.8, 1], 2),
        ({"metric": "f1_score", "patience": 1}, [0.1, 0.2, 0.15, 0.9], 3),
        ({"metric": "loss", "patience": 2}, [NAN, NAN, 1], 2),
        ({"metric": "loss", "patience": 5, "reaches": 1}, [3, 1, 0], 2),
        ({"metric": "accuracy_loss", "reaches": 0.5}, [0.9, 0.4, 0.3], 2),
    ],
)
def test_training_ends_after(rule: dict[str, Any], values: list[float], expected: int) -> None:
    assert epochs_run(rule, values) == expected


def test_an_epoch_without_the_metric_does_not_count() -> None:
    assert epochs_run({"metric": "val_loss", "patience": 1}, [3, 4, 5], name="loss") == 3


def test_a_metric_that_never_comes_is_named_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    epochs_run({"metric": "acuracy", "reaches": 1}, [0.5], name="accuracy")
    assert "spec.stopWhen.metric is 'acuracy', but fit has only accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(("restore", "expected"), [(True, "of the best"), (False, "of the last")])
def test_the_best_weights_are_taken_only_when_asked_for(restore: bool, expected: str) -> None:
    callback, model = StopWhen({"metric": "loss", "patience": 1, "restoreBest": restore}), Model()
    callback.model = model  # type: ignore[attr-defined]
    for epoch, (loss, weights) in enumerate([(2.0, "of the first"), (1.0, "of the best"), (3.0, "of the last")]):
        model.weights = weights
        callback.on_epoch_end(epoch, {"loss": loss})
    callback.on_train_end()
    assert model.weights == expected
