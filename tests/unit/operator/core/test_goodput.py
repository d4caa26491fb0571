"""What the time since the job's start went to."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Ledger, Report, Training
from trainingjob_operator.api.status import GoodputStatus
from trainingjob_operator.core.goodput import Beat, Doing, account, add_beat, beat_of, shown_beat

START = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = shown_beat({}, {})
PARTS = ("productiveSeconds", "startingSeconds", "restartingSeconds", "stalledSeconds")


def waiting(at: float) -> Beat:
    return Beat((1, 1, int(at)), START.timestamp() + at, Doing.WAITING)


def training(at: float, step: int | None = None, rate: float | None = None) -> Beat:
    return Beat((1, 1, int(at)), START.timestamp() + at, Doing.TRAINING, step, rate)


def repeating(at: float, step: int, highest: int) -> Beat:
    return Beat((1, 2, int(at)), START.timestamp() + at, Doing.REPEATING, step, None, highest)


def stalled(at: float, still: float) -> Beat:
    return Beat((1, 1, int(at)), START.timestamp() + at, Doing.STALLED, still=still)


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


def test_steps_that_were_done_before_are_no_progress() -> None:
    """100 steps a minute; it fails at step 300, a checkpoint is at 200: a minute is done twice."""
    goodput = told(
        waiting(10), training(20, 0), training(200, 300), waiting(202), waiting(208),
        repeating(210, 205, 300), repeating(250, 270, 300), training(280, 320), training(340, 420),
    )  # fmt: skip
    assert goodput["productiveSeconds"] == 182 + 30 * 20 / 50 + 60
    assert goodput["restartingSeconds"] == 6 + 2 + 40 + 30 * 30 / 50, "of the time between, the share of old steps"
    assert sum(goodput[part] for part in PARTS if part in goodput) == 340


def test_a_generation_that_fails_while_it_repeats_adds_nothing() -> None:
    goodput = told(waiting(10), training(20, 0), training(200, 300), waiting(202), repeating(210, 205, 300))
    again = told(
        waiting(10), training(20, 0), training(200, 300), waiting(202), repeating(210, 205, 300), waiting(230),
        repeating(240, 205, 300), training(250, 301),
    )  # fmt: skip
    assert again["productiveSeconds"] == pytest.approx(goodput["productiveSeconds"] + 10 / 96, abs=0.11)


def test_a_stall_takes_back_what_was_taken_for_training() -> None:
    """Reports come each 10 s, also without steps; after 60 s without one the gang says that it stalls."""
    seconds = [training(at, step=7) for at in range(20, 100, 10)]
    goodput = told(waiting(10), *seconds, stalled(100, 60), stalled(110, 70), training(120, step=8), training(130))
    assert goodput == {
        "startingSeconds": 20, "productiveSeconds": 30, "stalledSeconds": 80, "ratio": round(30 / 130, 3),
    }  # fmt: skip


def test_a_stall_that_ends_in_a_restart_ends_with_its_generation() -> None:
    goodput = told(
        waiting(10), training(20), training(80), stalled(90, 30), waiting(100), waiting(110), training(115)
    )
    assert (goodput["stalledSeconds"], goodput["restartingSeconds"]) == (40, 15)
    assert goodput["productiveSeconds"] == 40


def test_a_stall_before_the_first_step_of_a_generation_was_no_training() -> None:
    assert told(waiting(10), waiting(300), stalled(700, 600)) == {"startingSeconds": 100, "stalledSeconds": 600}


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
        ("Restarting", Training(step=5), Doing.WAITING),
        ("Terminated", Training(step=5), Doing.WAITING),
        ("Running", Training(step=50, resumed_step=50), Doing.WAITING),
        ("Running", Training(step=51, resumed_step=50), Doing.TRAINING),
    ],
)
def test_what_a_report_tells(state: str, progress: Training | None, doing: Doing) -> None:
    assert beat_of(Report("chief-0", 1, 1, 1, state, training=progress), 7.0).doing is doing


@pytest.mark.parametrize(
    ("generation", "step", "doing"),
    [(2, 99, Doing.REPEATING), (2, 100, Doing.TRAINING), (2, 101, Doing.TRAINING), (1, 99, Doing.TRAINING)],
)
def test_the_ledger_says_which_steps_are_new(generation: int, step: int, doing: Doing) -> None:
    """In the first generation none was done before: a program may count as it likes."""
    report = Report(
        "chief-0", 1, generation, 1, "Running", training=Training(step=step), ledger=Ledger(generation, step=100)
    )
    assert beat_of(report, 7.0).doing is doing
    shown = {"state": "Running", "generation": generation, "step": step}
    assert shown_beat(shown, {"ledger": {"step": 100}}).doing is doing


def test_a_stall_is_told() -> None:
    report = Report("chief-0", 1, 1, 1, "Running", training=Training(step=5), stalled=61.5)
    assert (beat_of(report, 7.0).doing, beat_of(report, 7.0).still) == (Doing.STALLED, 61.5)
    assert shown_beat({"state": "Running", "generation": 1, "step": 5}, {"stalledSeconds": 62}).doing is Doing.STALLED


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
    assert shown_beat(shown, {}).doing is doing


KINDS = st.sampled_from(["training", "training", "waiting", "repeating", "stalled"])
BEATS = st.lists(st.tuples(st.floats(0.2, 500), KINDS, st.none() | st.floats(0.01, 100)), max_size=60)


def as_beats(told: Any) -> list[Beat]:
    """Return beats at rising times. A gang that stalls says for how long, in whole pauses of up to 100 s."""
    at, beats = 0.0, []
    for pause, kind, rate in told:
        at += pause
        if kind == "training":
            beats.append(training(at, int(at), rate))
        elif kind == "repeating":
            beats.append(repeating(at, int(at), int(at) + 100))
        else:
            beats.append(waiting(at) if kind == "waiting" else stalled(at, min(at, 3 * pause)))
    return beats


def in_flushes(beats: list[Beat], batch: int) -> list[tuple[Beat, ...]]:
    """Return the beats as they wait for a write, so many reports each."""
    flushes = []
    for first in range(0, len(beats), batch):
        flush: tuple[Beat, ...] = ()
        for beat in beats[first : first + batch]:
            flush = add_beat(flush, beat)
        flushes.append(flush)
    return flushes


@given(told=BEATS, batch=st.integers(1, 20), interval=st.sampled_from([1, 5, 60]))
def test_the_parts_add_up_to_the_time_since_the_start(told: Any, batch: int, interval: float) -> None:
    goodput: dict[str, float] = {}
    before = NOWHERE
    for flush in in_flushes(as_beats(told), batch):
        after = account(goodput, START, before, flush, interval)
        stalls = any(beat.doing is Doing.STALLED for beat in flush)
        for name in PARTS:
            assert after.get(name, 0) >= goodput.get(name, 0) or stalls, "no part ever shrinks, but by a stall"
        assert after.get("stalledSeconds", 0) >= goodput.get("stalledSeconds", 0)
        goodput, before = after, flush[-1]
        GoodputStatus.model_validate(goodput)
        assert all(goodput.get(name, 0) >= 0 for name in PARTS)
        assert sum(goodput.get(name, 0) for name in PARTS) == pytest.approx(
            flush[-1].at - START.timestamp(), abs=0.21
        )
        assert ("ratio" in goodput) == ("productiveSeconds" in goodput)
        if "ratio" in goodput:
            share = goodput["productiveSeconds"] / sum(goodput.get(name, 0) for name in PARTS)
            assert 0 < share <= 1
            assert goodput["ratio"] == pytest.approx(share, abs=0.00051)


@given(told=BEATS, batch=st.integers(1, 31))
def test_it_does_not_matter_how_reports_are_put_together(told: Any, batch: int) -> None:
    """Only what an accounting rounds to: a tenth of a second a write."""
    told = [one for one in told if one[1] in ("training", "waiting")]
    beats = as_beats(told)
    singly = account({}, START, NOWHERE, beats, 5)
    goodput: dict[str, float] = {}
    before = NOWHERE
    for flush in in_flushes(beats, batch):
        goodput, before = account(goodput, START, before, flush, 5), flush[-1]
    for name in PARTS:
        assert goodput.get(name, 0) == pytest.approx(singly.get(name, 0), abs=0.1 * (len(beats) + 1))
