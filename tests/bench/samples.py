"""Values of one kind that are held against a limit, where there is nothing to compare them with."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from tests.bench.intervals import median_interval, quantile


@dataclass
class Sample:
    """`value` is the median, or the mean where single values say nothing (`mean`); it must be at most `limit`."""

    name: str
    unit: str
    limit: float
    values: list[float]
    mean: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """What is held against the limit."""
        return statistics.fmean(self.values) if self.mean else statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.value <= self.limit

    def document(self) -> dict[str, Any]:
        """As JSON: every value, and what follows."""
        return {
            "name": self.name,
            "unit": self.unit,
            "target": f"≤ {self.limit:g} {self.unit}",
            "values": self.values,
            "value": self.value,
            "95 %": quantile(self.values, 0.95),
            "interval": None if self.mean else median_interval(self.values),
            "notes": self.notes,
            "met": self.met,
        }

    def row(self) -> list[str]:
        """As a line of the table."""
        interval = None if self.mean else median_interval(self.values)
        return [
            self.name,
            f"{self.value:.2f} {self.unit}",
            "-",
            "mean" if self.mean else "median",
            f"{interval[0]:.2f} … {interval[1]:.2f}" if interval else "-",
            f"{min(self.values):.2f} … {max(self.values):.2f}",
            f"≤ {self.limit:g} {self.unit}",
            "yes" if self.met else "NO",
        ]

    def sentence(self) -> str:
        """What the name stands for, in words."""
        tail = f"95 % are below {quantile(self.values, 0.95):.2f} {self.unit}" if not self.mean else ""
        return "; ".join(filter(None, [tail, *(f"{name}: {value}" for name, value in self.notes.items())]))
