"""What people see: the status fragment of a report."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Extremes, Report, Telemetry, Training
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.intake.pending import NOTHING
from trainingjob_operator.intake.view import (
    REPORTING,
    chosen_metric,
    fragment,
    late_fragment,
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
            "best": {"loss": {"value": 0.0481124, "step": 620}, "accuracy": {"value": 0.98499, "step": 620}},
            "history": [
                {
                    "time": "2026-01-01T00:00:00Z",
                    "generation": 2,
                    "step": 620,
                    "epoch": 6,
                    "examplesPerSecond": 9123.46,
                    "metrics": {"loss": 0.0481124, "accuracy": 0.98499},
                }
            ],
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
        "history",
    }
    assert shown["training"]["history"] == [{"time": "2026-01-01T00:00:00Z", "generation": 2, "step": 5}]
    assert shown["display"] == {}


def test_numbers_that_json_cannot_carry_are_texts() -> None:
    training = Training(metrics={"loss": math.nan, "up": math.inf, "down": -math.inf})
    shown = fragment(report(training), AT)
    assert shown["training"]["metrics"] == {"loss": "NaN", "up": "Infinity", "down": "-Infinity"}
    assert shown["display"] == {"loss": "NaN", "metric": "up=Infinity"}


@pytest.mark.parametrize("nothing", [None, Training(), Training(total_steps=50)])
def test_a_report_without_progress_keeps_what_is_shown_but_speed_and_time_left(nothing: Training | None) -> None:
    before = fragment(
        report(Training(step=5, epoch=1, eta_seconds=9, examples_per_second=7, metrics={"loss": 1.5})), AT
    )
    after = fragment(report(nothing, sequence=4, state="Failed", final=True), AT, before)
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
        "best": before["training"]["best"],
        "history": before["training"]["history"],
    }
    assert after["display"] == {"epoch": "1", "loss": "1.5"}


def test_the_last_values_survive_a_report_without_progress_that_overtakes_them() -> None:
    """The one with the values was never written: the trainer died within the interval."""
    before = fragment(report(Training(step=5, metrics={"loss": 1.5})), AT)
    said = NOTHING.plus(report(Training(step=7, eta_seconds=4, metrics={"loss": 1.25}), sequence=4), AT + 1)
    died = report(None, sequence=5, state="Failed", final=True)
    after = fragment(died, AT + 2, before, pending=said.plus(died, AT + 2))
    assert (after["training"]["step"], after["training"]["metrics"]) == (7, {"loss": 1.25})
    assert "etaSeconds" not in after["training"]
    assert [point["step"] for point in after["training"]["history"]] == [5, 7]
    assert after["training"]["best"] == {"loss": {"value": 1.25, "step": 7}}
    assert after["display"] == {"loss": "1.25"}


def test_best_values_arrive_also_with_a_report_of_no_step() -> None:
    """The trainer of the next generation died before its first step: its launcher remembers the one before."""
    died = report(Training(extremes={"loss": Extremes(0.25, 9.0, 40, 1)}), sequence=9, state="Failed", final=True)
    assert fragment(died, AT)["training"]["best"] == {"loss": {"value": 0.25, "step": 40}}


def test_what_others_own_is_never_in_the_fragment() -> None:
    before = {"phase": "Running", "display": {"members": "3/3", "node": "n", "loss": "2"}, "restarts": {"total": 1}}
    after = fragment(report(), AT, before)
    assert set(after) == {"training", "display"}
    assert after["display"] == {"loss": "2"}
    before |= fragment(report(Training(metrics={"loss": 2.0})), AT, before)
    late = late_fragment(before, REPORTING, NOTHING.plus(report(Training(step=1), sequence=2), AT - 1))
    assert late is not None
    assert set(late) == {"training", "display"}
    assert late["display"] == {"loss": "2"}


def test_a_new_generation_takes_back_what_was_lost_but_no_best_value() -> None:
    before = fragment(report(Training(step=440, metrics={"accuracy": 0.7})), AT)
    before = fragment(report(Training(step=500, metrics={"accuracy": 0.9}), sequence=4), AT + 1, before)
    forming = fragment(report(generation=3, sequence=0, state="Forming"), AT + 5, before)
    assert [p["step"] for p in forming["training"]["history"]] == [440, 500], "nobody knows yet where it goes on"
    again = report(Training(step=451, resumed_step=450, metrics={"accuracy": 0.8}), generation=3)
    running = fragment(again, AT + 9, forming)
    assert [(p["generation"], p["step"]) for p in running["training"]["history"]] == [(2, 440), (3, 451)]
    assert running["training"]["best"] == {"accuracy": {"value": 0.9, "step": 500}}
    assert running["training"]["step"] == 451


def test_a_restart_does_not_make_the_numbers_jump() -> None:
    """What was reached stays until the next generation says where it is; speed and time left go meanwhile."""
    trains = Training(step=500, total_steps=1000, eta_seconds=50, examples_per_second=640, metrics={"loss": 0.5})
    shown = fragment(report(trains), AT)
    for sequence, (state, generation, said) in enumerate(
        [
            ("Restarting", 2, trains),
            ("Forming", 2, None),
            ("Running", 3, None),
            ("Running", 3, Training(total_steps=1000, resumed_step=450)),
        ],
        4,
    ):
        shown = fragment(report(said, state=state, generation=generation, sequence=sequence), AT + sequence, shown)
        assert shown["display"] == {"progress": "50%", "loss": "0.5"}
        assert (shown["training"]["step"], shown["training"]["percent"]) == (500, 50)
        assert not {"etaSeconds", "examplesPerSecond"} & set(shown["training"])
    assert shown["training"]["resumedStep"] == 450
    on = Training(step=455, total_steps=1000, resumed_step=450, eta_seconds=60, examples_per_second=600)
    shown = fragment(report(on, generation=3, sequence=8), AT + 9, shown)
    assert (shown["display"]["progress"], shown["display"]["eta"]) == ("45%", "1m00s")


def test_where_a_generation_went_on_is_not_said_of_the_next() -> None:
    shown = fragment(report(Training(step=451, resumed_step=450)), AT)
    assert fragment(report(state="Restarting", sequence=4), AT, shown)["training"]["resumedStep"] == 450
    assert "resumedStep" not in fragment(report(generation=3), AT, shown)["training"]
    assert "resumedStep" not in fragment(report(incarnation=2), AT, shown)["training"]


def test_the_spec_says_how_much_history_which_metric_and_what_is_better() -> None:
    training = Training(step=1, metrics={"loss": 2.0, "accuracy": 0.5, "cost": 3.0})
    wanted = Reporting(history=0, metric="cost", best={"cost": "min"})
    shown = fragment(report(training), AT, None, wanted)
    assert "history" not in shown["training"]
    assert shown["training"]["best"]["cost"] == {"value": 3, "step": 1}
    assert shown["display"]["metric"] == "cost=3"
    assert fragment(report(training), AT, None, Reporting(metric="no"))["display"]["metric"] == "accuracy=0.5"


def test_telemetry_stays_while_the_gang_lives() -> None:
    used = Telemetry(cpu_cores=1.5, memory_bytes=2e9)
    before = fragment(report(telemetry=used), AT)
    assert before["telemetry"] == {"cpuCores": 1.5, "memoryBytes": 2_000_000_000}
    assert fragment(report(sequence=4), AT, before)["telemetry"] == before["telemetry"]
    assert "telemetry" not in fragment(report(sequence=4, final=True, telemetry=used), AT, before)


def test_goodput_is_shown_once_there_was_a_step() -> None:
    start = {"startTime": "2026-01-01T00:00:00Z"}
    first = start | fragment(report(state="Forming"), AT + 30, start)
    assert (first["goodput"], first["display"]) == ({"startingSeconds": 30.9}, {})
    step = start | fragment(report(Training(step=1), sequence=4), AT + 40, first)
    after = fragment(report(Training(step=9), sequence=5), AT + 400, step)
    assert after["goodput"] == {"startingSeconds": 40.9, "productiveSeconds": 360, "ratio": 0.898}
    assert after["display"]["goodput"] == "89%", "never rounded up to what was not reached"
    assert "goodput" not in fragment(report(Training(step=9)), AT, {}), "the reconciler has not met the job yet"


def test_time_in_which_a_job_was_suspended_is_no_time() -> None:
    """It ran for 100 s, was suspended for an hour, and began anew then."""
    before = {"startTime": "2026-01-01T00:00:00Z", "phase": "Running"}
    before |= fragment(report(Training(step=1)), AT + 19.1, before)
    before |= fragment(report(Training(step=9), sequence=4), AT + 89.1, before)
    assert before["goodput"] == {"startingSeconds": 20, "productiveSeconds": 70, "ratio": 0.778}
    before |= {"phase": "Suspended", "activeSeconds": 100.0}
    ended = report(Training(step=9), sequence=5, state="Terminated", final=True)
    before |= fragment(ended, AT + 104.1, before)
    assert before["goodput"] == {"startingSeconds": 20, "productiveSeconds": 70, "ratio": 0.778}
    before.pop("startTime")
    assert fragment(ended, AT + 104.1, before)["goodput"] == before["goodput"]
    before |= {"startTime": "2026-01-01T01:00:00Z", "phase": "Starting"}
    resumed = report(incarnation=2, generation=3, state="Forming")
    before |= fragment(resumed, AT + 3609.1, before)
    assert before["goodput"] == {
        "startingSeconds": 20, "productiveSeconds": 70, "restartingSeconds": 20, "ratio": 0.636,
    }  # fmt: skip


def test_whoever_took_the_last_report_knows_that_it_told_of_no_step() -> None:
    """The status does not: progress of the generation before stays in it, and here it has no history."""
    wanted = Reporting(history=0)
    shown = {"startTime": "2026-01-01T00:00:00Z"}
    said = NOTHING
    goodput = {}
    for second, generation, training in (
        (10, 2, Training(step=5)),
        (20, 2, Training(step=9)),
        (25, 3, None),
        (60, 3, Training(step=9)),
    ):
        message = report(training, generation=generation, sequence=second)
        carried = said.plus(message, AT + second)
        shown |= fragment(message, AT + second, shown, wanted, carried)
        said = carried.without(carried)
        goodput = shown["goodput"]
    assert goodput["restartingSeconds"] == 35


def test_a_late_report_adds_to_the_past_alone() -> None:
    start = {"startTime": "2026-01-01T00:00:00Z"}
    newest = report(
        Training(step=8, eta_seconds=3, metrics={"loss": 2.0}), sequence=8, telemetry=Telemetry(cpu_cores=1)
    )
    shown = start | fragment(newest, AT + 8, start)
    ours = NOTHING.plus(report(Training(step=6, metrics={"loss": 1.0}), sequence=6), AT + 6)
    late = late_fragment(shown, REPORTING, ours)
    assert late is not None
    assert [point["step"] for point in late["training"].pop("history")] == [6, 8]
    assert late["training"].pop("best") == {"loss": {"value": 1, "step": 6}}
    for name in ("history", "best"):
        shown["training"].pop(name)
    assert late == {name: shown[name] for name in ("training", "display", "telemetry", "goodput")}


def test_a_late_report_that_adds_nothing_is_not_written() -> None:
    one = report(Training(step=6, metrics={"loss": 1.0}), sequence=6)
    shown = fragment(one, AT)
    assert late_fragment(shown, REPORTING, NOTHING.plus(one, AT)) is None
    zero = Training(step=900, metrics={"loss": 0.0}, extremes={"loss": Extremes(0.0, 9.0)})
    old = report(zero, generation=1, sequence=99)
    assert late_fragment(shown, REPORTING, NOTHING.plus(old, AT + 5)) is None, "a fenced chief's"


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
