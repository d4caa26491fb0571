"""What people see: the status fragment of a report."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.intake.view import (
    chosen_metric,
    fragment,
    short_duration,
    short_number,
    short_rate,
    status_order,
)

AT = 1_767_225_600.9  # 2026-01-01T00:00:00.9Z


def report(training: Training | None = None, **kwargs: Any) -> Report:
    fields: dict[str, Any] = {"incarnation": 1, "generation": 2, "sequence": 3, "state": "Running"} | kwargs
    return Report(member="chief-0", training=training, **fields)


def test_the_example_of_the_design() -> None:
    training = Training(
        step=620,
        total_steps=1000,
        epoch=6,
        total_epochs=10,
        eta_seconds=40.3,
        examples_per_second=9123.456789,
        metrics={"loss": 0.04811239, "accuracy": 0.98499},
    )
    assert fragment(report(training), AT) == {
        "training": {
            "incarnation": 1,
            "generation": 2,
            "sequence": 3,
            "state": "Running",
            "final": False,
            "lastReportTime": "2026-01-01T00:00:00Z",
            "step": 620,
            "totalSteps": 1000,
            "epoch": 6,
            "totalEpochs": 10,
            "percent": 62,
            "etaSeconds": 40.3,
            "examplesPerSecond": 9123.46,
            "metrics": {"loss": 0.0481124, "accuracy": 0.98499},
        },
        "display": {
            "progress": "62%",
            "epoch": "6/10",
            "loss": "0.0481",
            "metric": "accuracy=0.985",
            "speed": "9.1k ex/s",
            "eta": "41s",
        },
    }


def test_what_is_not_known_is_absent() -> None:
    shown = fragment(report(Training(step=5)), AT)
    assert set(shown["training"]) == {
        "incarnation",
        "generation",
        "sequence",
        "state",
        "final",
        "lastReportTime",
        "step",
    }
    assert shown["display"] == {}


def test_numbers_that_json_cannot_carry_are_texts() -> None:
    training = Training(metrics={"loss": math.nan, "up": math.inf, "down": -math.inf})
    shown = fragment(report(training), AT)
    assert shown["training"]["metrics"] == {"loss": "NaN", "up": "Infinity", "down": "-Infinity"}
    assert shown["display"] == {"loss": "NaN", "metric": "up=Infinity"}


def test_a_report_without_progress_keeps_what_is_shown_but_speed_and_time_left() -> None:
    before = fragment(
        report(Training(step=5, epoch=1, eta_seconds=9, examples_per_second=7, metrics={"loss": 1.5})), AT
    )
    after = fragment(report(sequence=4, state="Failed", final=True), AT, before)
    assert after["training"] == {
        "incarnation": 1,
        "generation": 2,
        "sequence": 4,
        "state": "Failed",
        "final": True,
        "lastReportTime": "2026-01-01T00:00:00Z",
        "step": 5,
        "epoch": 1,
        "metrics": {"loss": 1.5},
    }
    assert after["display"] == {"epoch": "1", "loss": "1.5"}


def test_what_others_own_is_never_in_the_fragment() -> None:
    before = {"phase": "Running", "display": {"members": "3/3"}, "training": {"best": {"loss": 1}}}
    after = fragment(report(), AT, before)
    assert set(after) == {"training", "display"}
    assert after["display"] == {}
    assert "best" not in after["training"]


def test_a_finished_job_has_no_time_left() -> None:
    shown = fragment(report(Training(percent=100, eta_seconds=0), state="Succeeded", final=True), AT)
    assert shown["display"] == {"progress": "100%"}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("loss accuracy val_accuracy", "val_accuracy"),
        ("loss val_loss val_f1 accuracy", "accuracy"),
        ("loss val_loss recall val_f1", "val_f1"),
        ("loss val_loss recall", "recall"),
        ("loss val_loss", None),
        ("", None),
    ],
)
def test_the_metric_column(names: str, chosen: str | None) -> None:
    assert chosen_metric(dict.fromkeys(names.split(), 0.5)) == chosen


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.04811, "0.0481"),
        (0.985, "0.985"),
        (1, "1"),
        (12.34, "12.3"),
        (999.6, "1e+03"),
        (1234.4, "1234"),
        (1.5e6, "1.5e+06"),
        (0.00000123, "1.23e-06"),
        (-3.14159, "-3.14"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.42, "0.42"), (9.13, "9.13"), (812.4, "812"), (999.7, "1.0k"), (9123, "9.1k"), (123_456, "123k")],
)
def test_short_rates(value: float, text: str) -> None:
    assert short_rate(value) == text


@pytest.mark.parametrize(("value", "text"), [(999_600, "1.0M"), (1.25e6, "1.2M"), (3e8, "300M")])
def test_short_rates_of_millions(value: float, text: str) -> None:
    assert short_rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (40.3, "41s"),
        (59.5, "1m00s"),
        (190, "3m10s"),
        (3599.9, "1h00m"),
        (7500, "2h05m"),
        (273_600, "3d04h"),
    ],
)
def test_short_durations(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


@pytest.mark.parametrize("percent", [99.999, 99.5])
def test_progress_says_100_only_at_the_end(percent: float) -> None:
    assert fragment(report(Training(percent=percent)), AT)["display"]["progress"] == "99%"


def test_the_order_is_read_back_from_the_status() -> None:
    assert status_order(fragment(report(), AT)["training"]) == (1, 2, 3)
    assert status_order({}) is None
    assert status_order({"incarnation": 1, "generation": None, "sequence": 3}) is None


trainings = st.builds(
    Training,
    step=st.none() | st.integers(0, 2**53 - 1),
    total_steps=st.none() | st.integers(0, 2**53 - 1),
    epoch=st.none() | st.integers(0, 2**53 - 1),
    total_epochs=st.none() | st.integers(0, 2**53 - 1),
    percent=st.none() | st.floats(0, 100),
    eta_seconds=st.none() | st.floats(0, 1e9),
    examples_per_second=st.none() | st.floats(0, 1e15),
    metrics=st.dictionaries(st.sampled_from(["loss", "accuracy", "val_x", "z/y.w"]), st.floats()),
)


@given(training=st.none() | trainings, final=st.booleans(), previous=st.none() | trainings)
def test_every_report_fits_the_schema_and_json(
    training: Training | None, final: bool, previous: Training | None
) -> None:
    before = fragment(report(previous), AT)
    shown = fragment(report(training, final=final, sequence=4), AT, before)
    TrainingJobStatus.model_validate(orjson.loads(orjson.dumps(shown)))
    assert all(len(text) <= 40 for text in shown["display"].values())
    assert status_order(shown["training"]) == (1, 2, 4)
