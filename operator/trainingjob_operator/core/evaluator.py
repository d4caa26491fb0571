"""Evaluator policy: when the pod beside the gang is made, replaced and given up.

It comes with the gang and is a reason for nothing: no phase waits for it, no failure of its own ends the job. A pod
that failed is replaced at once, until so many have failed that the next one would too; one that was taken away (a
drain, a preemption, a lost node) is replaced without counting.
"""

from collections.abc import Iterable

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import member_name
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.observe import PodFact
from trainingjob_operator.core.refusal import Refusal
from trainingjob_operator.core.trouble import CONFIG_REASONS, IMAGE_REASONS

EVALUATOR = member_name(names.ROLE_EVALUATOR, 0)
#: After so many failed pods there is no other.
MAX_FAILURES = 3


def wants_pod(gang: Gang, refusals: Iterable[Refusal]) -> bool:
    """Whether a pod of the evaluator is to be made."""
    evaluator = gang.evaluator
    if evaluator is None or any(refusal.subject == EVALUATOR and refusal.invalid for refusal in refusals):
        return False
    return (evaluator.lost or _failed(evaluator.pod)) and len(failures(gang)) < MAX_FAILURES


def failures(gang: Gang) -> tuple[PodFact, ...]:
    """Return the evaluator's pods that failed, the oldest first. They are kept for their logs, as others are."""
    if gang.evaluator is None:
        return ()
    failed = [pod for pod in gang.pods if pod.member == EVALUATOR and _failed(pod)]
    return tuple(sorted(failed, key=lambda pod: pod.incarnation))


def describe_trouble(gang: Gang) -> str:
    """Return what keeps the evaluator from evaluating, in words that stay the same while it does; "" for nothing."""
    evaluator, failed = gang.evaluator, failures(gang)
    if evaluator is None:
        return ""
    if failed:
        times = f"{len(failed)} time{'' if len(failed) == 1 else 's'}"
        after = " and is given up" if len(failed) >= MAX_FAILURES else ""
        return f"the evaluator has failed {times}{after}: {_why(failed[-1])}"
    waiting = evaluator.pod.waiting if evaluator.pod else None
    if waiting is not None and waiting.reason in IMAGE_REASONS:
        return "the evaluator's image can't be pulled"
    if waiting is not None and waiting.reason in CONFIG_REASONS:
        return f"the evaluator can't start ({waiting.reason})"
    if evaluator.pod is not None and evaluator.pod.unschedulable:
        return "no node has room for the evaluator"
    return ""


def _failed(pod: PodFact | None) -> bool:
    return pod is not None and pod.phase == "Failed" and not pod.deleting


def _why(pod: PodFact) -> str:
    report = pod.report
    if report is not None and report.failure is not None:
        return report.failure.message
    ended = pod.terminated
    reason = pod.reason or (ended.reason if ended is not None else "")
    return f"pod {pod.name} ended" + (f" ({reason})" if reason and reason != "Error" else "")
