"""What a flood adds to single jobs, and to a delete and a suspend."""

from __future__ import annotations

from typing import Any

from tests.scale.fair import more


def result(under: list[float], suspended: float | None = 0.5) -> dict[str, Any]:
    return {
        "single job alone, milliseconds": {
            "pods created": {"median": 100.0, "max": 110.0, "all": [90.0, 100.0, 110.0]}
        },
        "single job under the flood, milliseconds": {"pods created": {"median": None, "max": None, "all": under}},
        "seconds until pods are asked to go, alone": {"deleted": 0.1, "suspended": 0.2},
        "seconds until pods are asked to go, under the flood": {"deleted": 0.4, "suspended": suspended},
    }


def test_the_median_and_the_slowest_are_compared_with_the_median_alone() -> None:
    assert more(result([600.0, 1100.0, 2100.0])) == {
        "pods created, median": 1.0,
        "pods created, slowest": 2.0,
        "deleted": 0.3,
        "suspended": 0.3,
    }


def test_what_never_happened_is_told_as_nothing() -> None:
    found = more(result([], suspended=None))
    assert found["pods created, median"] is found["pods created, slowest"] is found["suspended"] is None
