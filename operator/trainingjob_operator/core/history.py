"""The history of a run in few points: every report is a candidate, and what is kept is spread evenly over the run.

A history is a list of points as `status.training.history` has them, in order of arrival. It is decided from the old
history, the reports that are not in it yet and the limit, and from nothing else: an operator that starts anew, or the
other replica, goes on where the status ends.

**Thinning.** While there are too many points, the one goes whose neighbours are closest to each other in time; the
first and the latest never do. What that guarantees, for any arrival times: with a limit of N points over a span of T
seconds, a gap is at most twice the mean gap, 2T / (N - 1), unless nothing was reported in it. Proof: a gap that is
no silence was made when a point went. There were n > N points then, so n - 2 candidates, over a span T' of at most
T. The gaps beside the candidates add up to at most 2T', as no gap is beside more than two of them, so the smallest
pair, which is the gap that was made, is at most 2T' / (n - 2), and n - 2 is at least N - 1. A limit that was raised
holds for the points since: what has gone does not come back.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    room = MAX_BYTES // limit - _POINT_BYTES
    for sample in sorted(samples, key=lambda sample: sample.order):
        at = float(int(sample.at))
        latest = times[-1] if times else at
        if shown is None or sample.order > shown:
            at, place = max(latest, at), len(points)
        else:
            at = min(latest, at)  # and before the latest, whenever it arrived
            place = next((i for i in range(len(times) - 1, 0, -1) if times[i - 1] <= at), 0)
        new = _point(sample, at, room, first)
        start = max(0, place - 1)
        while start > 0 and times[start - 1] == at:  # several in one second
            start -= 1
        if not any(_repeats(new, near) for near in points[start : place + 1]):
            points.insert(place, new)
            times.insert(place, at)
    return thin(points, times, limit)


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


def _point(sample: Sample, at: float, room: int, first: Sequence[str]) -> dict[str, Any]:
    training = sample.training
    point: dict[str, Any] = {
        "time": format_time(datetime.fromtimestamp(at, UTC)),
        "generation": sample.order[1],
        "step": training.step,
        "epoch": training.epoch,
        "examplesPerSecond": plain_number(training.examples_per_second),
        "metrics": _metrics(training.metrics, room, first) or None,
    }
    return {name: value for name, value in point.items() if value is not None}


def _metrics(metrics: Mapping[str, float], room: int, first: Sequence[str]) -> dict[str, Any]:
    """Return the values that fit into so many bytes, in the order of the report."""
    names: Iterable[str] = metrics
    if sum(map(len, metrics)) + _METRIC_BYTES * len(metrics) > room:
        chosen = set()
        for name in sorted(metrics, key=lambda name: name not in first):
            room -= len(name) + _METRIC_BYTES
            if room >= 0:
                chosen.add(name)
        names = [name for name in metrics if name in chosen]
    return {name: plain_number(metrics[name]) for name in names}


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
