"""What was found, as text."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trainingjob_operator.api.names import INTAKE_FIELD_MANAGER

Json = Mapping[str, Any]
HEADER = (
    "jobs", "who", "pods created", "jobs Running", "jobs Succeeded", "Running p99", "Succeeded p99",
    "requests/job", "controllers/job", "CPU ms/job", "peak MB", "load",
)  # fmt: skip


def line(run: Json) -> str:
    """Return one run in a sentence."""
    if "milliseconds" in run:
        found = run["milliseconds"]
        return ", ".join(f"{what}: {values['median']} ms" for what, values in found.items())
    parts = [
        f"{what} {rate['seconds']} s ({rate['per_second']}/s)" if rate else f"{what} never"
        for what, rate in run["reached"].items()
    ]
    return "; ".join(parts)


def row(run: Json) -> list[str]:
    """Return one run as a line of the table."""
    reached, latency, count = run["reached"], run.get("latency", {}), run["jobs"]
    operator = run["processes"].get("operator")
    requests = run["requests per job"]
    return [
        str(count),
        run["who"],
        _rate(reached.get("pods created")),
        _seconds(reached.get("jobs Running")),
        _seconds(reached.get("jobs Succeeded") or reached.get("pods Succeeded")),
        _p99(latency.get("last pod Running to job Running")),
        _p99(latency.get("last pod finished to job Succeeded")),
        own(run),
        str(requests.get("controller-manager", "-")),
        f"{operator['cpu_seconds'] * 1000 / count:.1f}" if operator else "-",
        f"{operator['peak_mb']:.0f}" if operator else "-",
        str(run["load after"]),
    ]


def own(run: Json) -> str:
    """Return the operator's requests per job, and behind a plus those that wrote what chiefs reported."""
    counts = run.get("requests", {}).get("operator")
    if not counts:
        return "-"
    metrics = sum(number for what, number in counts.items() if INTAKE_FIELD_MANAGER in what)
    return f"{(sum(counts.values()) - metrics) / run['jobs']:.1f} + {metrics / run['jobs']:.1f}"


def ratios(runs: Sequence[Json]) -> list[str]:
    """Return for each size how our rates are to the bare client's, pair by pair and their median."""
    pairs: dict[int, dict[int, dict[str, Json]]] = collections.defaultdict(lambda: collections.defaultdict(dict))
    for run in runs:
        if "pair" in run:
            pairs[run["jobs"]][run["pair"]][run["who"]] = run["reached"]
    out = []
    for size, found in pairs.items():
        values = [
            both["operator"]["pods created"]["per_second"] / both["bare client"]["pods created"]["per_second"]
            for both in found.values()
            if len(both) == 2 and all(one["pods created"] for one in both.values())
        ]
        if values:
            each = ", ".join(f"{value:.0%}" for value in values)
            out.append(
                f"{size} jobs: pods created at {statistics.median(values):.0%} of the bare client's rate ({each})"
            )
    return out


def text(document: Json) -> str:
    """Return tables and sentences of a whole document."""
    runs = document["runs"]
    many = [run for run in runs if "reached" in run]
    lines = [f"one job on an idle cluster: {line(run)}" for run in runs if "milliseconds" in run]
    if many:
        lines += table([HEADER, *(row(run) for run in many)])
    lines += ratios(runs)
    if document["standing"]:
        lines += [f"standing {key}: {value}" for key, value in document["standing"].items()]
    for name in ("fair", "lead", "churn"):
        lines += [f"{name}, {key}: {value}" for key, value in document.get(name, {}).items() if key != "samples"]
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(one, widths, strict=True)) for one in rows]


def _rate(found: Json | None) -> str:
    return f"{found['seconds']} s, {found['per_second']:.0f}/s" if found else "never"


def _seconds(found: Json | None) -> str:
    return f"{found['seconds']} s" if found else "-"


def _p99(found: Json | None) -> str:
    return f"{found['p99']:.2f} s ({found['count']})" if found and found["count"] else "-"
