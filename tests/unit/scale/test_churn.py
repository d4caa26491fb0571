"""A leak is a slope over the later waves, not what is taken once."""

from __future__ import annotations

import pytest

from tests.scale.churn import JOBS_DONE, growth, series

METRICS = """# HELP trainingjob_operator_queue_depth Jobs
# TYPE trainingjob_operator_queue_depth gauge
trainingjob_operator_queue_depth 3.0
trainingjob_operator_cached_objects{watch="jobs"} 5.0
trainingjob_operator_cached_objects{watch="pods"} 7.0
trainingjob_phase{name="a b",namespace="c",phase="Running"} 1.0

"""


def test_series_are_counted_and_a_familys_values_added() -> None:
    assert series(METRICS) == {
        "series": 4,
        "trainingjob_operator_queue_depth": 3.0,
        "trainingjob_operator_cached_objects": 12.0,
    }


def test_memory_that_is_taken_once_is_no_leak() -> None:
    found = growth([{JOBS_DONE: wave * 100, "memory": 50.0 if wave < 4 else 80.0} for wave in range(1, 13)])
    assert found == {"memory": 0.0}


def test_a_leak_is_told_for_a_thousand_jobs() -> None:
    found = growth([{JOBS_DONE: wave * 100, "memory": 50.0 + wave * 0.5} for wave in range(1, 13)])
    assert found["memory"] == pytest.approx(5.0)


def test_with_few_waves_there_is_no_slope() -> None:
    assert growth([]) == growth([{JOBS_DONE: wave, "memory": 1.0} for wave in range(1, 4)]) == {}


def test_a_figure_that_is_missing_somewhere_is_left_out() -> None:
    samples = [{JOBS_DONE: float(wave), "threads": 4.0} for wave in range(1, 7)]
    samples[-1]["files"] = 1.0
    assert growth(samples) == {"threads": 0.0}
