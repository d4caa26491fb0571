"""How sure a median is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return between which two of the values the true median is, with at least this confidence; None for too few.

    By ranks alone, whatever the distribution: of n values that are each above the median with probability ½, at least
    k are above and at least k below unless a coin thrown n times shows fewer than k heads, or tails.
    """
    ordered, count = sorted(values), len(values)
    doubt, rank = 0.0, 0
    while rank < count // 2:
        doubt += 2 * math.comb(count, rank) * 0.5**count
        if doubt > 1 - confidence:
            break
        rank += 1
    return (ordered[rank - 1], ordered[count - rank]) if rank else None


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which so great a share of the values is, by linear interpolation."""
    if len(values) < 2:
        return values[0]
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return cuts[min(len(cuts), max(1, round(share * 1000))) - 1]
