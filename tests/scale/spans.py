"""From moments to figures: latencies with percentiles, and rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.bench.intervals import quantile
from tests.scale.world import JobTimes, PodTimes

SHARES = (0.5, 0.9, 0.99)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return how many values there are, percentiles, and the greatest; only the number when there are none."""
    if not values:
        return {"count": 0}
    marks = {f"p{share * 100:g}": quantile(values, share) for share in SHARES}
    return {"count": len(values), **{name: round(value, 4) for name, value in {**marks, "max": max(values)}.items()}}


def rate(began: float, moments: Iterable[float | None]) -> dict[str, float] | None:
    """Return the seconds until all had happened and how many that is a second; None when one has not."""
    found = list(moments)
    known = [moment for moment in found if moment is not None]
    if not known or len(known) < len(found):
        return None
    seconds = max(known) - began
    return {"seconds": round(seconds, 3), "per_second": round(len(known) / seconds, 2)}


def of_jobs(jobs: Sequence[JobTimes], members: int) -> dict[str, Any]:
    """Return the latencies of jobs; one that lacks a moment is left out, which its count shows."""
    created = [(job, job.all_pods(members, "created")) for job in jobs]
    running = [(job, job.all_pods(members, "running")) for job in jobs]
    ended = [(job, job.all_pods(members, "ended")) for job in jobs]
    return {
        "applied to last pod created": summary([at - job.applied for job, at in created if at is not None]),
        "last pod Running to job Running": summary(_until(running, "Running")),
        "last pod finished to job Succeeded": summary(_until(ended, "Succeeded")),
        "applied to job Running": summary([j.phases["Running"] - j.applied for j in jobs if "Running" in j.phases]),
    }


def reached(began: float, jobs: Sequence[JobTimes], pods: Sequence[PodTimes]) -> dict[str, Any]:
    """Return when all jobs and pods of a run were created, Running, Succeeded, and at which rate."""
    return {
        "jobs applied": rate(began, [job.applied for job in jobs]),
        "pods created": rate(began, [pod.created for pod in pods]),
        "pods Running": rate(began, [pod.running for pod in pods]),
        "pods Succeeded": rate(began, [pod.ended for pod in pods]),
        "jobs Running": rate(began, [job.phases.get("Running") for job in jobs]),
        "jobs Succeeded": rate(began, [job.phases.get("Succeeded") for job in jobs]),
    }


def _until(moments: Iterable[tuple[JobTimes, float | None]], phase: str) -> list[float]:
    return [job.phases[phase] - at for job, at in moments if at is not None and phase in job.phases]
