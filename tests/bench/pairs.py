"""Pairs of measurements and what follows from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from tests.bench.intervals import median_interval


@dataclass(frozen=True)
class Target:
    """What the median of the pairs' values must be: `at_least` of a ratio, `at_most` of a difference in seconds."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.at_least if self.at_least is not None else self.at_most is None or value <= self.at_most

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:.1%}"
        return f"≤ {self.at_most:.1f} s" if self.at_most is not None else "-"


@dataclass
class Result:
    """The pairs of one comparison. `value` is the median of ours/other for speeds, of ours - other for times."""

    name: str
    ours: str
    other: str
    unit: str
    target: Target
    pairs: list[tuple[float, float]] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """One for each pair."""
        if self.target.at_most is not None:
            return [ours - other for ours, other in self.pairs]
        return [ours / other for ours, other in self.pairs]

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.target.met(self.value)

    def document(self) -> dict[str, Any]:
        """As JSON: every pair, and what follows."""
        found = asdict(self) | {
            "target": str(self.target),
            "values": self.values,
            "value": self.value,
            "interval": median_interval(self.values),
            "met": self.met,
        }
        found["medians"] = [statistics.median(side) for side in zip(*self.pairs, strict=True)]
        return found

    def row(self) -> list[str]:
        """As a line of the table."""
        ours, other = (statistics.median(side) for side in zip(*self.pairs, strict=True))
        is_time = self.target.at_most is not None
        interval = median_interval(self.values)
        return [
            self.name,
            f"{ours:,.2f} s" if is_time else f"{ours:,.0f} {self.unit}",
            f"{other:,.2f} s" if is_time else f"{other:,.0f} {self.unit}",
            f"{self.value:+.2f} s" if is_time else f"{self.value:.1%}",
            self._span(*interval) if interval else "-",
            self._span(min(self.values), max(self.values)),
            str(self.target),
            "yes" if self.met else "NO",
        ]

    def _span(self, low: float, high: float) -> str:
        return f"{low:+.2f} … {high:+.2f}" if self.target.at_most is not None else f"{low:.1%} … {high:.1%}"

    def sentence(self) -> str:
        """What is compared with what, in words."""
        return "; ".join([f"{self.ours} against {self.other}", *(f"{n}: {v}" for n, v in self.notes.items())])


class Finding(Protocol):
    """What a measurement found: `Result`, or a `samples.Sample`."""

    name: str

    @property
    def met(self) -> bool:
        """Whether the target is met."""

    def document(self) -> dict[str, Any]:
        """As JSON."""

    def row(self) -> list[str]:
        """As a line of the table."""

    def sentence(self) -> str:
        """What the name stands for, in words."""


HEADER = ["comparison", "ours", "other", "median", "95 % sure", "all", "target", "met"]


def alternately(ours: Callable[[], float], other: Callable[[], float]) -> Iterator[tuple[float, float]]:
    """Yield pairs without end: one run of each. Who goes first changes from pair to pair."""
    while True:
        first, second = ours(), other()
        yield first, second
        second, first = other(), ours()
        yield first, second


def load() -> float:
    """How many processes want a CPU, over the last minute."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return float(file.read().split()[0])


def table(results: Sequence[Finding]) -> str:
    """Results as aligned columns."""
    rows = [HEADER, *(result.row() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
