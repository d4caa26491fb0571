"""What `status.failure` shows: why the latest generation that failed did.

The chief's launcher has the word on the first cause. Until it is heard, or when it is the chief that is gone, the
pods speak; and of the member that the chief names, its pod knows more: out of memory, evicted, on a node that is
gone. What was written stays until a later generation fails.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.failure import FailureFact, ended_at, of_lost, of_pod, told_failure, with_kubelet
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time
from trainingjob_operator.core.phase import replaced_unseen
from trainingjob_operator.core.replacement import Fate

Json = Mapping[str, Any]


def latest_failure(
    job: JobFact, gang: Gang, found: Iterable[Fate], generation: int, now: datetime
) -> dict[str, Any] | None:
    """Return `status.failure`. `generation` is the one that lost members have ended, 0 when none was ended."""
    written: dict[str, Any] | None = job.status.get("failure")
    shown = _judged(job, gang, written)
    lost = [fact for fate in found if generation and (fact := _lost_one(job, fate, gang, generation)) is not None]
    lost.sort(key=lambda fact: (fact.at is None, fact.at or now))
    if lost and (shown is None or (shown.get("generation") or 0) < generation):
        first = next((fact for fact in lost if not _left_before(fact, job, gang, shown)), None)
        if first is not None:
            shown = failure_status(first, format_time(first.at or now))
    for fact in lost:
        if shown is not None and (shown.get("member"), shown.get("generation")) == (fact.failure.member, generation):
            shown = _with_pod(shown, fact, gang)
    return shown


def failure_status(fact: FailureFact, time: str | None) -> dict[str, Any]:
    """Return a failure as the status shows it."""
    f = fact.failure
    values = {
        "time": time,
        "member": f.member or None,
        "pod": fact.pod or None,
        "node": fact.node or None,
        "exitCode": f.exit_code,
        "signal": f.signal,
        "reason": str(f.reason),
        "message": f.message,
        "generation": f.generation,
        "lastLogLines": list(f.last_log_lines) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def predecessor(member: Member, gang: Gang) -> PodFact | None:
    """Return the pod that a member's newest has followed, if it is still there."""
    newest = member.pod.incarnation if member.pod is not None else member.incarnations + 1
    older = [pod for pod in gang.spare if pod.member == member.name and pod.incarnation < newest]
    return max(older, key=lambda pod: pod.incarnation, default=None)


def _lost_one(job: JobFact, fate: Fate, gang: Gang, generation: int) -> FailureFact | None:
    """Return what is known of a member's end: of its newest pod, or of the one that this has just followed."""
    member = fate.member
    if fate.verdict is not None:
        return _fact(fate.verdict.failure, member.pod)
    up = member.up and not replaced_unseen(job, member)
    if up or member.incarnations < 2 or (member.pod is not None and member.pod.over):
        return None
    before = predecessor(member, gang)
    if before is None:
        return _fact(of_lost(member.name, None, generation), None)
    if before.over and not before.deleting:
        return _fact(of_pod(before, generation), before)
    return _fact(of_lost(member.name, before, generation, out_of_sight=not before.deleting), before)


def _fact(failure: Failure, pod: PodFact | None) -> FailureFact:
    return FailureFact(failure, pod.name if pod else "", pod.node if pod else "", ended_at(pod))


def _judged(job: JobFact, gang: Gang, written: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what was written, or the chief's judgement of a later generation, or another one of the same."""
    value: dict[str, Any] = (job.status.get("gang") or {}).get("failure") or {}
    told = told_failure(value)
    if told is None or told.generation < ((written or {}).get("generation") or 0):
        return written
    if written is not None and (told.generation, told.member) == (written.get("generation"), written.get("member")):
        # The pod's word stays, of which nothing may be left to be read again; the launcher adds what it kept.
        return failure_status(FailureFact(told, "", "", None), None) | written
    time = value.get("time")
    pod, node = _place(told.member, job, gang, parse_time(time))
    return failure_status(FailureFact(told, pod, node, None), time)


def _place(name: str, job: JobFact, gang: Gang, when: datetime | None) -> tuple[str, str]:
    """Return (pod, node) that a member had at a time; ("", "") when nobody knows."""
    pods = [pod for pod in gang.pods if pod.member == name]
    then = [pod for pod in pods if when is None or pod.created_at is None or pod.created_at <= when]
    if then:
        pod = max(then, key=lambda pod: pod.incarnation)
        return pod.name, pod.node
    items = (job.status.get("members") or {}).get("items") or ()
    item: Json = next((item for item in items if item.get("name") == name), {})
    return item.get("pod", ""), item.get("node", "")


def _left_before(fact: FailureFact, job: JobFact, gang: Gang, shown: Json | None) -> bool:
    """Whether an earlier generation failed of this pod's end, and the gang has gone on without it.

    No gang goes on without its chief, and one that trained whole had everybody. The pod alone tells nothing: the
    earlier failure may have been its trainer's, and this one the pod's own.
    """
    size = (job.status.get("gang") or {}).get("size")
    whole = not isinstance(size, int) or size >= len(gang.members)
    if whole or fact.failure.member == gang.chief.name:
        return False
    return bool(fact.pod) and shown is not None and shown.get("pod") == fact.pod


def _with_pod(shown: dict[str, Any], fact: FailureFact, gang: Gang) -> dict[str, Any]:
    pod = next((pod for pod in gang.pods if pod.name == fact.pod), None)
    told = told_failure(shown)
    if pod is None or told is None:
        return shown
    if told.reason == Reason.MEMBER_LOST and fact.failure.exit_code is not None:
        # All that the chief saw was a connection that closed; the pod says how its launcher ended.
        told = dataclasses.replace(fact.failure, generation=told.generation)
    return failure_status(FailureFact(with_kubelet(told, pod), pod.name, pod.node, None), shown.get("time"))
