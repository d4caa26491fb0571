"""Reading TrainingJobs and pods: what is there, and nothing else, whatever it is."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.jobs import FAILURE, NOW, failed, pod, running
from trainingjob_client.draw.show import Paper, beneath, live, show
from trainingjob_client.view.events import read_event
from trainingjob_client.view.fields import metric_value, read_time
from trainingjob_client.view.job import read_job
from trainingjob_client.view.pods import members, newest, read_pod

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def replaced(value: Any, where: list[Any], by: Any) -> Any:
    """Put something else somewhere into a document; `where` picks the way."""
    if not where or not isinstance(value, dict | list) or not value:
        return by
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[where[0] % len(keys)]
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = replaced(value[key], where[1:], by)
    return copy


def test_a_running_job_is_read_whole() -> None:
    job = read_job(running())
    assert (job.name, job.namespace, job.phase, job.desired, job.gang.restarts) == (
        "digits",
        "vision",
        "Running",
        2,
        1,
    )
    assert job.started == datetime(2026, 11, 22, 12, 0, 10, tzinfo=UTC)
    assert (job.training.step, job.training.total_steps, job.training.percent) == (40, 60, 66.7)
    assert job.training.metrics["loss"] == 0.25
    assert math.isnan(job.training.metrics["val_loss"])
    assert (job.training.best["loss"].value, job.training.best["loss"].step) == (0.2, 30)
    assert len(job.training.history) == 4
    assert job.goodput.ratio == 0.75
    total, (chief,) = job.telemetry.total, job.telemetry.members
    assert total is not None
    assert (total.gpus, total.gpu_percent, chief.gpus, chief.gpu_percent) == (2, 71.5, 2, 71.5)
    assert chief.gpu_memory_bytes == 8 * 2**30
    assert not job.finished


def test_a_new_job_has_said_nothing() -> None:
    job = read_job({"metadata": {"name": "new", "namespace": "n"}, "spec": {}})
    assert (job.phase, job.training.percent, job.telemetry.total, job.failure) == ("", None, None, None)
    lines = show(job, [], [], NOW, Paper(80))
    assert [line.plain for line in lines] == ["new   namespace n   Not seen by the operator yet"]


def test_a_failed_job_says_why() -> None:
    job = read_job(failed())
    assert job.finished
    assert not job.succeeded
    assert job.failure is not None
    assert job.failure.last_log_lines == tuple(FAILURE["lastLogLines"])


@given(st.lists(st.integers(0, 30), max_size=8), json_values)
def test_nothing_that_an_api_server_may_answer_is_too_strange(where: list[int], by: Any) -> None:
    job = read_job(replaced(failed(), where, by))
    read_pod(replaced(pod("chief-0"), where, by))
    event = read_event(by)
    paper = Paper(80)
    lines = show(job, members(job, []), [event], NOW, paper)
    lines += live(job, NOW, paper) + beneath(job, members(job, []), [event], NOW)
    assert lines


@given(json_values)
def test_neither_is_anything_else(value: Any) -> None:
    read_job(value)
    read_pod(value)
    read_event(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("12", None),
        (True, None),
        (None, None),
    ],
)
def test_values_of_metrics(value: Any, read: float | None) -> None:
    assert metric_value(value) == read
    assert metric_value(10**400) == math.inf


def test_times_have_a_zone() -> None:
    assert read_time("2026-11-22T12:00:00Z") == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert read_time("2026-11-22T12:00:00.123456Z") is not None
    assert read_time("2026-11-22T12:00:00") is None
    assert read_time("yesterday") is None


def test_members_are_what_their_pods_say_and_the_status_remembers_the_rest() -> None:
    pods = [
        read_pod(pod("worker-0", 1, "Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})),
        read_pod(pod("worker-0", 2, "Pending", node="", waiting={"reason": "ImagePullBackOff"})),
    ]
    found = members(read_job(running()), pods)
    assert [(m.name, m.incarnation, m.phase, m.node) for m in found] == [
        ("worker-0", 2, "Pending (ImagePullBackOff)", ""),
        ("chief-0", 1, "Running", "gpu-1"),
    ]


def test_the_newest_incarnation_of_each_counts_and_members_are_in_their_order() -> None:
    names = ["evaluator-0", "worker-10", "worker-2", "chief-0", "worker-2"]
    pods = [read_pod(pod(name, incarnation)) for incarnation, name in enumerate(names, 1)]
    assert [(p.member, p.incarnation) for p in newest(pods)] == [
        ("chief-0", 4), ("worker-2", 5), ("worker-10", 2), ("evaluator-0", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "running_now", "started"),
    [
        ({"running": {"startedAt": "2026-11-22T12:00:00Z"}}, True, True),
        ({"waiting": {"reason": "ContainerCreating"}}, False, False),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, False, True),
    ],
)
def test_a_pod_has_a_log_once_its_container_has_started(state: Any, running_now: bool, started: bool) -> None:
    found = read_pod(pod("chief-0", **state))
    assert (found.running, found.started) == (running_now, started)


def test_events_have_the_time_that_they_were_seen_last() -> None:
    event = read_event(
        {"lastTimestamp": "2026-11-22T12:00:00Z", "reason": "Running", "message": "m", "type": "Warning"}
    )
    assert event.time == NOW - timedelta(seconds=130)
    assert event.warning
