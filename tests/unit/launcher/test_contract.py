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
    STATES,
    Assignment,
    ContractError,
    Extremes,
    Failure,
    LastFailure,
    Ledger,
    MemberUsage,
    Policy,
    Report,
    Rule,
    Telemetry,
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
    resumed_step=st.none() | counts,
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
words = st.from_regex(r"[A-Z][A-Za-z0-9]{0,62}", fullmatch=True)
ledgers = st.builds(
    Ledger,
    generation=counts,
    counted=counts,
    step=st.none() | counts,
    started=st.booleans(),
    fruitless=counts,
    last=st.none()
    | st.builds(
        LastFailure,
        reason=words,
        message=st.text(st.characters(exclude_categories=["Cs"]), max_size=256),
        exit_code=codes,
        signal=codes,
        step=st.none() | counts,
    ),
)
reports = st.builds(
    Report,
    member=members,
    incarnation=counts,
    generation=counts,
    sequence=counts,
    state=st.sampled_from(STATES),
    final=st.booleans(),
    training=st.none() | trainings,
    failure=st.none() | failures,
    ledger=st.none() | ledgers,
    size=st.none() | counts,
    unreachable=st.lists(members, max_size=40).map(tuple),
    stalled=amounts(1e9),
    chief_incarnation=st.none() | counts,
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


FULL = Report(
    "chief-0",
    1,
    7,
    9,
    "Restarting",
    training=Training(step=2**52, metrics={f"{'m' * 58}{n:04}": -1.23456789e-200 for n in range(MAX_METRICS)}),
    failure=Failure("worker-3", "TrainerKilled", "m" * 1024, 137, 9, 6, ("\u20ac" * 1024,) * MAX_LOG_LINES),
    telemetry=Telemetry(members=tuple(MemberUsage(f"worker-{n}", 1.0, 2.0, 3.0) for n in range(32))),
    ledger=Ledger(7, 5, 2**52, True, 3, LastFailure("TrainerKilled", "\x00" * 256, 137, 9, 2**52)),
    size=1000,
    unreachable=tuple(f"worker-{n}" for n in range(999)),
    stalled=61.5,
)


@pytest.mark.parametrize("limit", [MAX_REPORT_BYTES, MAX_TERMINATION_BYTES, 1024])
def test_a_report_with_everything_in_it_fits(limit: int) -> None:
    """A thousand members are gone at once, each metric has a long name, and the log is not ASCII."""
    data = FULL.encode(limit)
    assert len(data) <= limit
    read = Report.decode(data)
    assert (read.state, read.size, read.stalled) == ("Restarting", 1000, 61.5)
    assert read.ledger is not None
    assert dataclasses.replace(read.ledger, last=None) == Ledger(7, 5, 2**52, True, 3)
    assert read.ledger.last is not None
    assert (read.ledger.last.reason, read.ledger.last.step) == ("TrainerKilled", 2**52)
    assert read.failure is not None
    assert read.failure.reason == "TrainerKilled"
    assert read.unreachable == FULL.unreachable[: len(read.unreachable)]
    if limit == MAX_REPORT_BYTES:
        assert len(read.unreachable) >= 32, "more than the status shows"
        assert len(read.failure.last_log_lines) >= 10


def test_a_thousand_members_that_are_gone_cost_no_log_line() -> None:
    lines = tuple(f"line {number}" for number in range(MAX_LOG_LINES))
    failure = Failure("worker-3", "MemberLost", "is gone", generation=6, last_log_lines=lines)
    report = dataclasses.replace(FULL, training=None, telemetry=None, failure=failure)
    assert Report.decode(report.encode()) == report
    for limit in (8192, MAX_TERMINATION_BYTES):
        read = Report.decode(report.encode(limit))
        assert read.failure == failure
        assert 32 <= len(read.unreachable) < 999


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
    "ledger",
    "size",
    "unreachable",
    "stalledSeconds",
    "chiefIncarnation",
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


policies = st.builds(
    Policy,
    backoff_limit=st.integers(0, 10**6),
    rules=st.lists(
        st.builds(
            Rule,
            st.sampled_from(["Restart", "RestartFree", "Fail", "Ignore"]),
            st.lists(st.integers(1, 255), max_size=4).map(tuple),
            st.lists(words, max_size=4).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    stall=st.none() | st.integers(1, 10**7).map(float),
    warm_standby=st.booleans(),
    checkpoints=st.booleans(),
)


@given(policies, ledgers, st.integers(0, 999_999), st.none() | st.integers(0, 999), st.integers(1, 10**6))
def test_policy_ledger_and_tally_travel_with_the_assignment(
    policy: Policy, ledger: Ledger, tally: int, least: int | None, wait: int
) -> None:
    if least is not None:
        policy = dataclasses.replace(policy, min_workers=least, elastic_wait=float(wait))
    told = dataclasses.replace(ASSIGNMENT, policy=policy, ledger=ledger, pod_failures=tally)
    assert Assignment.from_env(told.to_env()) == told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POLICY", "[]"),
        ("POLICY", "{"),
        ("POLICY", "{}"),
        ("POLICY", '{"backoffLimit": -1}'),
        ("POLICY", '{"backoffLimit": 1, "rules": [{"action": "Explode"}]}'),
        ("POLICY", '{"backoffLimit": 1, "rules": [{"action": "Fail", "exitCodes": [true]}]}'),
        ("POLICY", '{"backoffLimit": 1, "stallSeconds": -1}'),
        ("POLICY", "[" * 50_000),
        ("LEDGER", "7"),
        ("LEDGER", '{"generation": 1}'),
        ("LEDGER", '{"generation": 1, "counted": 1.5}'),
        ("LEDGER", '{"generation": 1, "counted": 1, "last": {"reason": ""}}'),
        ("LEDGER", "[" * 50_000),
        ("POD_FAILURES", "-1"),
        ("POD_FAILURES", "many"),
    ],
)
def test_a_policy_or_ledger_that_is_wrong_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(ContractError) as caught:
        Assignment.from_env({**ASSIGNMENT.to_env(), f"TRAININGJOB_{name}": text})
    assert name in caught.value.field.upper()


# --- The ledger: whoever puts two together, in whatever order, gets the later ---


@st.composite
def histories(draw: st.DrawFn) -> list[Ledger]:
    """Draw the ledgers that a job goes through: generations form, make steps or none, and fail or are ended."""
    ledger, history = Ledger(), [Ledger()]
    for kind, steps, reason in draw(
        st.lists(st.tuples(st.sampled_from(["counted", "free"]), st.integers(0, 3), words), max_size=8)
    ):
        ledger = dataclasses.replace(ledger, generation=ledger.generation + 1)
        history.append(ledger)
        for _ in range(steps):
            ledger = dataclasses.replace(ledger, step=(ledger.step or 0) + draw(st.integers(1, 9)), started=True)
            history.append(ledger)
        ledger = dataclasses.replace(
            ledger,
            counted=ledger.counted + (kind == "counted"),
            fruitless=0 if steps else ledger.fruitless + 1,
            last=LastFailure(reason, "m", 1, None, ledger.step),
        )
        history.append(ledger)
    return history


@given(histories(), st.data())
def test_the_newest_of_two_ledgers_of_a_job_is_the_later(history: list[Ledger], data: st.DataObject) -> None:
    places = st.integers(0, len(history) - 1)
    first, second, third = (data.draw(places) for _ in range(3))
    a, b, c = history[first], history[second], history[third]
    assert a.newest(b) == b.newest(a) == history[max(first, second)]
    assert a.newest(b.newest(c)) == a.newest(b).newest(c) == history[max(first, second, third)]
    assert a.newest(a) == a


@given(ledgers, ledgers)
def test_nothing_that_either_ledger_knows_to_have_happened_is_lost(a: Ledger, b: Ledger) -> None:
    """Two chiefs went on from one ledger, for a partition's sake."""
    both = a.newest(b)
    assert both == b.newest(a)
    assert both.counted == max(a.counted, b.counted)
    assert both.generation == max(a.generation, b.generation)
    assert (both.step or 0) == max(a.step or 0, b.step or 0)
    assert both.started == (a.started or b.started)


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
    last = {"reason": "R" * 100 + "\ud800", "message": "\ud800"}
    document = Report("chief-0", 1, 1, 1, "Failed", final=True).to_json() | {"failure": failure}
    document["ledger"] = {"generation": 1, "counted": 1, "last": last}
    ledger = Report.decode(json.dumps(document)).ledger
    assert ledger is not None
    assert ledger.last == LastFailure("R" * 63, "?")
    read = Report.decode(json.dumps(document)).failure
    assert read is not None
    assert (read.message, read.last_log_lines) == ("a ?", ("?",))


def test_the_termination_message_keeps_the_best_values_where_they_fit() -> None:
    """When the operator was away they are known from there alone."""
    training = Training(step=9, metrics={"loss": 0.25}, extremes={"loss": Extremes(0.125, 2.0, 7, 1)})
    report = Report("chief-0", 1, 1, 1, "Succeeded", final=True, training=training)
    assert Report.decode(report.encode(4096)) == report
