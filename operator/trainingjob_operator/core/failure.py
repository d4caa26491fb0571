"""Failure policy: which failure ended the job, and what is known of it.

A healthy peer often fails first when another member dies, because its collectives break; and every launcher ends
when the gang does. So the chief's launcher is asked first: it saw the order of things and judged the first cause.
Pods add what only the kubelet knows, an out-of-memory kill or an eviction. Restarts are not decided here yet: a
generation that failed ends the job.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import PodFact

#: How long a failed worker's job waits for the chief's launcher to say who failed first, and a failed chief's for the
#: pod of the member that it names.
VERDICT_GRACE = timedelta(seconds=15)
#: A worker's launcher ends after the chief's, or when that is gone: one that ended well alone is given this long.
ALONE_GRACE = timedelta(seconds=60)
#: Reasons by which the kubelet or the scheduler ended a pod: truer than an exit code.
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_KUBELET_REASONS = frozenset({"OOMKilled", "DeadlineExceeded"}) | _NOT_STARTED


#: How lines of the launcher begin.
LAUNCHER_SAYS = "trainingjob: "


@dataclass(frozen=True, slots=True)
class FailureFact:
    """The job's failure: the launcher's facts, with the pod and node that they are about."""

    failure: Failure
    pod: str
    node: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either a failure, or until when to wait for a better one, or neither."""

    failure: FailureFact | None = None
    wait_until: datetime | None = None


def judge_failure(gang: Gang, generation: int, now: datetime) -> Verdict:
    """Return whether the job has failed and of what. `generation` is 0 while the gang has never formed."""
    chief = gang.chief
    if _has_ended(chief):
        wait_until = _last_words_until(chief, gang)
        if wait_until is not None and now < wait_until:
            return Verdict(wait_until=wait_until)
        return Verdict(_of_chief(chief, gang, generation))
    failed = [m for m in gang.members if _has_ended(m) and _pod(m).phase == "Failed"]
    if failed:
        first = min(failed, key=lambda m: (_ended(m) or now, m.index))
        if chief.pod is not None and chief.pod.phase == "Running" and not chief.pod.deleting:
            wait_until = (_ended(first) or now) + VERDICT_GRACE
            if now < wait_until and _ended(first) is not None:
                return Verdict(wait_until=wait_until)
        return Verdict(_of_pod(first, generation))
    alone = next((m for m in gang.members if _has_ended(m) and m is not chief), None)
    if alone is not None and chief.up:
        wait_until = (_ended(alone) or now) + ALONE_GRACE
        return Verdict(_of_early(alone, generation)) if now >= wait_until else Verdict(wait_until=wait_until)
    if generation > 0:
        lost = next((m for m in gang.members if m.lost), None)
        if lost is not None:
            return Verdict(_of_lost(lost, generation))
    return Verdict()


def _has_ended(member: Member) -> bool:
    """Whether its pod ended by itself: one that is being deleted is lost, which is another matter."""
    return member.pod is not None and member.pod.finished and not member.pod.deleting


def _culprit(chief: Member, gang: Gang) -> Member:
    """Return the member that the chief's last report blames: the chief itself when it blames nobody."""
    report = _pod(chief).report
    name = report.failure.member if report is not None and report.failure is not None else chief.name
    return next((member for member in gang.members if member.name == name), chief)


def _last_words_until(chief: Member, gang: Gang) -> datetime | None:
    """Return until when the culprit's pod may still say why it ended, None when there is nothing to wait for.

    The chief ends a moment after the first cause, and the kubelet tells of both pods in any order: that a member ran
    out of memory only its own pod knows.
    """
    culprit, ended = _culprit(chief, gang), _ended(chief)
    if ended is None or culprit.lost or _has_ended(culprit):
        return None
    return ended + VERDICT_GRACE


def _of_chief(chief: Member, gang: Gang, generation: int) -> FailureFact:
    pod = _pod(chief)
    report = pod.report
    if report is None or report.failure is None:
        return _of_pod(chief, generation)
    culprit = _culprit(chief, gang)
    if culprit.pod is None:
        return FailureFact(report.failure, "", "", _ended(chief))
    failure = report.failure
    own = culprit.pod.report
    if culprit is not chief and own is not None and own.failure is not None and own.failure.last_log_lines:
        # The culprit kept its own last lines; the chief only heard of them.
        failure = dataclasses.replace(failure, last_log_lines=own.failure.last_log_lines)
    return FailureFact(_with_kubelet(failure, culprit.pod), culprit.pod.name, culprit.pod.node, _ended(chief))


def _of_pod(member: Member, generation: int) -> FailureFact:
    pod = _pod(member)
    report, ended = pod.report, pod.terminated
    if report is not None and report.failure is not None:
        failure = report.failure
    elif ended is not None:
        lines = tuple(ended.message.splitlines()[-50:])
        code = ended.exit_code
        # A launcher that can't start has no report to leave, but says why in its last line.
        said = next((line for line in reversed(lines) if line.startswith(LAUNCHER_SAYS)), "") if code == 2 else ""
        failure = Failure(
            member=member.name,
            reason=ended.reason if ended.reason not in ("", "Error", "Completed") else Reason.MEMBER_FAILED,
            message=said.removeprefix(LAUNCHER_SAYS) or f"the launcher of {member.name} ended with exit code {code}",
            exit_code=code,
            signal=code - 128 if 128 < code < 160 else None,
            generation=generation,
            last_log_lines=lines,
        )
    else:
        failure = Failure(
            member=member.name,
            reason=_camel(pod.reason) or Reason.MEMBER_FAILED,
            message=pod.message or f"pod {pod.name} failed before its container ran",
            generation=generation,
        )
    return FailureFact(_with_kubelet(failure, pod), pod.name, pod.node, _ended(member))


def _of_early(member: Member, generation: int) -> FailureFact:
    pod = _pod(member)
    failure = Failure(
        member=member.name,
        reason=Reason.MEMBER_FAILED,
        message=f"{member.name} ended while the chief goes on without it",
        exit_code=0,
        generation=generation,
    )
    return FailureFact(_with_kubelet(failure, pod), pod.name, pod.node, _ended(member))


def _of_lost(member: Member, generation: int) -> FailureFact:
    pod = member.pod
    happened = f"pod {pod.name} is being deleted" if pod is not None else "its pod was deleted"
    if pod is not None and pod.disruption:
        happened += f" ({pod.disruption})"
    failure = Failure(
        member=member.name,
        reason=Reason.MEMBER_LOST,
        message=f"{member.name} was lost while generation {generation} trained: {happened}",
        generation=generation,
    )
    return FailureFact(failure, pod.name if pod else "", pod.node if pod else "", None)


def _with_kubelet(failure: Failure, pod: PodFact) -> Failure:
    ended = pod.terminated
    reason = pod.reason or pod.disruption or (ended.reason if ended and ended.reason in _KUBELET_REASONS else "")
    if not reason:
        return failure
    message = failure.message
    if reason == "OOMKilled":
        message = f"{failure.member} ran out of memory: raise spec.resources.limits.memory or lower the batch size"
    elif ended is not None and reason in _NOT_STARTED and "python3" in ended.message:
        message = (
            "the image has no python3, which the launcher needs: set spec.image to one with Python 3.9 or later "
            "and TensorFlow"
        )
    elif pod.message:
        message = pod.message
    code = failure.exit_code if failure.exit_code is not None or ended is None else ended.exit_code
    return dataclasses.replace(failure, reason=_camel(reason), message=message, exit_code=code)


def _camel(reason: str) -> str:
    return reason[:1].upper() + reason[1:]


def _pod(member: Member) -> PodFact:
    if member.pod is None:
        raise ValueError(f"{member.name} has no pod")
    return member.pod


def _ended(member: Member) -> datetime | None:
    return member.pod.terminated.finished_at if member.pod and member.pod.terminated else None
