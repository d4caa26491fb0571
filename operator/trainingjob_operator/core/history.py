"""The history of a run in few points: every report is a candidate, and what is kept is spread evenly over the run.

A history is a list of points as `status.training.history` has them, in order of arrival. It is decided from the old
history, the reports that are not in it yet and the limit, and from nothing else: an operator that starts anew, or the
other replica, goes on where the status ends.

**No seam.** The history is that of the training which the model has behind it. A generation that goes on at step R
does the steps after R again, so points after R of those before it go as soon as it reports: what they show was lost.
The operator may not know R, because a program restores its state by itself or has none: then the first step that the
generation tells is where it goes on. A training that begins with nothing says step 0, and nothing of the one before
stays. So steps rise strictly over the whole history, through all generations; a later report of the same step adds
its metrics to the point. Steps that fall within one generation (two trainings in one program) are done again too.
A program that tells no steps keeps all its points: nobody knows what it does again. Best values are not history: see
best.py.

**Thinning.** While there are too many points, the one goes whose neighbours are closest to each other in time; the
first and the latest never do. What that guarantees, for any arrival times: with a limit of N points over a span of T
seconds, a gap is at most twice the mean gap, 2T / (N - 1), unless nothing was reported in it, or only what was lost.
Proof: a gap that is no silence was made when a point went. There were n > N points then, so n - 2 candidates, over a
span T' of at most T. The gaps beside the candidates add up to at most 2T', as no gap is beside more than two of them,
so the smallest pair, which is the gap that was made, is at most 2T' / (n - 2), and n - 2 is at least N - 1. A limit
that was raised holds for the points since: what has gone does not come back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.numbers import plain_number

#: (chief's incarnation, generation, sequence): a later report has a greater one.
Order = tuple[int, int, int]
Json = Mapping[str, Any]
Item = TypeVar("Item")

#: A history has at most about so many bytes as JSON, whatever its limit: etcd takes 1.5 MiB for a whole job.
MAX_BYTES = 256 * 1024
#: What a point has besides its metrics, and a metric besides its name, at most.
_POINT_BYTES, _METRIC_BYTES = 140, 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What a report says for the history. `at` is when it arrived, in seconds since 1970 by the operator's clock."""

    order: Order
    at: float
    training: Training


def knows_progress(training: Training | None) -> bool:
    """Whether a report says anything of the training. A trainer that has not begun, or reports nothing, does not."""
    return training is not None and (
        bool(training.metrics)
        or training.step is not None
        or training.epoch is not None
        or training.percent is not None
    )


def order_of(report: Report) -> Order:
    """Return what orders the reports of a job: a newer chief wins, then a newer generation, then the sequence."""
    return report.incarnation, report.generation, report.sequence


def sample_of(report: Report, at: float) -> Sample | None:
    """Return what a report that arrived at this time says for the history; None when it says nothing."""
    if report.training is None or not knows_progress(report.training):
        return None
    training = report.training
    return Sample(order_of(report), at, replace(training, extremes={}) if training.extremes else training)


def in_time(order: Order, shown: Order | None) -> bool:
    """Whether a report may still add to a status that shows the report `shown`.

    One after it may, and one before it of the same generation, which another replica took. One of an older generation
    that comes so late may be a chief's that was replaced already: it has no place behind its successor's.
    """
    return shown is None or order > shown or order[:2] == shown[:2]


def unseen(samples: Iterable[Sample], shown: Order | None) -> list[Sample]:
    """Return the samples that a status may lack which shows the report `shown`."""
    return [sample for sample in samples if sample.order != shown and in_time(sample.order, shown)]


def extend(
    history: Sequence[Json], samples: Iterable[Sample], limit: int, *, shown: Order | None, first: Sequence[str] = ()
) -> list[Json]:
    """Return the history with what is new in the samples, at most `limit` points; 0 is none, 1 the latest.

    `shown` is the order of the report that the status shows: what comes after it comes last, also if the replicas'
    clocks differ a little. A point that repeats the one before it is left out. `first` are the metrics that go into a
    point first, if not all have room.
    """
    if limit <= 0:
        return []
    points, times = _read(history)
    line = _Line(points, times, MAX_BYTES // limit - _POINT_BYTES, first)
    for sample in sorted(samples, key=lambda sample: sample.order):
        line.take(sample, late=shown is not None and sample.order <= shown)
    return thin(points, times, limit)


class _Line:
    """The points and their times while samples are put among them. A point has at most `room` bytes of metrics."""

    def __init__(self, points: list[Json], times: list[float], room: int, first: Sequence[str]) -> None:
        self._points = points
        self._times = times
        self._room = room
        self._first = first

    def take(self, sample: Sample, *, late: bool) -> None:
        """Put a sample where it belongs; one that is not `late` comes after all that there is."""
        at, step = float(int(sample.at)), sample.training.step
        self._cut(sample)
        new = {"generation": sample.order[1], **_said(sample), "metrics": dict(sample.training.metrics)}
        new = {name: value for name, value in new.items() if value not in (None, {})}
        if step is None:
            self._put_by_time(new, at, late=late)
        else:
            self._put_by_step(new, at, step, late=late)

    def _cut(self, sample: Sample) -> None:
        """Take away what earlier generations did after the step that this one goes on at."""
        step, resumed = sample.training.step, sample.training.resumed_step
        if resumed is not None:
            last = resumed
        elif step is not None:
            last = step - 1
        else:
            return
        generation = sample.order[1]
        self._keep(lambda point: point.get("generation") == generation or _step(point) <= last)

    def _put_by_step(self, new: Json, at: float, step: int, *, late: bool) -> None:
        if not late:
            self._keep(lambda point: _step(point) <= step)  # a program that counts anew
        place = next((i for i, point in enumerate(self._points) if _step(point) >= step), len(self._points))
        if place < len(self._points) and _step(self._points[place]) == step:
            self._join(place, new, at, late=late)
        else:
            self._insert(place if late else len(self._points), new, at)

    def _put_by_time(self, new: Json, at: float, *, late: bool) -> None:
        times, place = self._times, len(self._times)
        if late and times:
            at = min(times[-1], at)  # before the latest, whenever it arrived
            place = next((i for i in range(len(times) - 1, 0, -1) if times[i - 1] <= at), 0)
        else:
            at = max(at, *times[-1:]) if times else at
        start = max(0, place - 1)
        while start > 0 and times[start - 1] == at:  # several in one second
            start -= 1
        if not any(_repeats(self._fitting(new), near) for near in self._points[start : place + 1]):
            self._insert(place, new, at)

    def _insert(self, place: int, new: Json, at: float) -> None:
        before, after = self._times[place - 1 : place] if place else [], self._times[place : place + 1]
        at = min([max([at, *before]), *after])
        self._points.insert(place, {"time": _text(at), **self._fitting(new)})
        self._times.insert(place, at)

    def _join(self, place: int, new: Json, at: float, *, late: bool) -> None:
        """Add what a report says of a step that has a point. Where both say something the later one counts."""
        old = self._points[place]
        if _repeats(self._fitting(new), old):
            return
        if late or old.get("generation") != new["generation"]:
            metrics = {**new.get("metrics", {}), **old.get("metrics", {})}
            joined = {**old, "metrics": metrics}
        else:
            metrics = {**old.get("metrics", {}), **new.get("metrics", {})}
            self._times[place] = at = min([max(self._times[place], at), *self._times[place + 1 : place + 2]])
            joined = {**old, "time": _text(at), **new, "metrics": metrics}
        self._points[place] = self._fitting(joined) if metrics else old

    def _fitting(self, point: Json) -> dict[str, Any]:
        """Return the point with those metrics that have room, in the order of the report."""
        metrics = point.get("metrics")
        return dict(point) if not metrics else {**point, "metrics": _chosen(metrics, self._room, self._first)}

    def _keep(self, wanted: Callable[[Json], bool]) -> None:
        kept = [(point, time) for point, time in zip(self._points, self._times, strict=True) if wanted(point)]
        if len(kept) < len(self._points):
            self._points[:], self._times[:] = [point for point, _ in kept], [time for _, time in kept]


def thin(items: Sequence[Item], times: Sequence[float], limit: int) -> list[Item]:
    """Return at most `limit` of the items, evenly by their times, which ascend; of one point it is the latest."""
    if limit < 2:
        return list(items[-1:]) if limit == 1 else []
    kept, at = list(items), list(times)
    spans = [after - before for before, after in zip(at, at[2:], strict=False)]
    while len(kept) > limit:
        index = spans.index(min(spans))  # of the point at index + 1: the oldest of those alike
        del kept[index + 1], at[index + 1], spans[index]
        for near in (index - 1, index):
            if 0 <= near < len(spans):
                spans[near] = at[near + 2] - at[near]
    return kept


def _said(sample: Sample) -> dict[str, Any]:
    training = sample.training
    return {
        "step": training.step,
        "epoch": training.epoch,
        "examplesPerSecond": plain_number(training.examples_per_second),
    }


def _step(point: Json) -> int:
    """Return a point's step; one of a program that tells none is before all."""
    step = point.get("step")
    return step if isinstance(step, int) else -1


def _text(at: float) -> str:
    return format_time(datetime.fromtimestamp(at, UTC))


def _chosen(metrics: Mapping[str, Any], room: int, first: Sequence[str]) -> dict[str, Any]:
    """Return the values that fit into so many bytes, in the order of the report."""
    names: Iterable[str] = metrics
    if sum(map(len, metrics)) + _METRIC_BYTES * len(metrics) > room:
        chosen = set()
        for name in sorted(metrics, key=lambda name: name not in first):
            room -= len(name) + _METRIC_BYTES
            if room >= 0:
                chosen.add(name)
        names = [name for name in metrics if name in chosen]
    return {name: _plain(metrics[name]) for name in names}


def _plain(value: Any) -> float | str | None:
    return value if isinstance(value, str) else plain_number(value)


def _repeats(point: Json, before: Json) -> bool:
    return all(point.get(name) == before.get(name) for name in ("generation", "step", "epoch", "metrics"))


def _read(history: Sequence[Json]) -> tuple[list[Json], list[float]]:
    """Return the points and their times in seconds; one whose time can't be read was not written by us."""
    points, times = [], []
    for point in history:
        try:
            times.append(datetime.fromisoformat(point["time"]).timestamp())
        except (KeyError, TypeError, ValueError):
            continue
        points.append(point)
    return points, times
