"""The arithmetic of `make bench`: what a series of steps says of speed, and pairs of their ratio."""

from __future__ import annotations

import itertools
import json
import socket

import pytest

from tests.bench.pairs import Result, Target, alternately, table
from tests.bench.runs import tf_configs
from tests.bench.series import Ear, Point, speed


def series(*pairs: tuple[int, float]) -> list[Point]:
    return [Point(step, seconds) for step, seconds in pairs]


def test_speed_leaves_the_warm_up_out() -> None:
    slow_start = series((1, 100.0), (2, 101.0), (10, 102.0), (110, 103.0), (210, 104.0))
    assert speed(slow_start, warm=2.0, seconds=2.0) == 100.0


def test_speed_reaches_from_point_to_point() -> None:
    assert speed(series((0, 0.0), (30, 0.7), (90, 1.9)), warm=0.5, seconds=1.0) == pytest.approx(60 / 1.2)


@pytest.mark.parametrize(
    "points", [series((1, 0.0)), series((1, 0.0), (9, 2.9)), series((1, 0.0), (5, 1.0), (9, 2.9))]
)
def test_a_series_that_is_too_short_says_so(points: list[Point]) -> None:
    with pytest.raises(ValueError, match="do not hold"):
        speed(points, warm=1.0, seconds=2.0)


def test_who_goes_first_changes_from_pair_to_pair() -> None:
    order: list[str] = []
    counter = itertools.count()

    def side(name: str) -> float:
        order.append(name)
        return float(next(counter))

    pairs = list(itertools.islice(alternately(lambda: side("ours"), lambda: side("other")), 2))
    assert order == ["ours", "other", "other", "ours"]
    assert pairs == [(0.0, 1.0), (3.0, 2.0)]


def test_the_median_of_the_ratios_is_held_against_the_target() -> None:
    result = Result("a", "ours", "other", "img/s", Target(at_least=0.95), pairs=[(90, 100), (96, 100), (300, 100)])
    assert (result.value, result.met) == (0.96, True)
    result.pairs = [(90, 100), (94, 100), (300, 100)]
    assert (result.value, result.met) == (0.94, False)


def test_times_are_compared_by_their_difference() -> None:
    result = Result("a", "ours", "other", "s", Target(at_most=1.5), pairs=[(4.0, 3.0), (4.4, 2.8), (5.0, 3.6)])
    assert result.value == pytest.approx(1.4)
    assert result.met
    assert "+1.40 s" in table([result])
    assert json.dumps(result.document())


def test_the_ear_hears_steps_that_go_up() -> None:
    with Ear() as ear, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trainer:
        for said in (
            {"step": 0, "time": 1.0},
            {"step": 5, "time": 2.0},
            {"time": 3.0},
            {"step": 5, "time": 4.0},
            {"step": 6, "time": 5.0},
        ):
            trainer.sendto(json.dumps(said).encode(), ear.path)
        assert ear.wait(1, timeout=10)
        assert ear.points == [Point(5, 2.0), Point(6, 5.0)]


def test_each_member_has_an_address_of_its_own() -> None:
    configs = [json.loads(text) for text in tf_configs(3)]
    cluster = configs[0]["cluster"]
    assert len({*cluster["chief"], *cluster["worker"]}) == 3
    assert [(c["task"]["type"], c["task"]["index"]) for c in configs] == [("chief", 0), ("worker", 0), ("worker", 1)]
    assert all(config["cluster"] == cluster for config in configs)
