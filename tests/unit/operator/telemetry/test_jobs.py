"""What Prometheus is told of jobs: all that they say, nothing that they don't, and nothing of jobs that are gone."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.operator.telemetry.populated import REPORTED, exposition, running
from trainingjob_operator.telemetry import families
from trainingjob_operator.telemetry.jobs import choose, samples

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(jobs: Any, **settings: Any) -> Series:
    """What Prometheus reads: (name, labels) to value."""
    text = b"".join(await exposition(jobs, **settings).chunks()).decode()
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series[(name, frozenset(labels.items()))]


def of_jobs(series: Series) -> set[str]:
    """The names of jobs that have series."""
    return {dict(labels)["job_name"] for _, labels in series if "job_name" in dict(labels)}


JOB = {"namespace": "ml", "job_name": "mnist"}


async def test_a_job_tells_what_its_status_says() -> None:
    found = await scrape([running()])
    said = {
        "trainingjob_step": 620,
        "trainingjob_total_steps": 1000,
        "trainingjob_epoch": 6,
        "trainingjob_total_epochs": 10,
        "trainingjob_progress_ratio": 0.62,
        "trainingjob_examples_per_second": 9100.5,
        "trainingjob_eta_seconds": 41,
        "trainingjob_generation": 4,
        "trainingjob_failures_counted": 2,
        "trainingjob_backoff_limit": 6,
        "trainingjob_stalled_seconds": 61,
        "trainingjob_goodput_ratio": 0.93,
        "trainingjob_members_ready": 3,
        "trainingjob_last_report_timestamp_seconds": 1767323045,
    }
    assert REPORTED == "2026-01-02T03:04:05Z"
    assert {name: value(found, name, **JOB) for name in said} == said
    assert value(found, "trainingjob_metric", **JOB, metric="val_accuracy") == 0.97
    assert value(found, "trainingjob_metric_best", **JOB, metric="loss") == 0.04
    assert value(found, "trainingjob_phase", **JOB, phase="Running") == 1
    assert value(found, "trainingjob_restarts_total", **JOB, cost="counted") == 2
    assert value(found, "trainingjob_restarts_total", **JOB, cost="free") == 1
    assert value(found, "trainingjob_last_failure", **JOB, reason="TrainerKilled") == 1
    assert value(found, "trainingjob_activity_seconds", **JOB, activity="starting") == 5
    assert value(found, "trainingjob_member_cpu_cores", **JOB, member="worker-1") == 1.25
    assert value(found, "trainingjob_member_gpu_utilization_ratio", **JOB, member="chief-0", gpu="0") == 0.875


async def test_what_restarts_cost_adds_up_whatever_a_status_lacks() -> None:
    """The failure that ended the job counts, but nothing was restarted after it; an older status has no costs."""
    ended = running("a", restarts={"total": 2, "counted": 3, "free": 0}, phase="Failed")
    old = running("b", restarts={"total": 2}, failure={})
    found = await scrape([ended, old])
    for name in ("a", "b"):
        job = {"namespace": "ml", "job_name": name}
        assert value(found, "trainingjob_restarts_total", **job, cost="counted") == 2
        assert value(found, "trainingjob_restarts_total", **job, cost="free") == 0
    assert value(found, "trainingjob_failures_counted", namespace="ml", job_name="a") == 3
    assert ("trainingjob_stalled_seconds", frozenset({("namespace", "ml"), ("job_name", "a")})) not in found
    assert not [
        labels for name, labels in found if name == "trainingjob_last_failure" and ("job_name", "b") in labels
    ]


async def test_the_spec_says_how_much_it_survives() -> None:
    job = running() | {"spec": {"failurePolicy": {"backoffLimit": 0}}}
    assert value(await scrape([job]), "trainingjob_backoff_limit", **JOB) == 0


async def test_a_reason_that_nobody_expects_is_other() -> None:
    found = await scrape([running(failure={"reason": "Custom17", "member": "chief-0"})])
    assert value(found, "trainingjob_last_failure", **JOB, reason="other") == 1


async def test_its_series_go_with_the_job_and_come_with_it() -> None:
    jobs = [running("one"), running("two")]
    replica = exposition(jobs)

    async def names() -> set[str]:
        text = b"".join(await replica.chunks()).decode()
        return {
            s.labels["job_name"]
            for f in text_string_to_metric_families(text)
            for s in f.samples
            if "job_name" in s.labels
        }

    assert await names() == {"one", "two"}
    del jobs[0]
    assert await names() == {"two"}
    jobs.append(running("three"))
    assert await names() == {"two", "three"}


async def test_what_is_not_said_is_absent_and_a_new_job_is_new() -> None:
    bare = {"metadata": {"name": "mnist", "namespace": "ml", "uid": "1"}}
    found = await scrape([bare])
    assert {name for name, labels in found if ("job_name", "mnist") in labels} == {"trainingjob_phase"}
    assert value(found, "trainingjob_phase", **JOB, phase="New") == 1
    assert value(found, "trainingjob_operator_jobs", phase="New") == 1


async def test_a_finished_job_keeps_its_results_and_loses_what_is_of_the_moment() -> None:
    found = await scrape([running(phase="Succeeded", completionTime="2026-01-02T04:00:00Z")])
    names = {name for name, labels in found if ("job_name", "mnist") in labels}
    gone = {"trainingjob_examples_per_second", "trainingjob_eta_seconds"}
    assert {name for name in names if "_member_" in name} | names & gone == set()
    assert value(found, "trainingjob_metric", **JOB, metric="loss") == 0.0481
    assert value(found, "trainingjob_completion_timestamp_seconds", **JOB) == 1767326400


@pytest.mark.parametrize(
    ("said", "number"),
    [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf), (1e-30, 1e-30), (-7, -7)],
)
async def test_every_number_arrives(said: Any, number: float) -> None:
    found = await scrape([running(training={"metrics": {"loss": said}})])
    got = value(found, "trainingjob_metric", **JOB, metric="loss")
    assert got == number or (math.isnan(got) and math.isnan(number))


@pytest.mark.parametrize("said", ["a lot", None, True, [], {}])
async def test_what_is_no_number_is_left_out(said: Any) -> None:
    found = await scrape([running(training={"metrics": {"loss": said}, "step": said, "lastReportTime": said})])
    assert not [name for name, _ in found if name in ("trainingjob_metric", "trainingjob_step")]


@pytest.mark.parametrize("metric", ["val/accuracy", "größe", 'a"b', "a\\nb\nc\\", "a b{c=1}", "", "損失"])
async def test_a_metrics_name_is_a_label_whatever_it_is(metric: str) -> None:
    found = await scrape([running(training={"metrics": {metric: 1.5}})])
    assert value(found, "trainingjob_metric", **JOB, metric=metric) == 1.5


async def test_only_the_leader_tells_of_jobs() -> None:
    found = await scrape([running()], leading=False)
    assert of_jobs(found) == set()
    assert not [name for name, _ in found if name.startswith("trainingjob_operator_jobs")]
    assert value(found, "trainingjob_operator_leader") == 0


async def test_a_job_that_nobody_can_read_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found = await scrape([running("one"), running("odd", telemetry={"members": "none"}), running("two")])
    assert of_jobs(found) == {"one", "two"}
    assert value(found, "trainingjob_operator_jobs_exported") == 2
    assert value(found, "trainingjob_operator_jobs_left_out") == 1
    assert 'job_name="odd"' in caplog.text


async def test_a_job_costs_the_series_that_the_guide_says() -> None:
    """24, and one for each metric and each best value, 3 for each member, 3 for each GPU."""
    found = await scrape([running(members=4, gpus=2)])
    assert len([1 for _, labels in found if ("job_name", "mnist") in labels]) == 24 + 4 + 2 + 4 * 3 + 4 * 2 * 3


async def test_jobs_above_the_limit_are_left_out_and_counted() -> None:
    jobs = [running(f"job-{n}") for n in range(5)]
    found = await scrape(jobs, limit=3)
    assert len(of_jobs(found)) == 3
    assert value(found, "trainingjob_operator_jobs_exported") == 3
    assert value(found, "trainingjob_operator_jobs_left_out") == 2
    assert value(found, "trainingjob_operator_jobs", phase="Running") == 5


def test_running_jobs_come_before_finished_ones_and_young_before_old() -> None:
    def job(name: str, phase: str, day: int) -> Any:
        created = f"2026-01-{day:02}T00:00:00Z"
        return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}

    jobs = [job("a", "Succeeded", 9), job("b", "Running", 1), job("c", "Failed", 8), job("d", "Pending", 2)]
    assert [found["metadata"]["name"] for found in choose(jobs, 3)] == ["d", "b", "a"]
    assert choose(jobs, 4) == jobs


scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
words = st.dictionaries(st.text(max_size=8), scalar, max_size=4)
gpu = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("utilizationPercent", "memoryBytes", "memoryTotalBytes"), scalar)
)
status = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Running", "Succeeded", "Else", ""]) | st.none(),
        "members": st.fixed_dictionaries({}, optional={"desired": scalar, "ready": scalar}) | st.none(),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "step": scalar, "percent": scalar, "lastReportTime": scalar, "metrics": words,
                "best": st.dictionaries(st.text(max_size=8), st.fixed_dictionaries({}, optional={"value": scalar}) | st.none(), max_size=3),
            },
        ),
        "telemetry": st.fixed_dictionaries(
            {}, optional={"members": st.lists(st.fixed_dictionaries({"name": st.text(max_size=8)}, optional={"gpus": st.lists(gpu, max_size=2), "cpuCores": scalar}), max_size=2)}
        ),
        "goodput": st.fixed_dictionaries({}, optional={"ratio": scalar, "stalledSeconds": scalar}),
    },
)  # fmt: skip


@given(said=status)
def test_samples_have_their_familys_labels_whatever_the_status_says(said: Any) -> None:
    job = {"metadata": {"name": "mnist", "namespace": "ml"}, "status": said}
    for family, labels, number in samples(job):
        assert family in families.PER_JOB
        assert len(labels) == len(family.labels) - len(families.JOB)
        assert isinstance(number, float | int)
        assert not isinstance(number, bool)
        assert all(isinstance(label, str) for label in labels)
