"""Latencies and rates follow from moments; what did not happen is not hidden."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scale.spans import of_jobs, rate, reached, summary
from tests.scale.world import JobTimes, PodTimes, World


def pods(*moments: tuple[float, float | None, float | None]) -> dict[str, PodTimes]:
    return {str(n): PodTimes(f"p-{n}", "u", "worker", str(n), *times) for n, times in enumerate(moments)}


def job(**phases: float) -> JobTimes:
    return JobTimes("j", "n", "u", 10.0, dict(phases), pods((10.5, 11.0, 31.0), (10.75, 12.0, 32.0)))


def test_latencies_are_from_the_last_pod() -> None:
    found = of_jobs([job(Running=12.5, Succeeded=33.0)], 2)
    assert {name: values["p50"] for name, values in found.items()} == {
        "applied to last pod created": 0.75,
        "last pod Running to job Running": 0.5,
        "last pod finished to job Succeeded": 1.0,
        "applied to job Running": 2.5,
    }


def test_a_job_that_was_never_seen_running_is_missing_from_the_count() -> None:
    found = of_jobs([job(Running=12.5, Succeeded=33.0), job(Succeeded=33.0)], 2)
    assert found["last pod Running to job Running"]["count"] == 1
    assert found["last pod finished to job Succeeded"]["count"] == 2


def test_a_job_that_lacks_pods_has_no_last_one() -> None:
    assert job().all_pods(3, "created") is None
    assert JobTimes("j", "n", "u", 1.0, {}, pods((1.0, None, None))).all_pods(1, "running") is None


def test_a_rate_is_over_all_or_there_is_none() -> None:
    assert rate(10.0, [11.0, 12.0]) == {"seconds": 2.0, "per_second": 1.0}
    assert rate(10.0, [11.0, None]) is None
    assert rate(10.0, []) is None


def test_what_was_reached_names_jobs_and_pods() -> None:
    one = job(Running=12.0, Succeeded=33.0)
    found = reached(9.5, [one], list(one.pods.values()))
    assert found["pods Running"] == {"seconds": 2.5, "per_second": 0.8}
    assert found["jobs Succeeded"] == {"seconds": 23.5, "per_second": 0.04}


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=200))
def test_percentiles_are_in_order_and_inside(values: list[float]) -> None:
    found = summary(values)
    assert found["count"] == len(values)
    assert min(values) - 1e-3 <= found["p50"] <= found["p90"] <= found["p99"] <= found["max"]


def test_nothing_has_no_percentiles() -> None:
    assert summary([]) == {"count": 0}


def body(name: str, phase: str, role: str = "worker") -> dict[str, Any]:
    labels = {"trainingjob.dev/role": role, "trainingjob.dev/job": "j"}
    owner = {"kind": "TrainingJob", "uid": "u"}
    metadata = {"name": name, "namespace": "n", "uid": name, "labels": labels, "ownerReferences": [owner]}
    return {"metadata": metadata, "status": {"phase": phase}}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_a_gang_is_told_of_once_whatever_is_seen_first(order: tuple[int, ...]) -> None:
    world, told = World(2), []
    world.on_gang = lambda found: told.append(found.uid)
    job_body = {"metadata": {"name": "j", "namespace": "n", "uid": "u"}}
    steps = [
        lambda: world.applied(1.0, job_body),
        lambda: world.saw_pod(2.0, "ADDED", body("a", "Pending")),
        lambda: world.saw_pod(3.0, "ADDED", body("b", "Pending")),
    ]
    for number in order:
        steps[number]()
    world.saw_pod(4.0, "MODIFIED", body("a", "Running"))
    assert told == []
    world.saw_pod(5.0, "MODIFIED", body("b", "Running"))
    world.saw_pod(6.0, "MODIFIED", body("b", "Running"))
    assert told == ["u"]
    assert world.jobs["u"].all_pods(2, "running") == 5.0
    assert world.jobs["u"].applied == 1.0


def test_the_first_moment_of_a_phase_counts() -> None:
    world = World(1)
    for now in (3.0, 4.0):
        world.saw_job(
            now, "MODIFIED", {"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "status": {"phase": "Running"}}
        )
    assert world.jobs["u"].phases == {"Running": 3.0}
