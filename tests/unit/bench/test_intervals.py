"""How sure a median is, and values that are held against a limit."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.intervals import median_interval, quantile
from tests.bench.pairs import HEADER, Result, Target, table
from tests.bench.samples import Sample


def test_the_ranks_are_those_of_the_tables() -> None:
    """Order statistics for 95 %: 1 and 6 of 6, 2 and 9 of 10, 10 and 21 of 30, 40 and 61 of 100."""
    for count, low, high in ((6, 1, 6), (10, 2, 9), (30, 10, 21), (100, 40, 61)):
        assert median_interval(range(1, count + 1)) == (low, high)


@pytest.mark.parametrize("count", range(6))
def test_five_values_are_too_few(count: int) -> None:
    assert median_interval([1.0] * count) is None


def test_it_holds_the_true_median_nineteen_times_in_twenty() -> None:
    lots, times, held = random.Random(1), 2000, 0
    for _ in range(times):
        low, high = median_interval([lots.expovariate(1.0) for _ in range(40)]) or (0.0, 0.0)
        held += low <= 0.6931 <= high
    assert 0.94 <= held / times <= 0.975


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=300))
def test_the_interval_is_made_of_values_around_the_median(values: list[float]) -> None:
    low, high = median_interval(values) or (0.0, 0.0)
    assert low in values
    assert high in values
    assert low <= sorted(values)[len(values) // 2] <= high


def test_a_quantile() -> None:
    assert quantile([3.0], 0.95) == 3.0
    assert quantile(range(101), 0.95) == pytest.approx(95.0)
    assert quantile([1.0, 2.0], 0.5) == pytest.approx(1.5)


def test_half_a_percent_can_be_told() -> None:
    """Pairs that spread by 3 % tell a loss of 2 % from none, once there are 300 of them."""
    lots = random.Random(1)

    def result(loss: float) -> Result:
        pairs = [(lots.gauss(100, 3) * (1 - loss), lots.gauss(100, 3)) for _ in range(300)]
        return Result("a", "with", "without", "img/s", Target(at_least=0.995), pairs)

    assert result(0.0).met
    slow = result(0.02)
    assert not slow.met
    low, high = slow.document()["interval"]
    assert 0.97 < low < high < 0.995


def test_a_sample_is_held_against_its_limit() -> None:
    sample = Sample("visible", "s", 2.0, [1.0, 1.5, 9.0], notes={"answers": {"204": 3}})
    assert (sample.value, sample.met) == (1.5, True)
    assert Sample("visible", "s", 1.4, [1.0, 1.5, 9.0]).met is False
    assert json.loads(json.dumps(sample.document()))["95 %"] == pytest.approx(8.25, abs=0.1)
    assert "answers: {'204': 3}" in sample.sentence()


def test_a_rate_is_a_mean() -> None:
    """Seconds of 40 and of none are 20 a second."""
    rate = Sample("writes", "a second", 20.0, [40.0, 0.0, 40.0, 0.0, 20.0], mean=True)
    assert (rate.value, rate.met) == (20.0, True)


def test_results_and_samples_make_one_table() -> None:
    result = Result("speed", "ours", "theirs", "img/s", Target(at_least=0.95), pairs=[(96, 100)] * 6)
    text = table([result, Sample("visible", "s", 2.0, [0.25] * 6)]).splitlines()
    assert text[0].split() == " ".join(HEADER).split()
    assert "96.0% … 96.0%" in text[1]
    assert text[2].split()[-4:] == ["≤", "2", "s", "yes"]
    assert len(result.row()) == len(Sample("visible", "s", 2.0, [0.25]).row()) == len(HEADER)
