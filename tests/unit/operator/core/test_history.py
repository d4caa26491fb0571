"""The history of a run: bounded, in order, evenly spread, and the same whoever goes on with it."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.api.status import HistoryPoint
from trainingjob_operator.core.history import MAX_BYTES, Order, Sample, extend, sample_of, thin, unseen

START = 1_767_225_600  # 2026-01-01T00:00:00Z


def sample(sequence: int, at: float | None = None, generation: int = 1, **kwargs: Any) -> Sample:
    fields: dict[str, Any] = {"step": sequence, "metrics": {"loss": 1.0 / (sequence + 1)}} | kwargs
    return Sample((1, generation, sequence), START + (sequence if at is None else at), Training(**fields))


def steps(history: list[Any]) -> list[int]:
    return [point["step"] for point in history]


def seconds(history: list[Any]) -> list[float]:
    return [datetime.fromisoformat(point["time"]).timestamp() - START for point in history]


def grown(samples: list[Sample], limit: int, batch: int = 1) -> list[Any]:
    """Return the history after flushes of so many reports each."""
    history: list[Any] = []
    shown: Order | None = None
    for first in range(0, len(samples), batch):
        history = extend(history, samples[first : first + batch], limit, shown=shown)
        shown = samples[min(first + batch, len(samples)) - 1].order
    return history


class TestAPoint:
    def test_it_says_when_where_and_how_well(self) -> None:
        training = Training(
            step=620,
            total_steps=1000,
            epoch=6,
            examples_per_second=9123.456789,
            metrics={"loss": 0.04811239, "nan": float("nan")},
        )
        (point,) = extend([], [Sample((1, 2, 7), START + 0.9, training)], 10, shown=None)
        assert point == {
            "time": "2026-01-01T00:00:00Z",
            "generation": 2,
            "step": 620,
            "epoch": 6,
            "examplesPerSecond": 9123.46,
            "metrics": {"loss": 0.0481124, "nan": "NaN"},
        }
        HistoryPoint.model_validate(point)

    @pytest.mark.parametrize("training", [None, Training(), Training(total_steps=5, examples_per_second=1.0)])
    def test_a_report_that_says_nothing_of_the_training_is_none(self, training: Training | None) -> None:
        assert sample_of(Report("chief-0", 1, 1, 1, "Running", training=training), START) is None

    def test_one_that_repeats_the_last_is_none(self) -> None:
        history = extend([], [sample(1)], 10, shown=None)
        again = sample(2, step=1, metrics={"loss": 0.5}, examples_per_second=7.0)
        assert extend(history, [again], 10, shown=(1, 1, 1)) == history

    def test_what_is_said_later_of_the_same_step_joins_its_point(self) -> None:
        history = extend([], [sample(1)], 10, shown=None)
        validated = sample(2, step=1, metrics={"loss": 0.4, "val_loss": 0.7})
        (point,) = extend(history, [validated], 10, shown=(1, 1, 1))
        assert (point["step"], point["metrics"]) == (1, {"loss": 0.4, "val_loss": 0.7})
        (same,) = extend([point], [sample(0, step=1, metrics={"loss": 9.0, "f1": 0.1})], 10, shown=(1, 1, 2))
        assert same["metrics"] == {"loss": 0.4, "f1": 0.1, "val_loss": 0.7}, "what came late overwrites nothing"

    def test_the_metrics_that_count_go_first_where_not_all_have_room(self) -> None:
        names = [f"{'m' * 58}{number:04}" for number in range(62)]
        metrics = dict.fromkeys([*names, "loss", "f1"], 0.123456)
        (point,) = extend([], [sample(0, metrics=metrics)], 500, shown=None, first=("loss", "f1"))
        assert list(point["metrics"]) == [*names[:4], "loss", "f1"]
        (point,) = extend([], [sample(0, metrics=metrics)], 2, shown=None)
        assert list(point["metrics"]) == list(metrics)

    @pytest.mark.parametrize("limit", [50, 100, 500])
    def test_a_history_has_a_bounded_size_whatever_is_reported(self, limit: int) -> None:
        metrics = {f"{'m' * 59}{number:04}": -0.000123456 for number in range(64)}
        longest = [
            sample(2**50 + n, n, metrics=metrics, epoch=2**52, examples_per_second=1.23456e14) for n in range(limit)
        ]
        assert len(orjson.dumps(extend([], longest, limit, shown=None))) <= MAX_BYTES


class TestThinning:
    @pytest.mark.parametrize(
        ("limit", "kept"), [(0, []), (1, [9]), (2, [0, 9]), (5, [0, 2, 4, 6, 9]), (10, list(range(10)))]
    )
    def test_what_is_left_of_ten_points(self, limit: int, kept: list[int]) -> None:
        assert thin(range(10), range(10), limit) == kept

    def test_what_comes_in_bursts_is_spread_evenly(self) -> None:
        times = [*range(100), *range(1000, 1100)]
        kept = thin(times, times, 12)
        assert kept[0] == 0
        assert kept[-1] == 1099
        # 900 s of silence can't be mended; the points go to both bursts alike
        assert 5 <= len([time for time in kept if time < 500]) <= 7

    @given(times=st.lists(st.integers(0, 10_000), max_size=80), limit=st.integers(0, 50))
    def test_it_keeps_the_ends_and_the_bound_whatever_comes(self, times: list[int], limit: int) -> None:
        times.sort()
        kept = thin(times, times, limit)
        assert len(kept) == min(limit, len(times))
        assert kept == sorted(kept)
        if limit >= 1 and times:
            assert kept[-1] == times[-1]
        if limit >= 2 and times:
            assert kept[0] == times[0]
            silence = max((b - a for a, b in pairwise(times)), default=0)
            largest = max((b - a for a, b in pairwise(kept)), default=0)
            assert largest <= max(silence, 2 * (times[-1] - times[0]) / (limit - 1))


class TestGrowing:
    """Reports come one by one; at any time the history is as good as if all had come at once."""

    @given(count=st.integers(1, 400), limit=st.integers(2, 40), every=st.integers(1, 10), batch=st.integers(1, 50))
    def test_steady_reports_make_an_even_history(self, count: int, limit: int, every: int, batch: int) -> None:
        """The largest gap is at most twice the mean gap, at every moment of the run: see the proof in history.py."""
        samples = [sample(n, n * every) for n in range(count)]
        history: list[Any] = []
        for first in range(0, count, batch):
            flush = samples[first : first + batch]
            history = extend(history, flush, limit, shown=samples[first - 1].order if first else None)
            times = seconds(history)
            assert len(history) == min(limit, first + len(flush))
            assert (times[0], times[-1]) == (0, flush[-1].at - START)
            gaps = [b - a for a, b in pairwise(times)]
            if len(samples[: first + batch]) > limit:
                assert max(gaps) <= 2 * (times[-1] - times[0]) / (limit - 1)

    @given(
        times=st.lists(st.integers(0, 3000), min_size=1, max_size=120),
        limit=st.integers(0, 30),
        batch=st.integers(1, 20),
    )
    def test_any_arrivals(self, times: list[int], limit: int, batch: int) -> None:
        times.sort()
        samples = [sample(n, at) for n, at in enumerate(times)]
        history = grown(samples, limit, batch)
        assert len(history) == min(limit, len(times))
        assert seconds(history) == sorted(seconds(history))
        assert steps(history) == sorted(set(steps(history)))
        if limit >= 2:
            assert (steps(history)[0], steps(history)[-1]) == (0, len(times) - 1)
            silence = max((b - a for a, b in pairwise(times)), default=0)
            largest = max((b - a for a, b in pairwise(seconds(history))), default=0)
            assert largest <= max(silence, 2 * (times[-1] - times[0]) / (limit - 1))

    @given(count=st.integers(0, 60), limit=st.integers(0, 30), lower=st.integers(0, 30))
    def test_nothing_new_changes_nothing_and_a_lower_limit_thins(self, count: int, limit: int, lower: int) -> None:
        samples = [sample(n) for n in range(count)]
        history = grown(samples, limit)
        shown = samples[-1].order if samples else None
        assert extend(history, [], limit, shown=shown) == history
        lowered = extend(history, [], min(limit, lower), shown=shown)
        assert len(lowered) == min(len(history), lower)
        assert all(point in history for point in lowered)
        if lower >= 2 and history:
            assert (lowered[0], lowered[-1]) == (history[0], history[-1])

    def test_generations_follow_each_other(self) -> None:
        first = [sample(n, n) for n in range(200)]
        second = [sample(n, n, generation=2, resumed_step=199) for n in range(200, 400)]
        history = grown([*first, *second], 40)
        assert len([p for p in history if p["generation"] == 1]) >= 10
        assert [p["generation"] for p in history] == sorted(p["generation"] for p in history)
        assert (steps(history)[0], steps(history)[-1]) == (0, 399)

    def test_a_clock_that_goes_back_does_not_break_the_order(self) -> None:
        history = extend([], [sample(1, 100)], 10, shown=None)
        history = extend(history, [sample(2, 40)], 10, shown=(1, 1, 1))
        assert seconds(history) == [100, 100]
        assert steps(history) == [1, 2]

    def test_points_that_we_did_not_write_are_no_trouble(self) -> None:
        odd: list[Any] = [{"step": 1}, {"time": "yesterday"}, {"time": "2026-01-01T00:00:01Z", "step": 1}]
        assert steps(extend(odd, [sample(2)], 10, shown=(1, 1, 1))) == [1, 2]


class TestWithoutASeam:
    """What a failure has lost is no part of the training, and no step is there twice."""

    FIRST = tuple(sample(n, n, step=10 * n) for n in range(1, 11))

    def test_steps_after_the_checkpoint_go_when_the_next_generation_reports(self) -> None:
        history = extend([], self.FIRST, 50, shown=None)
        history = extend(history, [sample(1, 30, generation=2, step=75, resumed_step=70)], 50, shown=(1, 1, 10))
        assert [(p["generation"], p["step"]) for p in history] == [*((1, 10 * n) for n in range(1, 8)), (2, 75)]
        assert seconds(history) == [1, 2, 3, 4, 5, 6, 7, 30]

    def test_what_is_said_at_the_checkpoint_itself_is_no_new_point(self) -> None:
        history = extend([], self.FIRST, 50, shown=None)
        begun = sample(1, 30, generation=2, step=70, metrics={}, resumed_step=70)
        assert extend(history, [begun], 50, shown=(1, 1, 10)) == history[:7]

    def test_of_a_training_that_begins_with_nothing_only_the_new_one_stays(self) -> None:
        history = extend([], self.FIRST, 50, shown=None)
        again = sample(1, 30, generation=2, step=0, metrics={})
        assert steps(extend(history, [again], 50, shown=(1, 1, 10))) == [0]

    def test_a_program_that_restores_by_itself_says_where_by_its_first_step(self) -> None:
        history = extend([], self.FIRST, 50, shown=None)
        assert steps(extend(history, [sample(1, 30, 2, step=41)], 50, shown=(1, 1, 10))) == [10, 20, 30, 40, 41]

    def test_a_program_that_tells_no_steps_keeps_everything(self) -> None:
        told = [sample(n, n, step=None, metrics={"loss": 1.0 / n}) for n in (1, 2)]
        told += [sample(n, n, generation=2, step=None, metrics={"loss": 1.0 / n}, resumed_step=70) for n in (3, 4)]
        assert seconds(grown(told, 10)) == [1, 2, 3, 4]

    def test_two_trainings_in_one_program_are_not_mixed(self) -> None:
        history = extend([], self.FIRST, 50, shown=None)
        assert steps(extend(history, [sample(11, 30, step=35)], 50, shown=(1, 1, 10))) == [10, 20, 30, 35]

    @given(
        generations=st.lists(
            st.tuples(
                st.integers(0, 100),  # where it goes on, in percent of how far the one before came
                st.lists(st.integers(1, 9), max_size=12),  # its reports, by how many steps each is further
                st.booleans(),  # whether it says where it goes on
            ),
            min_size=1,
            max_size=8,
        ),
        takers=st.lists(st.booleans(), min_size=120, max_size=120),
        batch=st.integers(1, 9),
        limit=st.integers(2, 200),
    )
    def test_no_step_twice_whatever_fails_and_whoever_takes_the_reports(
        self, generations: Any, takers: list[bool], batch: int, limit: int
    ) -> None:
        """Two replicas, each with flushes of its own; some reports of a generation come late, some too late."""
        told, ends, at, reached = [], [], 0, 0
        for number, (percent, strides, says) in enumerate(generations, 1):
            resumed = reached * percent // 100 if number > 1 else 0
            step = resumed
            for sequence, stride in enumerate(strides, 1):
                at, step = at + 2, step + stride
                known = {"resumed_step": resumed} if says and resumed else {}
                told.append(
                    Sample((1, number, sequence), START + at, Training(step=step, metrics={"n": at}, **known))
                )
            if strides:
                ends.append((number, resumed, step))
                reached = step
        history: list[Any] = []
        shown: Order | None = None
        waiting: dict[bool, list[Sample]] = {True: [], False: []}
        taken: list[Sample] = []
        for index, one in enumerate(told):
            waiting[takers[index]].append(one)
            if index % batch == batch - 1 or index == len(told) - 1:
                for side in (takers[index], not takers[index]):
                    flush, waiting[side] = waiting[side], []
                    taken += unseen(flush, shown)
                    history = extend(history, unseen(flush, shown), limit, shown=shown)
                    shown = max([s.order for s in flush] + ([shown] if shown else []), default=None)
                    assert all(a < b for a, b in pairwise(steps(history))), "no step twice, and none goes back"
                    assert seconds(history) == sorted(seconds(history))
                    assert len(history) <= limit
        if not told:
            return
        assert steps(history)[-1] == ends[-1][2], "the latest is always there"
        for point in history:
            for later in (one.training for one in taken if one.order[1] > point["generation"]):
                on = (later.step or 0) - 1 if later.resumed_step is None else later.resumed_step
                assert point["step"] <= on, "nothing that was lost"


class TestAnotherReplicasReports:
    def test_points_that_come_late_go_where_they_belong(self) -> None:
        history = extend([], [sample(1), sample(4)], 10, shown=None)
        late = [sample(2), sample(3), sample(4)]
        assert steps(extend(history, late, 10, shown=(1, 1, 4))) == [1, 2, 3, 4]

    def test_what_is_there_already_is_not_there_twice(self) -> None:
        points = [sample(1, 5), sample(2, 5), sample(3, 5), sample(4, 9)]
        history = extend([], points, 10, shown=None)
        assert extend(history, points, 10, shown=(1, 1, 5)) == history

    def test_only_the_generation_that_is_shown_takes_late_ones(self) -> None:
        """An older one's may be of a chief that was replaced already."""
        samples = [sample(9, generation=1), sample(1, generation=2), sample(2, generation=2), sample(3, generation=2)]
        assert [s.order for s in unseen(samples, (1, 2, 2))] == [(1, 2, 1), (1, 2, 3)]
        assert unseen(samples, None) == samples

    @given(
        times=st.lists(st.integers(0, 200), min_size=1, max_size=40),
        turns=st.lists(st.booleans(), min_size=40, max_size=40),
        order=st.randoms(use_true_random=False),
    )
    def test_two_replicas_make_the_same_history_in_any_order(
        self, times: list[int], turns: list[bool], order: Any
    ) -> None:
        times.sort()
        samples = [sample(n, at) for n, at in enumerate(times)]
        assume(len(set(times)) == len(times))
        parts = [[s for s, turn in zip(samples, turns, strict=False) if turn is side] for side in (True, False)]
        order.shuffle(parts)
        history: list[Any] = []
        shown: Order | None = None
        for part in parts:
            history = extend(history, unseen(part, shown), 50, shown=shown)
            shown = max([s.order for s in part] + ([shown] if shown else []), default=None)
        assert history == extend([], samples, 50, shown=None)
