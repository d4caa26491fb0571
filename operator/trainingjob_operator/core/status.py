"""The status that the reconciler writes: all but `training` and the metrics' columns, which are the intake's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core import evaluator as evaluation
from trainingjob_operator.core.conditions import Claim, format_time, outcome, render, valid
from trainingjob_operator.core.failure import FailureFact
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import JobFact, parse_time
from trainingjob_operator.core.refusal import Refusal
from trainingjob_operator.core.trouble import Trouble, describe_missing

#: Gangs up to this size have every member in the status; larger ones only those that had more than one pod.
MAX_MEMBER_ITEMS = 32
#: What of a status is news at once; the rest of it goes along, or waits (see plan.SOFT_INTERVAL).
_HARD_FIELDS = ("phase", "observedGeneration", "failure", "completionTime")


class Change(Enum):
    """How much a wanted status differs from the written one."""

    NONE = 0
    SOFT = 1
    HARD = 2


def compare(written: Mapping[str, Any], wanted: Mapping[str, Any]) -> Change:
    """Return whether a write is owed: HARD for phase, reasons and outcome, SOFT for counts and wording."""
    if any(written.get(name) != wanted.get(name) for name in _HARD_FIELDS):
        return Change.HARD
    pairs = list(zip(_by_type(written), _by_type(wanted), strict=False))
    if len(_by_type(written)) != len(_by_type(wanted)):
        return Change.HARD
    if any(old[:3] != new[:3] for old, new in pairs):
        return Change.HARD
    before, after = (status.get("members", {}) for status in (written, wanted))
    if before.get("ready") != after.get("ready") or _evaluator_facts(before) != _evaluator_facts(after):
        return Change.SOFT
    if any(old != new for old, new in pairs):
        return Change.SOFT
    return Change.NONE


def _evaluator_facts(members: Mapping[str, Any]) -> tuple[Any, bool]:
    item = members.get("evaluator") or {}
    return item.get("incarnation"), item.get("phase") == "Failed"


def _by_type(status: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    conditions = status.get("conditions") or ()
    return sorted((c.get("type"), c.get("status"), c.get("reason"), c.get("message")) for c in conditions)


def known_incarnations(job: JobFact) -> dict[str, int]:
    """Return how many pods each member has had, as the status remembers it."""
    members = job.status.get("members", {})
    items = [*(members.get("items") or ()), *([members["evaluator"]] if members.get("evaluator") else [])]
    return {item.get("name", ""): item.get("incarnation", 0) for item in items}


def progressing(
    job: JobFact, gang: Gang, phase: Phase, trouble: Trouble | None, now: datetime, *, settled: bool
) -> dict[str, Any]:
    """Return the status of a job on its way. `settled` adds whom it waits for, once that takes long."""
    if phase is Phase.PENDING:
        running = Claim(Condition.RUNNING, False, Reason.NOT_STARTED, "waiting for all members' pods to run")
    elif phase is Phase.STARTING:
        running = Claim(Condition.RUNNING, False, Reason.GANG_FORMING, "all members' pods run; the gang is forming")
    else:
        reason = Reason.GANG_FORMED if job.formed_generation else Reason.NO_REPORTS
        since = parse_time(job.status.get("training", {}).get("lastReportTime")) or _up_since(gang)
        running = Claim(Condition.RUNNING, True, reason, describe_running(job, gang), since)
    claims = (valid(True, "the spec is accepted"), _members_ready(job, gang, trouble, settled), running)
    status = _status(job, gang, phase, (*claims, *outcome(phase, "", "", None)), now)
    if trouble is not None and not trouble.harmless:
        status["display"]["reason"] = str(trouble.reason)
    return status


def ending(job: JobFact, gang: Gang, phase: Phase, failure: FailureFact | None, now: datetime) -> dict[str, Any]:
    """Return the status of a job whose outcome is known; `phase` may still be one on the way there."""
    if not phase.finished:
        return progressing(job, gang, phase, None, now, settled=False)
    chief = gang.chief.pod
    ended = failure.at if failure else chief.terminated.finished_at if chief and chief.terminated else None
    if failure is None:
        reason, message = str(Reason.CHIEF_SUCCEEDED), "the chief's trainer ended with exit code 0"
    else:
        reason, message = failure.failure.reason, failure.failure.message
    claims = (
        valid(True, "the spec is accepted"),
        Claim(Condition.MEMBERS_READY, False, Reason.MEMBERS_FINISHED, "the job has finished", ended),
        Claim(Condition.RUNNING, False, Reason.FINISHED, "the job has finished", ended),
        *outcome(phase, reason, message, ended),
    )
    status = _status(job, gang, phase, claims, now)
    status["completionTime"] = job.status.get("completionTime") or format_time(ended or now)
    if failure is not None:
        status["failure"] = _failure(failure)
        status["display"]["reason"] = failure.failure.reason
    return status


def invalid(job: JobFact, problems: Sequence[Problem], now: datetime) -> dict[str, Any]:
    """Return the status of a job whose spec can't be run."""
    return _invalid(job, "; ".join(str(problem) for problem in problems), now)


def refused(job: JobFact, refusal: Refusal, now: datetime) -> dict[str, Any]:
    """Return the status of a job whose pods the API server calls invalid."""
    text = f"the API server refuses the {refusal.subject}: {refusal.message}; mend the spec and apply the job again"
    return _invalid(job, text, now)


def describe_gang(gang: Gang) -> str:
    """Return the gang in words, `chief and 2 workers`."""
    workers = len(gang.members) - 1
    return "the chief" if not workers else f"the chief and {workers} worker{'' if workers == 1 else 's'}"


def describe_running(job: JobFact, gang: Gang) -> str:
    """Return what the Running condition and event say."""
    if job.formed_generation:
        text = f"generation {job.formed_generation} trains with {describe_gang(gang)}"
    else:
        text = f"{describe_gang(gang)} run; no report has arrived"
    trouble = evaluation.describe_trouble(gang)
    return f"{text}; {trouble}" if trouble else text


def describe_success(gang: Gang, report: Report | None) -> str:
    """Return what the Succeeded event says, with the final numbers where there are any."""
    metrics = report.training.metrics if report and report.training else {}
    shown = ", ".join(f"{name}={value:.4g}" for name, value in list(metrics.items())[:4])
    return f"{describe_gang(gang)} finished" + (f": {shown}" if shown else "")


def _invalid(job: JobFact, message: str, now: datetime) -> dict[str, Any]:
    not_started = "the spec is invalid: no pods are made"
    claims = (
        valid(False, message),
        Claim(Condition.MEMBERS_READY, False, Reason.INVALID_SPEC, not_started),
        Claim(Condition.RUNNING, False, Reason.INVALID_SPEC, not_started),
        *outcome(Phase.INVALID, "", "", None),
    )
    return {
        "observedGeneration": job.generation,
        "phase": str(Phase.INVALID),
        "conditions": render(claims, job, now),
        "display": {"reason": str(Reason.INVALID_SPEC)},
    }


def _status(job: JobFact, gang: Gang, phase: Phase, claims: Sequence[Claim], now: datetime) -> dict[str, Any]:
    desired = len(gang.members)
    members: dict[str, Any] = {"desired": desired, "ready": gang.up, "items": _items(gang, phase)}
    if gang.evaluator is not None:
        members["evaluator"] = _item(gang.evaluator, last=phase.finished)
    display = {"members": f"{gang.up}/{desired}"}
    if node := _nodes(gang):
        display["node"] = node
    status: dict[str, Any] = {
        "observedGeneration": job.generation,
        "phase": str(phase),
        "conditions": render(claims, job, now),
        "startTime": job.status.get("startTime") or format_time(now),
        "members": members,
        "display": display,
    }
    if job.formed_generation:
        status["restarts"] = {"total": job.formed_generation - 1}
    return status


def _nodes(gang: Gang) -> str:
    """Return the chief's node, and how many others the members are on: gpu-1 (+3)."""
    first = gang.chief.pod.node if gang.chief.pod else ""
    others = {member.pod.node for member in gang.members if member.pod is not None} - {first, ""}
    if not others:
        return first
    return f"{first or '?'} (+{len(others)})"


def _members_ready(job: JobFact, gang: Gang, trouble: Trouble | None, settled: bool) -> Claim:
    kind = Condition.MEMBERS_READY
    if gang.complete:
        return Claim(kind, True, Reason.MEMBERS_RUNNING, f"{describe_gang(gang)} run", _up_since(gang))
    old = job.condition(kind)
    if trouble is not None:
        # The kubelet alternates between two wordings of a failed pull: the first one stays.
        same = old.get("reason") == trouble.reason and str(old.get("message", "")).startswith(trouble.who + ":")
        keep = same and trouble.reason is Reason.IMAGE_NOT_PULLED
        return Claim(kind, False, trouble.reason, old["message"] if keep else trouble.message)
    text = describe_missing(gang) if settled else f"starting {describe_gang(gang)}"
    return Claim(kind, False, Reason.MEMBERS_STARTING, text)


def _up_since(gang: Gang) -> datetime | None:
    starts = [m.pod.started_at for m in gang.members if m.pod is not None and m.pod.started_at is not None]
    return max(starts) if len(starts) == len(gang.members) else None


def _items(gang: Gang, phase: Phase) -> list[dict[str, Any]]:
    shown = gang.members
    if len(shown) > MAX_MEMBER_ITEMS:
        shown = tuple(member for member in shown if member.incarnations > 1)
    return [_item(member, last=phase.finished) for member in shown]


def _item(member: Member, *, last: bool) -> dict[str, Any]:
    """Return a member's entry. The `last` one says no phase of a pod that still runs: it would stay there untrue."""
    item: dict[str, Any] = {"name": member.name}
    if member.incarnations:
        item["incarnation"] = member.incarnations
    if member.pod is not None:
        item["pod"] = member.pod.name
        if member.pod.finished or not last:
            item["phase"] = member.pod.phase
        if member.pod.node:
            item["node"] = member.pod.node
    return item


def _failure(fact: FailureFact) -> dict[str, Any]:
    f = fact.failure
    values = {
        "member": f.member,
        "pod": fact.pod or None,
        "node": fact.node or None,
        "exitCode": f.exit_code,
        "signal": f.signal,
        "reason": f.reason,
        "message": f.message,
        "generation": f.generation,
        "lastLogLines": list(f.last_log_lines) or None,
    }
    return {name: value for name, value in values.items() if value is not None}
