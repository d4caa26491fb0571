"""The history of metrics as series to draw.

A gang that is formed anew goes on at its last checkpoint: steps after that were done twice, and only the later
generation's are part of the training that the model has. The operator drops them as soon as it hears where the gang
went on; until then, and for a status of an older operator, a point is dropped here when a later generation has one at
the same step or before it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trainingjob_client.view.job import JobView
from trainingjob_client.view.training import Point


@dataclass(frozen=True)
class Series:
    """One metric over the run: (x, y) with x rising, y also NaN and infinite. `unit` of x is `steps` or `s`."""

    name: str
    points: tuple[tuple[float, float], ...]
    unit: str
    generations: tuple[float, ...] = ()
    """The x at which a later generation took over."""


def standing(history: Sequence[Point]) -> list[Point]:
    """Return the points that no later generation has replaced, ordered by step; those without a step are all kept."""
    kept: list[Point] = []
    first: dict[int, int] = {}
    for point in history:
        if point.step is not None:
            first[point.generation] = min(point.step, first.get(point.generation, point.step))
    for point in history:
        later = [step for generation, step in first.items() if generation > point.generation]
        if point.step is None or not later or point.step < min(later):
            kept.append(point)
    return sorted(kept, key=lambda point: -1 if point.step is None else point.step)


def series(history: Sequence[Point], name: str) -> Series:
    """Return one metric's series: by step, or by seconds since the first report where the program tells no steps."""
    points = [point for point in history if name in point.metrics]
    if points and all(point.step is not None for point in points):
        # by what all metrics say of generations: one that is rare, like val_loss, may be undone before it comes again
        kept = [point for point in standing(history) if point.step is not None]
        # of two reports at one step the later one counts
        by_step = {float(point.step or 0): point.metrics[name] for point in kept if name in point.metrics}
        starts = [float(b.step or 0) for a, b in pairwise(kept) if b.generation > a.generation]
        return Series(name, tuple(sorted(by_step.items())), "steps", tuple(starts))
    timed = [(point.time, point) for point in points if point.time is not None]
    if not timed:
        return Series(name, (), "s")
    begin = min(time for time, _ in timed)
    seconds = {(time - begin).total_seconds(): point.metrics[name] for time, point in timed}
    return Series(name, tuple(sorted(seconds.items())), "s")


def metric_names(job: JobView) -> list[str]:
    """Return the names of all metrics, those that people look at first: losses, the chosen one, accuracies."""
    found = set(job.training.metrics)
    for point in job.training.history:
        found |= point.metrics.keys()
    first = ["loss", "val_loss", job.chosen_metric, "val_accuracy", "accuracy"]
    ranks = {name: rank for rank, name in reversed(list(enumerate(first)))}
    return sorted(found, key=lambda name: (ranks.get(name, len(first)), name))


def finite(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return the finite values of a series."""
    return [y for _, y in points if math.isfinite(y)]
