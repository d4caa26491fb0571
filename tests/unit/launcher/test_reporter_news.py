"""Reports that only hold what the gang uses go each interval too: what the trainer says must not wait behind them."""

from __future__ import annotations

import itertools

from tests.unit.launcher.test_reporter_time import INTERVAL, Simulated
from trainingjob_launcher.contract import Report, Training

TAKEN = (0.0, (204, None))


def report(sequence: int, step: int, eta: float = 1.0) -> Report:
    return Report(
        "chief-0", 1, 1, sequence, "Running", training=Training(step=step, eta_seconds=eta, metrics={"loss": 1.0})
    )


def beating(until: float) -> tuple[Simulated, int]:
    """A trainer that was heard at 0, and then only the gang's use of CPU and memory, each second."""
    reporter = Simulated([TAKEN])
    reporter.offer(report(1, step=1))
    sequence = 1
    while reporter.now < until:
        reporter.until(reporter.now + 1.0)
        sequence += 1
        reporter.offer(report(sequence, step=1, eta=float(sequence)))
    return reporter, sequence


def test_news_do_not_wait_behind_a_sign_of_life() -> None:
    reporter, sequence = beating(until=4 * INTERVAL + 2)
    began = reporter.now
    assert began - reporter.posts[-1][0] < INTERVAL, "one has just gone"
    reporter.offer(report(sequence + 1, step=2))
    reporter.until(began + 0.1)
    assert (reporter.posts[-1][1].sequence, reporter.posts[-1][0]) == (sequence + 1, began)


def test_news_wait_for_earlier_news() -> None:
    reporter, sequence = beating(until=4 * INTERVAL + 2)
    reporter.offer(report(sequence + 1, step=2))
    reporter.until(reporter.now + 0.1)
    told = reporter.posts[-1][0]
    reporter.offer(report(sequence + 2, step=3))
    reporter.until(told + 2 * INTERVAL)
    assert reporter.posts[-1][0] - told >= INTERVAL


def test_signs_of_life_are_an_interval_apart() -> None:
    reporter, _ = beating(until=10 * INTERVAL)
    times = [post[0] for post in reporter.posts]
    assert all(b - a >= INTERVAL for a, b in itertools.pairwise(times))
