"""What the time since the job's start went to."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.api.status import GoodputStatus
from trainingjob_operator.core.goodput import Beat, Doing, account, add_beat, beat_of, shown_beat

START = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = shown_beat({})
PARTS = ("productiveSeconds", "startingSeconds", "restartingSeconds", "stalledSeconds")


def waiting(at: float) -> Beat:
    return Beat((1, 1, int(at)), START.timestamp() + at, Doing.WAITING)


def training(at: float, step: int | None = None, rate: float | None = None) -> Beat:
    return Beat((1, 1, int(at)), START.timestamp() + at, Doing.TRAINING, step, rate)


def told(*beats: Beat, interval: float = 5.0) -> dict[str, float]:
    """Return the goodput after these reports, written one by one."""
    goodput: dict[str, float] = {}
    before = NOWHERE
    for beat in beats:
        goodput = account(goodput, START, before, [beat], interval)
        before = beat
    return goodput


def test_time_before_the_first_step_is_starting_and_then_it_is_training() -> None:
    assert told(waiting(20), waiting(30), training(35)) == {"startingSeconds": 35}
    assert told(waiting(20), training(35), training(40), training(100)) == {
        "startingSeconds": 35, "productiveSeconds": 65, "ratio": 0.65,
    }  # fmt: skip


def test_a_new_generation_is_restarting_until_its_first_step() -> None:
    goodput = told(waiting(10), training(20), training(80), waiting(85), waiting(90), training(100), training(120))
    assert goodput == {
        "startingSeconds": 20, "productiveSeconds": 85, "restartingSeconds": 15, "ratio": round(85 / 120, 3),
    }  # fmt: skip


def test_before_the_jobs_first_step_every_generation_is_starting() -> None:
    assert told(waiting(10), waiting(50), training(60), training(70))["startingSeconds"] == 60


def test_a_program_that_reports_nothing_has_no_ratio_rather_than_none_of_it() -> None:
    assert told(waiting(10), waiting(3600)) == {"startingSeconds": 3600}


def test_a_chief_that_was_lost_did_not_train_until_the_next_one_came() -> None:
    """Reports come each 5 s: the last 280 s were no training."""
    goodput = told(waiting(10), training(20), training(100), waiting(410), training(420))
    assert (goodput["productiveSeconds"], goodput["restartingSeconds"]) == (80 + 30, 280 + 10)
    slow = told(waiting(10), training(20), training(100), waiting(410), training(420), interval=60)
    assert (slow["productiveSeconds"], slow["restartingSeconds"]) == (80 + 180, 130 + 10)


def test_what_was_trained_while_the_operator_was_away_counts() -> None:
    """10,000 steps at 10 a second are 1,000 s, of an hour without a report."""
    goodput = told(waiting(60), training(3660, step=10_000, rate=10.0))
    assert goodput == {"startingSeconds": 2660, "productiveSeconds": 1000, "ratio": round(1000 / 3660, 3)}
    assert told(training(10), training(3610))["productiveSeconds"] == 3600
    assert told(waiting(60), training(80, step=10_000, rate=10.0)) == {"startingSeconds": 80}, "a resumed job's first"
    assert told(training(3600, step=10_000, rate=10.0)) == {"startingSeconds": 3600}, "and so is this"


def test_a_clock_that_goes_back_costs_nothing() -> None:
    before = told(waiting(10), training(20), training(50))
    assert account(before, START, training(50), [training(30)], 5) == before
    assert account(before, START, training(50), [training(30), training(60)], 5)["productiveSeconds"] == 40


@pytest.mark.parametrize(
    ("state", "progress", "doing"),
    [
        ("Forming", Training(step=5), Doing.WAITING),
        ("Running", None, Doing.WAITING),
        ("Running", Training(total_steps=9), Doing.WAITING),
        ("Running", Training(step=0), Doing.TRAINING),
        ("Running", Training(metrics={"loss": 1}), Doing.TRAINING),
        ("Succeeded", Training(percent=100), Doing.TRAINING),
    ],
)
def test_what_a_report_tells(state: str, progress: Training | None, doing: Doing) -> None:
    assert beat_of(Report("chief-0", 1, 1, 1, state, training=progress), 7.0).doing is doing


def test_the_speed_follows_from_the_time_left() -> None:
    report = Report("chief-0", 1, 1, 1, "Running", training=Training(step=40, total_steps=100, eta_seconds=30))
    assert beat_of(report, 7.0) == Beat((1, 1, 1), 7.0, Doing.TRAINING, 40, 2.0)


@pytest.mark.parametrize(
    ("shown", "doing"),
    [
        ({}, Doing.WAITING),
        ({"state": "Running", "generation": 1}, Doing.WAITING),
        ({"state": "Running", "generation": 1, "step": 4}, Doing.TRAINING),
        ({"state": "Forming", "generation": 1, "step": 4}, Doing.WAITING),
        ({"state": "Running", "generation": 2, "step": 4, "history": [{"generation": 1}]}, Doing.WAITING),
        ({"state": "Running", "generation": 2, "step": 4, "history": [{"generation": 2}]}, Doing.TRAINING),
    ],
)
def test_what_a_status_tells_to_an_operator_that_has_just_started(shown: dict[str, Any], doing: Doing) -> None:
    assert shown_beat(shown).doing is doing


BEATS = st.lists(st.tuples(st.floats(0.2, 500), st.booleans(), st.none() | st.floats(0.01, 100)), max_size=60)


@given(told=BEATS, batch=st.integers(1, 20), interval=st.sampled_from([1, 5, 60]))
def test_the_parts_add_up_to_the_time_since_the_start(told: Any, batch: int, interval: float) -> None:
    at, beats = 0.0, []
    for pause, trains, rate in told:
        at += pause
        beats.append(training(at, int(at), rate) if trains else waiting(at))
    goodput: dict[str, float] = {}
    before = NOWHERE
    for first in range(0, len(beats), batch):
        flush: tuple[Beat, ...] = ()
        for beat in beats[first : first + batch]:
            flush = add_beat(flush, beat)
        after = account(goodput, START, before, flush, interval)
        for name in PARTS:
            assert after.get(name, 0) >= goodput.get(name, 0), "no part ever shrinks"
        goodput, before = after, flush[-1]
        GoodputStatus.model_validate(goodput)
        assert sum(goodput.get(name, 0) for name in PARTS) == pytest.approx(
            flush[-1].at - START.timestamp(), abs=0.21
        )
        assert ("ratio" in goodput) == ("productiveSeconds" in goodput)
        if "ratio" in goodput:  # rounded: a moment of eight minutes is 0
            share = goodput["productiveSeconds"] / sum(goodput.get(name, 0) for name in PARTS)
            assert 0 < share <= 1
            assert goodput["ratio"] == pytest.approx(share, abs=0.0006)


@given(told=BEATS, batch=st.integers(1, 31))
def test_it_does_not_matter_how_reports_are_put_together(told: Any, batch: int) -> None:
    """Only what an accounting rounds to: a tenth of a second a write."""
    at, beats = 0.0, []
    for pause, trains, rate in told:
        at += pause
        beats.append(training(at, None, rate) if trains else waiting(at))
    singly = account({}, START, NOWHERE, beats, 5)
    goodput: dict[str, float] = {}
    before = NOWHERE
    for first in range(0, len(beats), batch):
        flush: tuple[Beat, ...] = ()
        for beat in beats[first : first + batch]:
            flush = add_beat(flush, beat)
        goodput, before = account(goodput, START, before, flush, 5), flush[-1]
    for name in PARTS:
        assert goodput.get(name, 0) == pytest.approx(singly.get(name, 0), abs=0.1 * (len(beats) + 1))
