"""Which way a metric gets better, and the best value it has had."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Extremes, Training
from trainingjob_operator.api.status import BestValue
from trainingjob_operator.core.best import MAX_NAMES, Way, merge_best, merge_extremes, usual_way
from trainingjob_operator.core.history import Sample


def sample(step: int | None, **metrics: float) -> Sample:
    return Sample((1, 1, step or 0), 0.0, Training(step=step, metrics=metrics))


@pytest.mark.parametrize(
    "names",
    [
        "loss val_loss train/loss epoch_loss total-loss loss_1 Loss",
        "error top_1_error error_rate mse val_mae rmse mape mean_squared_error val_mean_absolute_error",
        "perplexity val_ppl nll negative_log_likelihood sparse_categorical_crossentropy val/cross_entropy",
        "kl_divergence squared_hinge poisson logcosh wer cer fid false_positives_2",
    ],
)
def test_less_is_better(names: str) -> None:
    assert {name: usual_way(name) for name in names.split()} == dict.fromkeys(names.split(), "min")


@pytest.mark.parametrize(
    "names",
    [
        "accuracy acc val_accuracy sparse_top_k_categorical_accuracy binary_accuracy_1 acc1 accuracy_top5 train.acc",
        "precision recall val_recall_3 precision_at_10 precision_at_recall sensitivity_at_specificity",
        "auc val_auc_2 auroc auc_roc f1 f1_score val_f1_macro f1_weighted f1_class_3 fbeta_score",
        "r2 r2_score iou mean_io_u mIoU iou_class_7 dice dice_coefficient bleu bleu4 rouge_l rouge1",
        "psnr ssim cohen_kappa ndcg_at_5 cosine_similarity log_likelihood episode_reward",
    ],
)
def test_more_is_better(names: str) -> None:
    assert {name: usual_way(name) for name in names.split()} == dict.fromkeys(names.split(), "max")


@pytest.mark.parametrize(
    "name", ["lr", "learning_rate", "grad_norm", "loss_scale", "lossless", "f12x", "score", "step_time", "_", "map"]
)
def test_nobody_knows(name: str) -> None:
    assert usual_way(name) is None


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,62}", fullmatch=True))
def test_any_name_may_come(name: str) -> None:
    assert usual_way(name) in ("min", "max", None)


def test_the_best_so_far_stays_with_its_step() -> None:
    best = merge_best({}, [sample(1, loss=0.5, accuracy=0.7, lr=0.1)], {}, {})
    assert best == {"loss": {"value": 0.5, "step": 1}, "accuracy": {"value": 0.7, "step": 1}}
    best = merge_best(best, [sample(2, loss=0.4, accuracy=0.6), sample(3, loss=0.45, accuracy=0.65)], {}, {})
    assert best == {"loss": {"value": 0.4, "step": 2}, "accuracy": {"value": 0.7, "step": 1}}
    for entry in best.values():
        BestValue.model_validate(entry)


def test_the_first_step_that_reached_it_keeps_it() -> None:
    best = merge_best({}, [sample(1, loss=0.12345649)], {}, {})
    assert merge_best(best, [sample(2, loss=0.12345601)], {}, {}) == best, "the same to six digits"


def test_what_the_spec_says_goes_before_what_the_name_says() -> None:
    said: dict[str, Way] = {"cost": "min", "loss": "max"}
    best = merge_best({}, [sample(1, cost=3, loss=1), sample(2, cost=2, loss=2)], {}, said)
    assert best == {"cost": {"value": 2, "step": 2}, "loss": {"value": 2, "step": 2}}
    best = merge_best(best, [sample(3, loss=0.5)], {}, {})
    assert best == {"loss": {"value": 0.5, "step": 3}}, "nobody knows cost any more, and loss is less again"


def test_extremes_know_what_no_report_carried() -> None:
    extremes = {"loss": Extremes(0.1, 9.0, 40, 1), "accuracy": Extremes(0.1, 0.9, 1, 41), "lr": Extremes(0, 1)}
    best = merge_best({"loss": {"value": 0.3, "step": 7}}, [sample(50, loss=0.2)], extremes, {})
    assert best == {"loss": {"value": 0.1, "step": 40}, "accuracy": {"value": 0.9, "step": 41}}


def test_values_that_are_passing_are_not_the_best_and_are_where_nobody_tells_the_difference() -> None:
    told = Sample((1, 1, 5), 0.0, Training(step=5, metrics={"loss": 0.01}, extremes={}))
    assert merge_best({}, [told], {}, {}) == {}
    assert merge_best({}, [sample(5, loss=0.01)], {}, {}) == {"loss": {"value": 0.01, "step": 5}}


def test_a_metric_without_steps_has_a_best_without_a_step() -> None:
    assert merge_best({}, [sample(None, acc=0.5)], {}, {}) == {"acc": {"value": 0.5}}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_never_the_best(value: float) -> None:
    said: dict[str, Way] = {"low": "min", "high": "max"}
    assert merge_best({}, [sample(1, low=value, high=value)], {}, said) == {}
    best = merge_best({}, [sample(1, low=2, high=2), sample(2, low=value, high=value)], {}, said)
    assert best == {"low": {"value": 2, "step": 1}, "high": {"value": 2, "step": 1}}
    assert merge_best({"low": {"value": "-Infinity"}}, [sample(3, low=5)], {}, said)["low"]["value"] == 5


def test_ever_other_names_do_not_make_the_status_grow() -> None:
    best: dict[str, Any] = {}
    for number in range(3 * MAX_NAMES):
        best = merge_best(best, [sample(number, **{f"run{number}_loss": 1.0})], {}, {})
    assert list(best) == [f"run{number}_loss" for number in range(MAX_NAMES)]
    assert merge_best(best, [sample(9, run0_loss=0.5)], {}, {})["run0_loss"]["value"] == 0.5


def test_two_lives_of_a_launcher_have_the_extremes_of_both() -> None:
    one = {"loss": Extremes(0.2, 5.0, 20, 1), "acc": Extremes(0.1, 0.5)}
    two = {"loss": Extremes(0.3, 7.0, 30, 21), "f1": Extremes(0.0, 0.1)}
    assert merge_extremes(one, two) == {
        "loss": Extremes(0.2, 7.0, 20, 21), "acc": Extremes(0.1, 0.5), "f1": Extremes(0.0, 0.1),
    }  # fmt: skip


values = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])


@given(values=st.lists(values, min_size=1, max_size=30), cuts=st.integers(1, 7))
def test_it_is_the_best_of_all_finite_values_however_they_are_batched(values: list[float], cuts: int) -> None:
    best: dict[str, Any] = {}
    before: dict[str, Any] = {}
    samples = [sample(step, loss=value, acc=value) for step, value in enumerate(values)]
    for first in range(0, len(samples), cuts):
        best, before = merge_best(best, samples[first : first + cuts], {}, {}), best
        if before:
            assert best["loss"]["value"] <= before["loss"]["value"]
            assert best["acc"]["value"] >= before["acc"]["value"]
    finite = [float(f"{value:.6g}") for value in values if math.isfinite(value)]
    assert {name: entry["value"] for name, entry in best.items()} == (
        {"loss": min(finite), "acc": max(finite)} if finite else {}
    )
