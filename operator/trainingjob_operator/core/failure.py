"""What is known of a failure: from the chief's word, from a pod's end, or from its loss.

A healthy peer often fails first when another member dies, because its collectives break. So the chief's launcher is
asked first: it saw the order of things. Pods add what only the kubelet knows, an out-of-memory kill or an eviction.
What a failure costs is judged in verdict.py.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.api.contract import Failure, Report
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.history import order_of
from trainingjob_operator.core.observe import JobFact, PodFact

#: How long a failed worker's job waits for the chief's launcher to say who failed first, and a failed chief's for the
#: pod of the member that it names.
VERDICT_GRACE = timedelta(seconds=15)
#: How lines of the launcher begin.
LAUNCHER_SAYS = "trainingjob: "
#: The container's command can't be run.
NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
OUT_OF_MEMORY = "OOMKilled"
#: Reasons of a container's end by which the kubelet says more than an exit code.
_KUBELET_REASONS = frozenset({OUT_OF_MEMORY, "DeadlineExceeded"}) | NOT_STARTED
#: Who took a pod away, by the reason of its condition DisruptionTarget, in the words of rules and status.
_DISRUPTIONS: dict[str, str] = {
    "PreemptionByScheduler": "Preempted",
    "EvictionByEvictionAPI": "Evicted",
    "DeletionByTaintManager": "Evicted",
    "TerminationByKubelet": "Evicted",
    "DeletionByPodGC": Reason.NODE_LOST,
}
_OUTCOMES = ("Succeeded", "Failed")
#: Exit codes above this one are signals'.
SIGNALS = 128
_MORE_MEMORY = "raise spec.resources.limits.memory or lower the batch size"
#: What a launcher says of a trainer that was killed, when it can't tell by whom.
_KILLED = "TrainerKilled"


@dataclass(frozen=True, slots=True)
class FailureFact:
    """The job's failure: the launcher's facts, with the pod and node that they are about."""

    failure: Failure
    pod: str
    node: str
    at: datetime | None


def final_failure(job: JobFact, gang: Gang, now: datetime) -> tuple[FailureFact | None, datetime | None]:
    """Return (the failure with which the chief ended the job, or until when to wait for more about it).

    A chief's last word counts, also when its pod is going or gone: the intake may have it.
    """
    chief = gang.chief
    report = chief.pod.report if chief.pod is not None and chief.pod.over else None
    if report is not None and report.state == "Failed" and report.final:
        until = _last_words_until(chief, gang)
        return (None, until) if until is not None and now < until else (_of_chief(chief, gang), None)
    if chief.lost and said_at_last(job, gang) == "Failed":
        return _as_told(job, chief), None
    return None, None


def said_at_last(job: JobFact, gang: Gang) -> str | None:
    """Return the state of the last report of all, if the chief's newest incarnation has posted one to the intake."""
    training = job.status.get("training") or {}
    own = training.get("incarnation") == gang.chief.incarnations
    return training.get("state") if training.get("final") is True and own else None


def is_told_the_end(job: JobFact, gang: Gang) -> bool:
    """Whether the chief's last word ends the job: then all members end, and launchers have counted what it was."""
    pod = gang.chief.pod
    report = pod.report if pod is not None and pod.over else None
    left = report.state if report is not None and report.final else None
    return left in _OUTCOMES or said_at_last(job, gang) in _OUTCOMES


def unheard_farewell(job: JobFact, gang: Gang) -> Report | None:
    """Return the last report of a chief that was asked to go, if the intake has not had it: its pod has kept it.

    What it says of the progress and of the ledger would be lost with the pod otherwise.
    """
    training = job.status.get("training") or {}
    shown = tuple(training.get(name) for name in ("incarnation", "generation", "sequence"))
    chiefs = [pod for pod in gang.pods if pod.member == gang.chief.name and pod.over]
    said = [report for pod in chiefs if (report := pod.report) is not None and report.state == "Terminated"]
    last = max(said, key=order_of, default=None)
    if last is None or not all(isinstance(number, int) for number in shown):
        return last
    return last if order_of(last) > shown else None


def of_pod(pod: PodFact, generation: int) -> Failure:
    """Return what a pod's end says. `generation` is the one that it was in, 0 for none."""
    report, ended = pod.report, pod.terminated
    if report is not None and report.failure is not None:
        return with_kubelet(report.failure, pod)
    if ended is not None:
        lines = tuple(ended.message.splitlines()[-50:]) if report is None else ()
        code = ended.exit_code
        # A launcher that can't start has no report to leave, but says why in its last line.
        said = next((line for line in reversed(lines) if line.startswith(LAUNCHER_SAYS)), "") if code == 2 else ""
        unsaid = ended.reason in ("", "Error", "Completed")
        unsaid |= ended.reason == OUT_OF_MEMORY and not _ended_of_memory(pod)
        failure = Failure(
            member=pod.member,
            reason=Reason.MEMBER_FAILED if unsaid else ended.reason,
            message=said.removeprefix(LAUNCHER_SAYS) or f"the launcher of {pod.member} ended with exit code {code}",
            exit_code=code,
            signal=code - SIGNALS if SIGNALS < code < 160 else None,
            generation=generation,
            last_log_lines=lines,
        )
    else:
        failure = Failure(
            member=pod.member,
            reason=camel(pod.reason) or Reason.MEMBER_FAILED,
            message=pod.message or f"pod {pod.name} failed before its container ran",
            generation=generation,
        )
    return with_kubelet(failure, pod)


def of_lost(member: str, pod: PodFact | None, generation: int, *, out_of_sight: bool = False) -> Failure:
    """Return what is known of a member whose pod is gone, going, or out of sight."""
    reason = Reason.MEMBER_LOST if pod is None else reason_of(pod) or Reason.MEMBER_LOST
    if pod is None:
        happened = "its pod was deleted"
    elif out_of_sight and not pod.deleting:
        happened = f"pod {pod.name} on node {pod.node or '?'} is out of reach"
    else:
        happened = f"pod {pod.name} is being deleted" + (f" ({pod.disruption})" if pod.disruption else "")
    when = f" while generation {generation} trained" if generation else ""
    return Failure(member, reason, f"{member} was lost{when}: {happened}", generation=generation)


def reason_of(pod: PodFact) -> str:
    """Return the reason that kubelet, scheduler or node controller give for a pod's end; "" for none."""
    ended = pod.terminated
    if pod.reason:
        return camel(pod.reason)
    if pod.disruption:
        return camel(_DISRUPTIONS.get(pod.disruption, pod.disruption))
    if ended is None:
        return ""
    if node_restarted(pod):
        return Reason.NODE_RESTARTED
    if ended.reason == OUT_OF_MEMORY and not _ended_of_memory(pod):
        return ""
    return ended.reason if ended.reason in _KUBELET_REASONS else ""


def _ended_of_memory(pod: PodFact) -> bool:
    """Whether a container that is said to be OOMKilled has ended of that.

    It is said of each in which any process was ever killed for want of memory, whatever it ended of later. A launcher
    that has left its last word was not killed, and says what it was: only where that is a kill by it knows not whom,
    the container runtime knows more.
    """
    report = pod.report
    if report is None:
        return True
    failure = report.failure
    if failure is None or failure.member != pod.member:
        return False
    return failure.reason in (OUT_OF_MEMORY, _KILLED)


def node_restarted(pod: PodFact) -> bool:
    """Whether the kubelet found the container gone when it came back: nobody knows how that ended."""
    ended = pod.terminated
    if ended is None:
        return False
    return (ended.exit_code, ended.reason) == (255, "Unknown") or ended.reason == "ContainerStatusUnknown"


def with_kubelet(failure: Failure, pod: PodFact) -> Failure:
    """Return a failure with what only the pod's status says. Doing it again changes nothing."""
    ended, reason = pod.terminated, reason_of(pod)
    if not reason:
        return failure
    message = failure.message
    if reason == OUT_OF_MEMORY and _MORE_MEMORY in message:
        pass  # its launcher says so too, and perhaps that it was the second time
    elif reason == OUT_OF_MEMORY:
        message = f"{failure.member} ran out of memory: {_MORE_MEMORY}"
    elif reason == Reason.NODE_RESTARTED:
        message = f"the node of {failure.member} was restarted"
    elif ended is not None and reason in NOT_STARTED and "python3" in ended.message:
        message = (
            "the image has no python3, which the launcher needs: set spec.image to one with Python 3.9 or later "
            "and TensorFlow"
        )
    elif pod.message:
        message = pod.message
    code = failure.exit_code if failure.exit_code is not None or ended is None else ended.exit_code
    return dataclasses.replace(failure, reason=reason, message=message, exit_code=code)


def ended_at(pod: PodFact | None) -> datetime | None:
    """Return when a pod's launcher ended, None when nobody knows."""
    return pod.terminated.finished_at if pod is not None and pod.terminated is not None else None


def camel(reason: str) -> str:
    """Return a reason as one CamelCase word."""
    return reason[:1].upper() + reason[1:]


def told_failure(value: Any) -> Failure | None:
    """Return the failure that a status shows, None for none."""
    if not isinstance(value, dict) or not value.get("reason"):
        return None
    return Failure(
        member=value.get("member", ""),
        reason=value["reason"],
        message=value.get("message", ""),
        exit_code=value.get("exitCode"),
        signal=value.get("signal"),
        generation=value.get("generation") or 0,
        last_log_lines=tuple(value.get("lastLogLines") or ()),
    )


def _last_words_until(chief: Member, gang: Gang) -> datetime | None:
    """Return until when the culprit's pod may still say why it ended, None when there is nothing to wait for.

    The chief ends a moment after the first cause, and the kubelet tells of both pods in any order: that a member ran
    out of memory only its own pod knows.
    """
    culprit, ended = _culprit(chief, gang), ended_at(chief.pod)
    if ended is None or culprit.pod is None or culprit.pod.deleting or culprit.pod.over:
        return None
    return ended + VERDICT_GRACE


def _culprit(chief: Member, gang: Gang) -> Member:
    """Return the member that the chief's last report blames: the chief itself when it blames nobody."""
    report = chief.pod.report if chief.pod is not None else None
    name = report.failure.member if report is not None and report.failure is not None else chief.name
    return next((member for member in gang.members if member.name == name), chief)


def _of_chief(chief: Member, gang: Gang) -> FailureFact | None:
    if chief.pod is None or chief.pod.report is None:
        return None
    report, at = chief.pod.report, ended_at(chief.pod)
    failure = report.failure
    if failure is None:
        return FailureFact(of_pod(chief.pod, report.generation), chief.pod.name, chief.pod.node, at)
    culprit = _culprit(chief, gang).pod
    if culprit is None:
        return FailureFact(failure, "", "", at)
    own = culprit.report
    if culprit is not chief.pod and own is not None and own.failure is not None and own.failure.last_log_lines:
        # The culprit kept its own last lines; the chief only heard of them.
        failure = dataclasses.replace(failure, last_log_lines=own.failure.last_log_lines)
    return FailureFact(with_kubelet(failure, culprit), culprit.name, culprit.node, at)


def _as_told(job: JobFact, chief: Member) -> FailureFact:
    gang = job.status.get("gang") or {}
    nothing = Failure(chief.name, Reason.MEMBER_FAILED, "the chief said that the job has failed")
    pod = chief.pod
    return FailureFact(
        told_failure(gang.get("failure")) or nothing, pod.name if pod else "", pod.node if pod else "", None
    )
