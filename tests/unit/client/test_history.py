"""From a history of points to series: later generations win."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.jobs import point, running
from trainingjob_client.view.history import metric_names, series, standing
from trainingjob_client.view.job import read_job
from trainingjob_client.view.training import Point


def history(*points: dict[str, Any]) -> tuple[Point, ...]:
    job = running()
    job["status"]["training"]["history"] = list(points)
    return read_job(job).training.history


def test_a_series_is_by_step() -> None:
    found = series(history(point(10, loss=1.0), point(20, loss=0.5, f1=0.1)), "loss")
    assert (found.points, found.unit) == (((10, 1.0), (20, 0.5)), "steps")
    assert series(history(point(10, loss=1.0), point(20, loss=0.5, f1=0.1)), "f1").points == ((20, 0.1),)


def test_steps_done_twice_are_the_later_generations() -> None:
    found = series(
        history(
            point(10, 1, loss=1.0), point(20, 1, loss=0.9), point(30, 1, loss=0.8),
            point(20, 2, loss=0.7), point(40, 2, loss=0.6),
        ),
        "loss",
    )  # fmt: skip
    assert found.points == ((10, 1.0), (20, 0.7), (40, 0.6))
    assert found.generations == (20,)


def test_a_rare_metric_is_undone_with_its_generation() -> None:
    found = series(
        history(point(10, 1, loss=1.0), point(30, 1, loss=0.8, val_loss=0.8), point(20, 2, loss=0.7)), "val_loss"
    )
    assert found.points == ()


def test_a_program_without_steps_is_drawn_by_time() -> None:
    found = series(
        history(
            point(None, time="2026-11-22T12:00:00Z", loss=1.0), point(None, time="2026-11-22T12:00:30Z", loss=0.5)
        ),
        "loss",
    )
    assert (found.points, found.unit) == (((0, 1.0), (30, 0.5)), "s")


def test_what_is_no_number_stays_in_the_series() -> None:
    (first, second) = series(history(point(1, loss="NaN"), point(2, loss="-Infinity")), "loss").points
    assert math.isnan(first[1])
    assert second == (2, -math.inf)


def test_nothing_gives_nothing() -> None:
    assert series((), "loss").points == ()
    assert series(history(point(1, loss=1.0)), "other").points == ()


def test_metrics_come_in_the_order_people_look_at_them() -> None:
    job = running()
    job["status"]["training"]["metrics"] = dict.fromkeys(["auc", "accuracy", "val_loss", "zeta", "f1", "loss"], 1.0)
    job["status"]["training"]["history"] = [point(1, val_accuracy=0.1)]
    assert metric_names(read_job(job)) == ["loss", "val_loss", "f1", "val_accuracy", "accuracy", "auc", "zeta"]


generations = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), max_size=40)


@given(generations)
def test_what_stands_is_one_training(pairs: list[tuple[int, int]]) -> None:
    """Along the steps generations only rise, and every latest generation is there whole."""
    points = [Point(None, generation, step, {"loss": float(generation)}) for step, generation in pairs]
    kept = standing(points)
    assert [p.step for p in kept] == sorted(p.step or 0 for p in kept)
    by_step = [p.generation for p in kept]
    assert by_step == sorted(by_step)
    if points:
        last = max(p.generation for p in points)
        assert sum(p.generation == last for p in kept) == sum(p.generation == last for p in points)


@given(generations)
def test_a_point_goes_only_for_a_later_generation_at_or_before_its_step(pairs: list[tuple[int, int]]) -> None:
    points = [Point(None, generation, step, {"loss": 1.0}) for step, generation in pairs]
    kept = standing(points)
    for p in points:
        beaten = any(q.generation > p.generation and (q.step or 0) <= (p.step or 0) for q in points)
        assert (p in kept) is not beaten
