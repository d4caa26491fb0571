"""How a job's cost grows with the number of jobs, drawn as text."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainingjob_client.draw.plot import plot

Json = Mapping[str, Any]
WIDTH, HEIGHT = 60, 8


def _cpu(run: Json) -> float | None:
    return float(run["processes"]["operator"]["cpu_seconds"]) * 1000 / float(run["jobs"])


def _requests(run: Json) -> float | None:
    found = run["requests per job"].get("operator")
    return None if found is None else float(found)


def _memory(run: Json) -> float | None:
    return float(run["processes"]["operator"]["peak_mb"])


def _pods(run: Json) -> float | None:
    found = run["reached"]["pods created"]
    return float(found["per_second"]) if found else None


PICTURES: tuple[tuple[str, Callable[[Json], float | None]], ...] = (
    ("pods created per second", _pods),
    ("CPU of the operator, ms a job", _cpu),
    ("requests of the operator a job", _requests),
    ("peak memory of the operator, MB", _memory),
)


def medians(runs: Sequence[Json], figure: Callable[[Json], float | None]) -> list[tuple[float, float]]:
    """Return (jobs, median of a figure) for each size of our runs."""
    found: dict[int, list[float]] = collections.defaultdict(list)
    for run in runs:
        if run["who"] == "operator" and "reached" in run:
            value = figure(run)
            if value is not None:
                found[run["jobs"]].append(value)
    return [(float(size), statistics.median(values)) for size, values in sorted(found.items())]


def pictures(runs: Sequence[Json]) -> list[str]:
    """Return one picture for each figure; none with fewer than two sizes."""
    out = []
    for title, figure in PICTURES:
        points = medians(runs, figure)
        if len(points) > 1:
            out.append("\n".join([title, *plot(points, WIDTH, HEIGHT, "jobs")]))
    return out
