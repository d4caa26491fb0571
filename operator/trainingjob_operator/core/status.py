"""The status that the reconciler writes: all but `training` and the metrics' columns, which are the intake's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core import suspend
from trainingjob_operator.core.cause import failure_status
from trainingjob_operator.core.conditions import Claim, format_time, outcome, render, valid
from trainingjob_operator.core.failure import FailureFact
from trainingjob_operator.core.gang import CHIEF, Gang, Member
from trainingjob_operator.core.observe import JobFact, parse_time
from trainingjob_operator.core.refusal import Refusal
from trainingjob_operator.core.restarts import restarts_status, resumed_from
from trainingjob_operator.core.review import Review
from trainingjob_operator.core.story import describe_end, describe_gang, describe_running, stalled
from trainingjob_operator.core.trouble import Trouble, describe_missing

#: Gangs up to this size have every member in the status; larger ones only those with a pod that was lost or failed,
#: and all while the job is suspended.
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
    if any(old[:3] != new[:3] for old, new in pairs) or _pod_counts(written) != _pod_counts(wanted):
        return Change.HARD
    before, after = (status.get("members", {}) for status in (written, wanted))
    if before.get("ready") != after.get("ready") or _evaluator_facts(before) != _evaluator_facts(after):
        return Change.SOFT
    if any(old != new for old, new in pairs):
        return Change.SOFT
    return Change.NONE


def _pod_counts(status: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return what must outlive the pods: of members that had more than one, or one that failed."""
    items = status.get("members", {}).get("items") or ()
    counts = {item.get("name", ""): (item.get("incarnation") or 1, item.get("failures") or 0) for item in items}
    return {name: count for name, count in counts.items() if count != (1, 0)}


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
    known = {item.get("name", ""): item.get("incarnation", 0) for item in items}
    reported = job.status.get("training", {}).get("incarnation")
    if isinstance(reported, int):
        # Generations are fenced by the chief's incarnation: one that has reported is never given twice.
        known[CHIEF] = max(known.get(CHIEF, 0), reported)
    return known


def known_failures(job: JobFact) -> dict[str, int]:
    """Return how many pods of each member have failed in a way that counts, as the status remembers it."""
    items = job.status.get("members", {}).get("items") or ()
    return {item.get("name", ""): item.get("failures") or 0 for item in items}


def progressing(
    job: JobFact, seen: Review, phase: Phase, trouble: Trouble | None, now: datetime, *, settled: bool
) -> dict[str, Any]:
    """Return the status of a job on its way. `settled` adds whom it waits for, once that takes long."""
    gang = seen.gang
    if phase is Phase.PENDING:
        running = Claim(Condition.RUNNING, False, Reason.NOT_STARTED, "waiting for all members' pods to run")
    elif phase is Phase.STARTING:
        running = Claim(Condition.RUNNING, False, Reason.GANG_FORMING, "all members' pods run; the gang is forming")
    elif phase is Phase.RESTARTING:
        running = Claim(Condition.RUNNING, False, Reason.GANG_RESTARTING, describe_end(job, seen))
    else:
        reason = Reason.GANG_FORMED if job.formed_generation else Reason.NO_REPORTS
        since = parse_time(job.status.get("training", {}).get("lastReportTime")) or _up_since(gang)
        running = Claim(Condition.RUNNING, True, reason, describe_running(job, gang), since)
    claims = (
        valid(True, "the spec is accepted"),
        _members_ready(job, gang, trouble, settled),
        running,
        *outcome(phase, "", "", None),
        *stalled(job),
        *suspend.claim(job, phase),
    )
    status = gang_status(job, seen, phase, claims, now)
    if trouble is not None and not trouble.harmless:
        status["display"]["reason"] = str(trouble.reason)
    elif phase is Phase.RESTARTING and seen.failure is not None:
        status["display"]["reason"] = seen.failure["reason"]
    return status


def ending(job: JobFact, seen: Review, phase: Phase, failure: FailureFact | None, now: datetime) -> dict[str, Any]:
    """Return the status of a job whose outcome is known; `phase` may still be one on the way there."""
    gang = seen.gang
    if not phase.finished:
        return progressing(job, seen, phase, None, now, settled=False)
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
        *stalled(job, over=True),
        *suspend.claim(job, phase),
    )
    status = gang_status(job, seen, phase, claims, now)
    status["completionTime"] = job.status.get("completionTime") or format_time(ended or now)
    if failure is not None:
        status["failure"] = failure_status(failure, format_time(ended or now))
        status["display"]["reason"] = str(failure.failure.reason)
    return status


def suspended(job: JobFact, seen: Review, now: datetime) -> dict[str, Any]:
    """Return the status of a suspended job. Its members count no longer, also while their pods still save."""
    ending = any(not pod.finished for pod in seen.gang.pods)
    pods = (Reason.MEMBERS_ENDING, "the pods save and end") if ending else (Reason.JOB_SUSPENDED, "there are no pods")
    claims = (
        valid(True, "the spec is accepted"),
        Claim(Condition.MEMBERS_READY, False, *pods),
        Claim(Condition.RUNNING, False, Reason.JOB_SUSPENDED, "the job is suspended"),
        *outcome(Phase.SUSPENDED, "", "", None),
        *stalled(job, over=True),
        *suspend.claim(job, Phase.SUSPENDED),
    )
    status = gang_status(job, seen, Phase.SUSPENDED, claims, now)
    status["members"]["ready"] = 0
    status["display"] = {"members": f"0/{len(seen.gang.members)}"}
    return status


def invalid(job: JobFact, problems: Sequence[Problem], now: datetime) -> dict[str, Any]:
    """Return the status of a job whose spec can't be run."""
    return _invalid(job, "; ".join(str(problem) for problem in problems), now)


def refused(job: JobFact, refusal: Refusal, now: datetime) -> dict[str, Any]:
    """Return the status of a job whose pods the API server calls invalid."""
    text = f"the API server refuses the {refusal.subject}: {refusal.message}; mend the spec and apply the job again"
    return _invalid(job, text, now)


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
        *suspend.claim(job, Phase.INVALID),
    )
    return {
        "observedGeneration": job.generation,
        "phase": str(Phase.INVALID),
        "conditions": render(claims, job, now),
        "display": {"reason": str(Reason.INVALID_SPEC)},
    }


def gang_status(job: JobFact, seen: Review, phase: Phase, claims: Sequence[Claim], now: datetime) -> dict[str, Any]:
    """Return the status of a job that has a gang. What the reconciler does not name here is gone from the status."""
    gang = seen.gang
    desired = len(gang.members)
    members: dict[str, Any] = {"desired": desired, "ready": gang.up, "items": _items(seen, phase)}
    if gang.evaluator is not None:
        members["evaluator"] = _item(gang.evaluator, 0, last=phase.finished)
    display = {"members": f"{gang.up}/{desired}"}
    if node := _nodes(gang):
        display["node"] = node
    status: dict[str, Any] = {
        "observedGeneration": job.generation,
        "phase": str(phase),
        "conditions": render(claims, job, now),
        **suspend.clock_status(job, phase, now),
        "members": members,
        "display": display,
    }
    if seen.generation:
        status["restarts"] = restarts_status(
            job,
            seen.generation,
            seen.ledger,
            seen.pod_failures,
            between=seen.ended_generation >= seen.generation,
        )
    if seen.failure is not None:
        status["failure"] = seen.failure
    if (resumed := resumed_from(job)) is not None:
        status["resumedFrom"] = resumed
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
    if gang.complete and trouble is None:
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


def _items(seen: Review, phase: Phase) -> list[dict[str, Any]]:
    shown = seen.fates
    if len(shown) > MAX_MEMBER_ITEMS:
        # Incarnations must outlive the pods: what is not here is known only from them.
        least = {fate.member.name: 0 if phase is Phase.SUSPENDED or fate.member.lost else 1 for fate in shown}
        shown = tuple(fate for fate in shown if fate.member.incarnations > least[fate.member.name] or fate.failures)
    return [_item(fate.member, fate.failures, last=phase.finished) for fate in shown]


def _item(member: Member, failures: int, *, last: bool) -> dict[str, Any]:
    """Return a member's entry. The `last` one says no phase of a pod that still runs: it would stay there untrue."""
    item: dict[str, Any] = {"name": member.name}
    if member.incarnations:
        item["incarnation"] = member.incarnations
    if failures:
        item["failures"] = failures
    if member.pod is not None:
        item["pod"] = member.pod.name
        if member.pod.finished or not last:
            item["phase"] = member.pod.phase
        if member.pod.node:
            item["node"] = member.pod.node
    return item
