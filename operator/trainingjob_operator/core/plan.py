"""decide(): from a job, its pods and the time to a plan. Level-triggered, total and pure.

Whatever the mix of job and pods, the plan says what to create and delete, what the status is, which events to tell
and when to look again. Applying a plan and deciding again changes nothing more until something else does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.core import status as status_of
from trainingjob_operator.core.cleanup import leftovers
from trainingjob_operator.core.desired import build_pod, build_service, needs_service
from trainingjob_operator.core.evaluator import EVALUATOR, describe_trouble, failures, wants_pod
from trainingjob_operator.core.failure import FailureFact, judge_failure
from trainingjob_operator.core.gang import Gang, assemble
from trainingjob_operator.core.launcher_source import is_injected
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time
from trainingjob_operator.core.phase import observed_phase, step_towards
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.refusal import LAUNCHER, REFUSALS, SERVICE, Refusal
from trainingjob_operator.core.success import succeeded
from trainingjob_operator.core.trouble import find_trouble
from trainingjob_operator.core.validation import judge

#: Changes that are news but not urgent (a count, a detail in a message) are written at most so often.
SOFT_INTERVAL = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event on the job, told once."""

    reason: str
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """An object to create. `subject` is the member, `service` or `launcher`."""

    subject: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. Creates go first: the launcher's ConfigMap, the Service, and then the pods in parallel; after
    them deletes, the final report, status, events.
    """

    creates: tuple[Create, ...] = ()
    deletes: tuple[PodFact, ...] = ()
    final_report: Report | None = None
    status: dict[str, Any] | None = None
    events: tuple[Event, ...] = ()
    look_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision rests on. `written_at` is when this process last wrote the job's status."""

    job: JobFact
    pods: tuple[PodFact, ...]
    refusals: tuple[Refusal, ...]
    now: datetime
    written_at: datetime | None = None


def decide(
    job: JobFact,
    pods: Iterable[PodFact],
    refusals: Iterable[Refusal],
    platform: Platform,
    now: datetime,
    written_at: datetime | None = None,
) -> Plan:
    """Return what to do about a job now. See the module's docstring."""
    if job.deleting:
        return Plan()  # the garbage collector removes what it owns
    s = Situation(job, tuple(pods), tuple(refusals), now, written_at)
    if job.phase is not None and job.phase.finished:
        return _finished(s)
    problems = job.problems
    if job.spec is not None and "startTime" not in job.status:
        # A job that runs is not judged again: a node pool profile may go while its members train.
        problems = judge(job.spec, platform)
    if job.spec is None or problems:
        return _with_status(s, status_of.invalid(job, problems, now))
    gang = assemble(job.spec, s.pods, status_of.known_incarnations(job))
    if succeeded(gang):
        return _succeeding(s, gang)
    verdict = judge_failure(gang, job.formed_generation, now)
    if verdict.failure is not None:
        return _failing(s, gang, verdict.failure)
    if verdict.wait_until is not None:
        return Plan(look_again=verdict.wait_until)
    invalid = next((refusal for refusal in _of_gang(s.refusals) if refusal.invalid), None)
    if invalid is not None and not gang.pods:
        return _with_status(s, status_of.refused(job, invalid, now))
    return _progressing(s, gang, platform)


def _finished(s: Situation) -> Plan:
    completed = parse_time(s.job.status.get("completionTime")) or s.now
    deletes, look_again = leftovers(s.pods, completed, s.now)
    return Plan(deletes=deletes, look_again=look_again)


def _progressing(s: Situation, gang: Gang, platform: Platform) -> Plan:
    creates, retry_at = _creates(s, gang, platform)
    seen, due = observed_phase(s.job, gang, s.now)
    phase = step_towards(s.job.phase, seen)
    trouble = None if gang.complete else find_trouble(gang, _of_gang(s.refusals))
    plan = _with_status(
        s,
        status_of.progressing(s.job, gang, phase, trouble, s.now, settled=_settled(s)),
        more=phase is not seen,
    )
    events = list(plan.events)
    told = s.job.condition(Condition.MEMBERS_READY).get("reason")
    if (s.job.phase in (None, Phase.INVALID) or told in REFUSALS) and not any(member.lost for member in gang.members):
        events.append(Event(Reason.PODS_CREATED, f"created {status_of.describe_gang(gang)}"))
    if trouble is not None and not trouble.harmless and told != trouble.reason:
        events.append(Event(trouble.reason, trouble.message, warning=True))
    events += _running(s, gang, phase)
    if plan.status is not None and failures(gang):
        # The status is written when the evaluator is replaced or given up; told again, it is the same event.
        events.append(Event(Reason.EVALUATOR_FAILED, describe_trouble(gang), warning=True))
    pending = None if gang.complete or _settled(s) else _since(s) + SOFT_INTERVAL
    return Plan(
        creates=creates,
        status=plan.status,
        events=tuple(events),
        look_again=_earliest(plan.look_again, retry_at, due, pending),
    )


def _creates(s: Situation, gang: Gang, platform: Platform) -> tuple[tuple[Create, ...], datetime | None]:
    """Return (what to create now, when to retry what was refused).

    A member whose pod was lost before the gang ever formed gets its next pod: nothing was trained yet, the others
    wait for it. Once a generation has formed, judge_failure has spoken before.
    """
    waiting = {refusal.subject: refusal.retry_at for refusal in s.refusals if refusal.retry_at > s.now}
    wanted = [member for member in gang.members if member.lost and member.name not in waiting]
    creates = [Create(m.name, build_pod(s.job, m.role, m.index, m.incarnations + 1, platform)) for m in wanted]
    if s.job.spec is not None and needs_service(s.job.spec) and gang.chief.lost:
        # The Service leads to the chief's newest pod, and is made before it: where there is a chief's pod there is
        # its Service, so nobody ever has to look for one, also not a replica that takes over between the two.
        if SERVICE in waiting:
            creates.clear()
        elif gang.chief in wanted:
            creates.insert(0, Create(SERVICE, build_service(s.job, gang.chief.incarnations + 1)))
    if gang.evaluator is not None and EVALUATOR not in waiting and wants_pod(gang, s.refusals):
        number = gang.evaluator.incarnations + 1
        creates.append(Create(EVALUATOR, build_pod(s.job, names.ROLE_EVALUATOR, 0, number, platform)))
    if creates and s.job.spec is not None and is_injected(s.job.spec):
        # Pods that find no launcher wait in ContainerCreating: it is there before the first of them.
        if LAUNCHER in waiting:
            creates.clear()
        else:
            creates.insert(0, Create(LAUNCHER, platform.launcher.config_map(s.job.namespace)))
    return tuple(creates), min(waiting.values(), default=None)


def _of_gang(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return the refusals that keep the gang from being complete: the evaluator's does not."""
    return [refusal for refusal in refusals if refusal.subject != EVALUATOR]


def _succeeding(s: Situation, gang: Gang) -> Plan:
    phase = step_towards(s.job.phase, Phase.SUCCEEDED)
    report = gang.chief.pod.report if gang.chief.pod else None
    plan = _with_status(s, status_of.ending(s.job, gang, phase, None, s.now), more=phase is not Phase.SUCCEEDED)
    events = list(plan.events)
    events += _running(s, gang, phase)
    if phase is Phase.SUCCEEDED:
        events.append(Event("Succeeded", status_of.describe_success(gang, report)))
    return Plan(final_report=report, status=plan.status, events=tuple(events), look_again=plan.look_again)


def _failing(s: Situation, gang: Gang, failure: FailureFact) -> Plan:
    report = gang.chief.pod.report if gang.chief.pod else None
    plan = _with_status(s, status_of.ending(s.job, gang, Phase.FAILED, failure, s.now))
    note = f"{failure.failure.reason}: {failure.failure.message}"
    return Plan(final_report=report, status=plan.status, events=(Event("Failed", note, warning=True),))


def _running(s: Situation, gang: Gang, phase: Phase) -> list[Event]:
    """Return the event of a job that comes to run, or none."""
    if phase is not Phase.RUNNING or s.job.phase is Phase.RUNNING:
        return []
    return [Event("Running", status_of.describe_running(s.job, gang))]


def _with_status(s: Situation, wanted: dict[str, Any], *, more: bool = False) -> Plan:
    """Return a plan that writes the status if it is news. `more` says that the next phase is already known."""
    again = s.now if more else None
    change = status_of.compare(s.job.status, wanted)
    if change is status_of.Change.NONE:
        return Plan(look_again=again)
    if change is status_of.Change.SOFT and not _settled(s):
        return Plan(look_again=_earliest(again, _since(s) + SOFT_INTERVAL))
    events: tuple[Event, ...] = ()
    if wanted["phase"] == Phase.INVALID and s.job.phase is not Phase.INVALID:
        message = next(c["message"] for c in wanted["conditions"] if c["type"] == Condition.VALID)
        events = (Event(Reason.INVALID_SPEC, message, warning=True),)
    return Plan(status=wanted, events=events, look_again=again)


def _since(s: Situation) -> datetime:
    """When the status was written last, as far as this process knows: for a job it has just met, its start."""
    return s.written_at or parse_time(s.job.status.get("startTime")) or s.now


def _settled(s: Situation) -> bool:
    return s.now >= _since(s) + SOFT_INTERVAL


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
