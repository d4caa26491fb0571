"""`status.gang`: the gang as its launchers tell it. Pure.

The chief's reports say how many train, what the job has been through, why the last generation failed, whom the gang
misses, and that it stalls. Workers say one thing, that they have lost their chief from sight. It counts for nothing
as soon as the chief is heard again, by any replica: one worker that lies or is confused must not get a chief replaced
that trains happily. Two things see to that:

- It is shown only when the chief has been silent for `patience` seconds. A chief reports once per interval, so a
  silence of one and a half is none of its habits; and 3 s are the least that a busy machine may take.
- It says since when it is shown, not since when it is said, and the reconciler waits from then on. A replica knows of
  the other one's reports from the status alone, up to 15 s late, so it may be wrong; but then the other one writes
  that the chief was heard as soon as it is, at once, which is one interval later at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from trainingjob_operator.api.contract import ContractError, Failure, Ledger, Report
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.history import Order
from trainingjob_operator.core.observe import parse_time

Json = Mapping[str, Any]

#: What of a failure and of the missing members goes into the status: it is written often, and the first ones tell.
LOG_LINES, LINE_LENGTH, MEMBERS = 20, 256, 32
#: For how long a chief is silent before workers are believed, in seconds and in its report intervals.
SILENCE_SECONDS, SILENCE_INTERVALS = 3.0, 1.5
#: States in which a chief does not speak of its gang any more.
_LAST_WORDS = ("Terminated", "Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Lost:
    """Workers have lost the chief of this incarnation: `member` says so, and is believed since then (since 1970)."""

    incarnation: int
    member: str
    since: float


@dataclass(frozen=True, slots=True)
class Missed:
    """A member that the chief misses: first told at `since`; `before` is the last report that did not miss it."""

    since: float
    before: Order | None


@dataclass(frozen=True, slots=True)
class ToldFailure:
    """Why a generation failed, and when that was told first."""

    failure: Failure
    at: float

    @classmethod
    def after(cls, known: "ToldFailure | None", failure: Failure | None, at: float) -> "ToldFailure | None":
        """Return the failure that is known when a report with this one, or with none, has come."""
        if failure is None:
            return known
        if known is None or failure_key(known.failure) != failure_key(failure):
            return cls(failure, at)
        lines = failure.last_log_lines or known.failure.last_log_lines  # told once
        return cls(replace(failure, last_log_lines=lines), known.at)


def failure_key(failure: Failure) -> tuple[Any, ...]:
    """Return what makes a failure another one: the rest may be told better in a later report."""
    return failure.generation, failure.member, failure.reason


def patience(interval: float) -> float:
    """Return how long a chief with this report interval is silent, in seconds, before workers are believed."""
    return max(SILENCE_SECONDS, SILENCE_INTERVALS * interval)


def missed_after(
    known: Mapping[str, Missed], report: Report, at: float, before: Order | None
) -> Mapping[str, Missed]:
    """Return whom the chief misses after this report; `before` is the order of the one before it, if any."""
    return {name: known.get(name) or Missed(at, before) for name in report.unreachable}


def ledger_after(known: Ledger | None, told: Ledger | None) -> Ledger | None:
    """Return the later of two ledgers."""
    return known.newest(told) if known is not None and told is not None else told or known


def gang_status(
    report: Report,
    heard_at: float,
    old: Json,
    shown: Order | None,
    ledger: Ledger | None,
    failure: ToldFailure | None,
    missed: Mapping[str, Missed],
    lost: Lost | None,
) -> dict[str, Any]:
    """Return `status.gang` after a report that was heard at this time, in seconds since 1970.

    `old` is what it was, at the report of the order `shown`. `failure`, `missed` and `lost` are what has been told
    since, this report included.
    """
    out: dict[str, Any] = {}
    if report.size is not None and report.state == "Running":
        out["size"] = report.size
    known = ledger_after(_ledger(old), ledger)
    if known is not None:
        out["ledger"] = known.to_json()
    shown_failure = _failure(old.get("failure") or {}, failure)
    if shown_failure:
        out["failure"] = shown_failure
    if report.state in _LAST_WORDS:
        return out
    members = _missed(old.get("unreachable") or (), shown, report, missed)
    if members:
        out["unreachable"] = members
    if report.stalled is not None:
        out["stalledSeconds"] = max(1, round(report.stalled))
    notice = chief_lost(old, lost, heard_at, report.incarnation)
    if notice:
        out["chiefLost"] = notice
    return out


def chief_lost(old: Json, lost: Lost | None, heard_at: float | None, incarnation: int) -> dict[str, Any] | None:
    """Return `chiefLost` of a status whose chief, of this incarnation, was heard last at this time; None for none."""
    known = old.get("chiefLost") or {}
    since = parse_time(known.get("since"))
    stands = since is not None and known.get("incarnation", 0) >= incarnation and _after(since.timestamp(), heard_at)
    if lost is None or lost.incarnation < incarnation or not _after(lost.since, heard_at):
        return dict(known) if stands else None
    if stands and known["incarnation"] == lost.incarnation:
        return dict(known)
    return {"incarnation": lost.incarnation, "member": lost.member, "since": _time(lost.since)}


def _after(since: float, heard_at: float | None) -> bool:
    return heard_at is None or since > heard_at


def _ledger(old: Json) -> Ledger | None:
    try:
        return Ledger.from_json(old["ledger"])
    except (KeyError, ContractError):
        return None


def _failure(old: Json, told: ToldFailure | None) -> Json:
    if told is None:
        return old
    failure = told.failure
    same = tuple(old.get(name) for name in ("generation", "member", "reason")) == failure_key(failure)
    values = {
        "time": old["time"] if same and "time" in old else _time(told.at),
        "member": failure.member,
        "exitCode": failure.exit_code,
        "signal": failure.signal,
        "reason": failure.reason,
        "message": failure.message,
        "generation": failure.generation,
        "lastLogLines": [line[:LINE_LENGTH] for line in failure.last_log_lines[-LOG_LINES:]]
        or (old.get("lastLogLines") if same else None),
    }
    return {name: value for name, value in values.items() if value is not None}


def _missed(
    old: Sequence[Json], shown: Order | None, report: Report, missed: Mapping[str, Missed]
) -> list[dict[str, Any]]:
    """Return the members that are missed; one that the status has keeps its time, if it was missed ever since."""
    times = {item.get("name"): item.get("since") for item in old}
    found: list[dict[str, Any]] = []
    for name in report.unreachable[:MEMBERS]:
        told = missed.get(name)
        # This process may have heard later than the status shows that the member was there.
        ever_since = told is None or told.before is None or (shown is not None and shown > told.before)
        since = times.get(name) if ever_since else None
        if since is None and told is not None:
            since = _time(told.since)
        found.append({"name": name, "since": since})
    return [item for item in found if item["since"] is not None]


def _time(at: float) -> str:
    return format_time(datetime.fromtimestamp(at, UTC))
