"""Time to go and speed, on schedules as training programs have them, with a clock of our own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.pace import Pace
from trainingjob_launcher.progress import Progress

REPORT_SECONDS = 0.2


def run(
    total: int,
    seconds: Callable[[int], float],
    pause: Callable[[int], float] = lambda step: 0.0,
    compiling: float = 8.0,
    jitter: float = 0.0,
    spacing: float = REPORT_SECONDS,
) -> Iterator[tuple[float, int]]:
    """Yield the (time, step) that a trainer reports: at its start, each `spacing` seconds, and after a pause."""
    dice = random.Random(7)
    now, said = compiling, 0.0
    yield 0.0, 0
    for step in range(1, total + 1):
        now += seconds(step) * (1 + jitter * dice.uniform(-1, 1))
        if now - said >= spacing or step == total or pause(step):
            said = now
            yield now, step
        if pause(step):
            now += pause(step)
            yield now, step


def told(
    reports: Iterator[tuple[float, int]], total: int, epochs: int | None = None
) -> list[tuple[int, float, float]]:
    """Return (step, time to go as told, as it was) of each report that tells it."""
    progress = Progress()
    seen = []
    for now, step in reports:
        document = {"step": step, "totalSteps": total, "time": now}
        if epochs:
            document.update(epoch=min(epochs, step * epochs // total + 1), totalEpochs=epochs)
        progress.take(document, now)
        seen.append((now, step, progress.training().eta_seconds))
    end = seen[-1][0]
    return [(step, eta, end - now) for now, step, eta in seen if eta is not None]


def validation(step: int) -> float:
    return 4.0 if step % 100 == 0 else 0.0


def test_validation_is_part_of_the_time_to_go_and_no_epochs_end_is_a_jump() -> None:
    """10 epochs of 100 steps of 50 ms, 4 s of validation each, 8 s of compiling: 98 s."""
    seen = told(run(1000, lambda _: 0.05, validation), 1000, 10)
    assert all(abs(eta - true) <= 4.1 for step, eta, true in seen if step > 100)  # one validation, early or late
    steady = [(step, eta) for step, eta, _ in seen if step > 100]
    for (before, earlier), (after, later) in itertools.pairwise(steady):
        assert later <= earlier + 0.1, (before, after)  # never longer
        assert earlier - later <= 0.1 + 0.1 * (after - before), (before, after)  # and no leap


def test_what_compiling_costs_is_not_extrapolated() -> None:
    """Not for a moment: it would be 800 s here."""
    seen = told(run(1000, lambda _: 0.05, compiling=8.0), 1000)
    assert max(eta for _, eta, _ in seen) <= 50.0
    assert all(abs(eta - true) <= 1.0 for _, eta, true in seen)


CASES: dict[str, tuple[Iterator[tuple[float, int]], int, int | None, float, float]] = {
    # name: reports, steps, epochs as told, share of the run after which it holds, worst error as a share of the run
    "steps that vary": (run(2000, lambda _: 0.05, jitter=0.5), 2000, None, 0.05, 0.05),
    "steps that vary, told once a second": (run(2000, lambda _: 0.05, jitter=0.5, spacing=1.0), 2000, None, 0.05, 0.06),
    "validation, told once a second": (run(1000, lambda _: 0.05, validation, spacing=1.0), 1000, 10, 0.21, 0.05),
    "epochs are not told": (run(1000, lambda _: 0.05, validation, jitter=0.3), 1000, None, 0.1, 0.06),
    "validation and saves": (
        run(1000, lambda _: 0.05, lambda s: validation(s) + (1.0 if s % 70 == 0 else 0.0), jitter=0.3),
        1000, 10, 0.1, 0.08,
    ),
    "the first validation compiles": (
        run(1000, lambda _: 0.05, lambda s: validation(s) / 4 + (6.0 if s == 100 else 0.0), jitter=0.3),
        1000, 10, 0.21, 0.04,
    ),
    "the second step compiles, too": (run(2000, lambda s: 6.0 if s == 2 else 0.05), 2000, None, 0.01, 0.06),
    "slow steps": (run(60, lambda _: 10.0, lambda s: 30.0 if s % 20 == 0 else 0.0, 60.0, 0.1), 60, 3, 0.34, 0.1),
    "slow steps that vary": (run(200, lambda _: 20.0, jitter=0.5), 200, None, 0.1, 0.1),
    "few long epochs": (run(3000, lambda _: 0.05, lambda s: 20.0 if s % 1000 == 0 else 0.0), 3000, 3, 0.34, 0.12),
    "it slows down to a tenth": (run(2000, lambda s: 0.05 if s < 500 else 0.5, jitter=0.3), 2000, None, 0.4, 0.07),
    "a single pause, for good": (run(2000, lambda _: 0.05, lambda s: 10.0 if s == 50 else 0.0), 2000, None, 0.4, 0.16),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_time_to_go_is_about_right(
    case: tuple[Iterator[tuple[float, int]], int, int | None, float, float],
) -> None:
    reports, total, epochs, after, worst = case
    seen = told(reports, total, epochs)
    length = seen[0][2]
    errors = [(abs(eta - true) / length, step) for step, eta, true in seen if step > after * total]
    assert max(errors) <= (worst, total), max(errors)


def test_speed_is_that_of_steps_and_stays_through_a_validation() -> None:
    pace = Pace()
    for now, step in run(500, lambda _: 0.05, validation):
        pace.advance(step, now)
        if step > 20:
            assert pace.speed == pytest.approx(20.0, rel=0.02)


def test_slower_training_is_no_row_of_pauses() -> None:
    pace = Pace()
    for now, step in run(400, lambda s: 0.05 if s < 200 else 2.0):
        pace.advance(step, now)
    assert pace.speed == pytest.approx(0.5, rel=0.05)


def test_nothing_is_known_before_there_is_something_to_compare() -> None:
    pace = Pace()
    assert (pace.speed, pace.seconds_to(100)) == (None, None)
    pace.advance(0, 0.0)
    assert (pace.speed, pace.seconds_to(100)) == (None, None)
    pace.advance(1, 30.0)  # this compiled
    assert (pace.speed, pace.seconds_to(100)) == (None, None)


schedules = st.builds(
    lambda step, length, pause, compiling, jitter, epochs: (
        run(epochs * length, lambda _: step, lambda s: pause if s % length == 0 else 0.0, compiling, jitter),
        epochs * length,
        epochs,
    ),
    st.floats(0.01, 1.0),
    st.integers(40, 120),
    st.floats(2.0, 10.0),
    st.floats(0.0, 30.0),
    st.floats(0.0, 0.3),
    st.integers(4, 8),
)


@given(schedules)
def test_after_two_epochs_it_is_right_but_for_a_validation(
    schedule: tuple[Iterator[tuple[float, int]], int, int],
) -> None:
    reports, total, epochs = schedule
    seen = told(reports, total, epochs)
    length = seen[0][2]
    for step, eta, true in seen:
        if step > 2 * total // epochs:
            assert abs(eta - true) <= 10.5 + 0.1 * length


moments = st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e5)), max_size=30)


@given(moments, st.integers(1, 10**6), st.none() | st.floats(0.1, 1e4))
def test_whatever_comes_speed_and_time_are_unknown_or_numbers(
    said: list[tuple[int, float]], end: int, cycle: float | None
) -> None:
    pace, now = Pace(), 0.0
    for position, passed in said:
        now += passed
        pace.advance(position, now)
        assert pace.speed is None or pace.speed > 0
        for rough in (True, False):
            left = pace.seconds_to(end, cycle, rough)
            assert left is None or 0 <= left < float("inf")
