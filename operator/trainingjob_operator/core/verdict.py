"""What the end of one pod means for the job: it ends it, it counts against `backoffLimit`, or it is free.

Only ends without the launcher's last word are judged here: what a trainer's failure costs the chief's launcher says.
`failurePolicy.rules` come first. Taken away (deleted, drained, evicted, preempted, its node gone or restarted, asked
to terminate) or never let in by the node is free; what ended by itself counts. A launcher that can't start at all is
the job's own fault, and so is one that ends by itself before the gang has ever formed: again would be the same.
"""

from dataclasses import dataclass
from enum import Enum

from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.core.failure import NOT_STARTED, OUT_OF_MEMORY, SIGNALS, node_restarted, of_lost, of_pod
from trainingjob_operator.core.observe import PodFact

TERMINATED_CODE = 128 + 15
#: How a launcher ends that can't read what it is told.
CONTRACT_CODE = 2


#: The pod used more disk, or more time, than its own spec lets it. A node under pressure says DisruptionTarget too.
_OWN_LIMITS = frozenset({"Evicted", "DeadlineExceeded"})


class Cost(Enum):
    """What a pod's end costs."""

    FREE = "free"
    COUNTED = "counted"
    FATAL = "fatal"


_ACTIONS = {"Restart": Cost.COUNTED, "RestartFree": Cost.FREE, "Fail": Cost.FATAL}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one pod's end. `ruled` says that one of the failurePolicy's rules has decided."""

    cost: Cost
    failure: Failure
    ruled: bool = False


def judge_end(pod: PodFact, policy: FailurePolicy, generation: int) -> Verdict:
    """Judge a pod that has ended and is not being deleted. `generation` is 0 before the gang has ever formed."""
    failure = of_pod(pod, generation)
    rule = rule_for(policy, failure)
    return Verdict(rule or _usual(pod, failure, generation), failure, ruled=rule is not None)


def judge_loss(
    member: str, pod: PodFact | None, policy: FailurePolicy, generation: int, *, by_rules: bool, out_of_sight: bool
) -> Verdict:
    """Judge a pod that is gone, going, or out of sight. It is free, unless a rule says otherwise.

    Rules need `by_rules` and a pod: that a pod is not there is also true of a job that was suspended.
    """
    failure = of_lost(member, pod, generation, out_of_sight=out_of_sight)
    ruled = rule_for(policy, failure) if by_rules and pod is not None else None
    return Verdict(ruled or Cost.FREE, failure, ruled=ruled is not None)


def rule_for(policy: FailurePolicy, failure: Failure) -> Cost | None:
    """Return what the first rule that fits says, None for none."""
    for rule in policy.rules or ():
        fits = failure.reason in (rule.reasons or ()) or failure.exit_code in (rule.exit_codes or ())
        if fits and rule.action in _ACTIONS:
            return _ACTIONS[rule.action]
    return None


def _usual(pod: PodFact, failure: Failure, generation: int) -> Cost:
    report, ended = pod.report, pod.terminated
    if pod.disruption or node_restarted(pod):
        return Cost.FREE
    if ended is None:
        # With a reason the node did not let it in; without one its own init container failed.
        return Cost.FREE if pod.reason else Cost.COUNTED
    if ended.reason in NOT_STARTED:
        return Cost.FATAL
    if pod.reason in _OWN_LIMITS:
        return Cost.COUNTED
    if report is not None:
        return Cost.FREE if report.state in ("Terminated", "Succeeded") else Cost.COUNTED
    if ended.exit_code == TERMINATED_CODE and failure.reason != OUT_OF_MEMORY:
        return Cost.FREE
    if ended.exit_code == CONTRACT_CODE:
        return Cost.FATAL
    by_itself = 0 < ended.exit_code < SIGNALS and failure.reason != OUT_OF_MEMORY
    return Cost.FATAL if by_itself and generation == 0 else Cost.COUNTED
