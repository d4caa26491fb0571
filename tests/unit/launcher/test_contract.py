"""The contract: what one side writes the other reads, within limits, and garbage is refused by name."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_launcher.contract import (
    MAX_LOG_LINES,
    MAX_METRICS,
    MAX_REPORT_BYTES,
    MAX_TERMINATION_BYTES,
    Assignment,
    ContractError,
    Extremes,
    Failure,
    Report,
    Training,
)

counts = st.integers(0, 2**53 - 1)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,62}", fullmatch=True)
members = st.from_regex(r"(chief|worker|evaluator)-(0|[1-9][0-9]{0,3})", fullmatch=True)
codes = st.none() | st.integers(0, 255)


def amounts(limit: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, limit)


trainings = st.builds(
    Training,
    step=st.none() | counts,
    total_steps=st.none() | counts,
    epoch=st.none() | counts,
    total_epochs=st.none() | counts,
    percent=amounts(100.0),
    eta_seconds=amounts(1e9),
    examples_per_second=amounts(1e15),
    metrics=st.dictionaries(names, st.floats(), max_size=MAX_METRICS),
)
failures = st.builds(
    Failure,
    member=members,
    reason=st.from_regex(r"[A-Z][A-Za-z0-9]{0,62}", fullmatch=True),
    message=st.text(max_size=1024),
    exit_code=codes,
    signal=codes,
    generation=counts,
    last_log_lines=st.lists(st.text(max_size=500), max_size=MAX_LOG_LINES).map(tuple),
)
reports = st.builds(
    Report,
    member=members,
    incarnation=counts,
    generation=counts,
    sequence=counts,
    state=st.sampled_from(["Forming", "Running", "Succeeded", "Failed"]),
    final=st.booleans(),
    training=st.none() | trainings,
    failure=st.none() | failures,
)


def same(left: Any, right: Any) -> bool:
    return json.dumps(left.to_json()) == json.dumps(right.to_json())


@given(reports)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    data = report.encode()
    read = Report.decode(data)
    # Lone surrogates and the like become question marks on the way; all else stays.
    assert same(read, Report.decode(read.encode()))
    assert dataclasses.replace(read, training=None, failure=None) == dataclasses.replace(
        report, training=None, failure=None
    )
    if report.training is not None:
        assert read.training is not None
        assert read.training.metrics.keys() == report.training.metrics.keys()
        for name, value in report.training.metrics.items():
            got = read.training.metrics[name]
            assert got == value or (math.isnan(got) and math.isnan(value))


@settings(max_examples=200)
@given(
    reports,
    st.sampled_from([MAX_TERMINATION_BYTES, 1024, MAX_REPORT_BYTES]),
    st.text(max_size=40),
    st.integers(0, 40_000),
)
def test_any_report_fits_and_stays_readable(report: Report, limit: int, text: str, repeat: int) -> None:
    long = (text or "\u20ac\x00") * (repeat // max(1, len(text)))
    failure = Failure("worker-3", "TrainerFailed", long, 1, None, 7, (long, long[:500]))
    data = dataclasses.replace(report, failure=failure).encode(limit)
    assert len(data) <= limit
    read = Report.decode(data)
    assert (read.generation, read.sequence, read.final) == (report.generation, report.sequence, report.final)
    assert read.failure is not None
    assert read.failure.member == "worker-3"


def test_the_newest_log_lines_stay() -> None:
    lines = tuple(f"line {number} " + "x" * 200 for number in range(50))
    report = Report(
        "chief-0", 1, 1, 1, "Failed", True, None, Failure("chief-0", "TrainerFailed", "m", 1, None, 1, lines)
    )
    read = Report.decode(report.encode(MAX_TERMINATION_BYTES))
    assert read.failure is not None
    kept = read.failure.last_log_lines
    assert 10 < len(kept) < 50
    assert kept == lines[-len(kept) :]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
document_fields = [
    "version",
    "member",
    "incarnation",
    "generation",
    "sequence",
    "state",
    "final",
    "training",
    "failure",
]


@given(st.one_of(st.binary(), st.text(), json_values.map(json.dumps)))
def test_garbage_is_refused_without_another_error(data: bytes | str) -> None:
    with pytest.raises(ContractError):
        Report.decode(data)


@settings(max_examples=300)
@given(reports, st.sampled_from(document_fields), json_values)
def test_a_report_with_one_wrong_field_is_read_or_refused(report: Report, field: str, value: Any) -> None:
    document = {**report.to_json(), field: value}
    refused = ""
    try:
        Report.decode(json.dumps(document))
    except ContractError as error:
        refused = error.field
    assert not refused or refused.split(".")[0] in (field, "report")


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 950, 980, 990, 1000, 5000, 30000])
def test_deep_nesting_is_refused_without_another_error(depth: int) -> None:
    for name in ("version", "member", "training", "sequence"):
        document = Report("chief-0", 1, 1, 1, "Running").to_json()
        document[name] = "@"
        with pytest.raises(ContractError):
            Report.decode(json.dumps(document).replace('"@"', "[" * depth + "]" * depth))


ASSIGNMENT = Assignment(
    job="mnist",
    namespace="ml",
    uid="u-1",
    role="worker",
    index=3,
    incarnation=2,
    workers=4,
    key="ab" * 32,
    chief_host="mnist-chief-0.mnist",
    work_dir="/work",
    files={"main.py": 'print("h\u00e9")\n'},
    spec='{"version": 1, "checkpoint": {"path": "/checkpoints"}}',
    report_url="https://intake:8443/report",
    report_ca="-----BEGIN CERTIFICATE-----",
    report_token_file="/var/run/token",
    report_interval_seconds=2.5,
)


def test_an_assignment_is_read_as_it_was_written() -> None:
    env = {**ASSIGNMENT.to_env(), "TRAININGJOB_POD_NAME": "mnist-worker-3", "TRAININGJOB_POD_IP": "10.0.0.7"}
    read = Assignment.from_env(env)
    assert read == dataclasses.replace(ASSIGNMENT, pod_name="mnist-worker-3", pod_ip="10.0.0.7")
    assert read.member == "worker-3"


@pytest.mark.parametrize(
    "missing", ["CONTRACT", "NAME", "NAMESPACE", "UID", "ROLE", "INDEX", "WORKERS", "KEY", "CHIEF"]
)
def test_a_missing_variable_is_named(missing: str) -> None:
    env = ASSIGNMENT.to_env()
    del env[f"TRAININGJOB_{missing}"]
    with pytest.raises(ContractError, match=f"TRAININGJOB_{missing}"):
        Assignment.from_env(env)


@given(st.sampled_from(sorted(ASSIGNMENT.to_env())), st.text(max_size=20))
def test_a_wrong_variable_is_read_or_refused_by_name(name: str, value: str) -> None:
    env = {**ASSIGNMENT.to_env(), name: value}
    refused = name
    try:
        Assignment.from_env(env)
    except ContractError as error:
        refused = error.field
    assert refused == name


def test_what_to_train_is_a_document_of_our_version() -> None:
    assert ASSIGNMENT.document == {"version": 1, "checkpoint": {"path": "/checkpoints"}}
    assert dataclasses.replace(ASSIGNMENT, spec="").document == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must be a JSON object"),
        ("{", "must be a JSON object"),
        ('{"version": 2}', "has version 2, this launcher reads 1: use a trainer image of the operator's release"),
        ("{}", "has version None"),
        ('{"version": true}', "has version True"),
        (json.dumps({"version": 1, "x": "\u20ac" * 33_000}, ensure_ascii=False), "the limit is 98304"),
        ('{"a": ' + "[" * 40_000 + "]" * 40_000 + "}", "must be a JSON object"),
    ],
)
def test_another_document_is_refused(text: str, said: str) -> None:
    with pytest.raises(ContractError, match=f"^TRAININGJOB_SPEC: .*{said}"):
        Assignment.from_env({**ASSIGNMENT.to_env(), "TRAININGJOB_SPEC": text})


@pytest.mark.parametrize("name", ["loss\n", "", "1st", "a b", "x" * 64])
def test_a_metric_needs_a_name(name: str) -> None:
    report = Report("chief-0", 1, 1, 1, "Running", training=Training(metrics={name: 1.0}))
    with pytest.raises(ContractError, match=r"training\.metrics"):
        Report.decode(json.dumps(report.to_json()))


@pytest.mark.parametrize("member", ["chief-0\n", "worker", "worker-01", "ps-0", "evaluator-"])
def test_a_member_needs_a_members_name(member: str) -> None:
    with pytest.raises(ContractError, match="member"):
        Report.decode(json.dumps(Report(member, 1, 1, 1, "Running").to_json()))


def test_what_utf8_cannot_say_becomes_a_question_mark() -> None:
    """A program may write the termination message too; what is read of it goes into the status."""
    failure = {"member": "chief-0", "reason": "X", "message": "a \ud800", "generation": 1, "lastLogLines": ["\udfff"]}
    document = Report("chief-0", 1, 1, 1, "Failed", final=True).to_json() | {"failure": failure}
    read = Report.decode(json.dumps(document)).failure
    assert read is not None
    assert (read.message, read.last_log_lines) == ("a ?", ("?",))


def test_the_termination_message_keeps_the_best_values_where_they_fit() -> None:
    """When the operator was away they are known from there alone."""
    training = Training(step=9, metrics={"loss": 0.25}, extremes={"loss": Extremes(0.125, 2.0, 7, 1)})
    report = Report("chief-0", 1, 1, 1, "Succeeded", final=True, training=training)
    assert Report.decode(report.encode(4096)) == report
