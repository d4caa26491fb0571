"""decide(): from a job, its pods and the time to a plan. Level-triggered, total and pure.

Whatever the mix of job and pods, the plan says what to create and delete, what the status is, which events to tell
and when to look again. Applying a plan and deciding again changes nothing more until something else does.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.core import deadlines, suspend
from trainingjob_operator.core import status as status_of
from trainingjob_operator.core.address import build_address, handover, may_follow, unpublished
from trainingjob_operator.core.cleanup import expiry, leftovers
from trainingjob_operator.core.desired import build_pod, build_service, needs_service
from trainingjob_operator.core.evaluator import EVALUATOR, describe_trouble, failures, wants_pod
from trainingjob_operator.core.failure import FailureFact, final_failure, unheard_farewell
from trainingjob_operator.core.gang import Gang, assemble
from trainingjob_operator.core.launcher_source import is_injected
from trainingjob_operator.core.managed import managed_elsewhere
from trainingjob_operator.core.observe import JobFact, PodFact
from trainingjob_operator.core.phase import observed_phase, restarted_unseen, step_towards
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.refusal import ADDRESS, LAUNCHER, REFUSALS, SERVICE, Refusal
from trainingjob_operator.core.replacement import Fate, surplus
from trainingjob_operator.core.restarts import fatal, past_of
from trainingjob_operator.core.review import Review, review
from trainingjob_operator.core.situation import SOFT_INTERVAL, Create, Event, Plan, Situation, earliest
from trainingjob_operator.core.story import describe_gang, tell
from trainingjob_operator.core.success import succeeded
from trainingjob_operator.core.trouble import find_trouble
from trainingjob_operator.core.validation import judge


def decide(
    job: JobFact,
    pods: Iterable[PodFact],
    refusals: Iterable[Refusal],
    platform: Platform,
    now: datetime,
    written_at: datetime | None = None,
    met_at: datetime | None = None,
    *,
    hurried: bool = False,
    crowded: bool = False,
    published: str | None = None,
) -> Plan:
    """Return what to do about a job now. See the module's docstring."""
    if job.deleting or managed_elsewhere(job):
        return Plan()  # of the first the garbage collector removes what it owns
    s = Situation(job, tuple(pods), tuple(refusals), now, written_at, met_at, hurried, crowded, published)
    if job.phase is not None and job.phase.finished:
        return _finished(s)
    problems = job.problems
    if job.spec is not None and not _has_started(job):
        # A job that runs is not judged again: a node pool profile may go while its members train.
        problems = judge(job.spec, platform)
    if job.spec is None or problems:
        return _with_status(s, status_of.invalid(job, problems, now))
    gang = assemble(job.spec, s.pods, status_of.known_incarnations(job), status_of.known_failures(job))
    seen = review(s, gang)
    if succeeded(job, gang):
        return _succeeding(s, seen)
    failure, wait_until = final_failure(job, gang, now)
    if wait_until is not None:
        return Plan(look_again=wait_until)
    failure = failure or fatal(seen.fates, seen.ledger, job.spec.failure_policy.backoff_limit)
    if failure is not None:
        return _failing(s, seen, failure)
    if suspend.wants_rest(job):
        return _suspended(s, seen)
    late, due = deadlines.judge(s, seen)
    if late is not None:
        return _failing(s, seen, late)
    invalid = next((refusal for refusal in _of_gang(s.refusals) if refusal.invalid), None)
    if invalid is not None and not gang.pods and "activeSeconds" not in job.status:
        return _with_status(s, status_of.refused(job, invalid, now))
    plan = _progressing(s, seen, platform)
    return replace(plan, look_again=earliest(plan.look_again, due))


def _has_started(job: JobFact) -> bool:
    """Whether pods were ever made for it."""
    return "startTime" in job.status or "activeSeconds" in job.status


def _finished(s: Situation) -> Plan:
    expires = expiry(s.job)
    if expires is not None and s.now >= expires:
        return Plan(delete_job=True)
    deletes, look_again = leftovers(s.job, s.pods, s.now)
    return Plan(deletes=deletes, look_again=earliest(look_again, expires))


def _suspended(s: Situation, seen: Review) -> Plan:
    wanted = status_of.suspended(s.job, seen, s.now)
    if s.job.phase is not Phase.SUSPENDED:
        # The pods go with the next look, when this is written.
        event = suspend.tell_suspended(s.job, s.pods, s.now)
        return Plan(status=wanted, events=(event,), look_again=s.now)
    changed = status_of.compare(s.job.status, wanted) is not status_of.Change.NONE
    return Plan(deletes=suspend.to_delete(s.pods), status=wanted if changed else None)


def _progressing(s: Situation, seen: Review, platform: Platform) -> Plan:
    gang = seen.gang
    creates, retry_at = _creates(s, seen, platform)
    observed, due = observed_phase(s.job, gang, seen.failed_generation, s.now)
    unseen = restarted_unseen(s.job, observed)
    phase = Phase.RESTARTING if unseen else step_towards(s.job.phase, observed, hurried=s.hurried)
    # Members without an address of their chief's are all up, and wait.
    whole = gang.complete and not any(refusal.subject in (SERVICE, ADDRESS) for refusal in s.refusals)
    trouble = None if whole else find_trouble(gang, _of_gang(s.refusals))
    plan = _with_status(
        s,
        status_of.progressing(s.job, seen, phase, trouble, s.now, settled=s.settled),
        more=phase is not observed,
    )
    events = list(plan.events)
    told = s.job.condition(Condition.MEMBERS_READY).get("reason")
    begins = s.job.phase in (None, Phase.INVALID, Phase.SUSPENDED) or told in REFUSALS
    if begins and not any(member.lost for member in gang.members):
        events.append(Event(Reason.PODS_CREATED, f"created {describe_gang(gang)}"))
    if trouble is not None and not trouble.harmless and told != trouble.reason:
        events.append(Event(trouble.reason, trouble.message, warning=True))
    if plan.status is not None:
        events += tell(s.job, seen, phase, plan.status)
    if plan.status is not None and failures(gang):
        # The status is written when the evaluator is replaced or given up; told again, it is the same event.
        events.append(Event(Reason.EVALUATOR_FAILED, describe_trouble(gang), warning=True))
    pending = None if gang.complete or s.settled else s.since + SOFT_INTERVAL
    return Plan(
        creates=creates,
        deletes=surplus(gang, seen.fates),
        final_report=unheard_farewell(s.job, gang),
        status=plan.status,
        events=tuple(events),
        look_again=earliest(plan.look_again, retry_at, due, pending, seen.look_again),
    )


def _creates(s: Situation, seen: Review, platform: Platform) -> tuple[tuple[Create, ...], datetime | None]:
    """Return (what to create now, when to retry what was refused)."""
    gang = seen.gang
    waiting = {refusal.subject: refusal.retry_at for refusal in s.refusals if refusal.retry_at > s.now}
    due = [fate for fate in seen.fates if fate.replace_at is not None and fate.replace_at <= s.now]
    wanted = [fate for fate in due if fate.member.name not in waiting]
    chief = seen.fates[0]
    # Where there is room for some of an elastic gang only, the chief must be among them: the scheduler takes pods in
    # the order in which they came.
    elastic = s.job.spec is not None and s.job.spec.elastic is not None
    creates = [
        Create(fate.member.name, _next_pod(s, fate, seen, platform), first=elastic and fate is chief)
        for fate in wanted
    ]
    if s.job.spec is not None and needs_service(s.job.spec) and chief in due:
        if SERVICE in waiting:
            creates.clear()
        elif chief in wanted and not may_follow(gang, s.refusals, crowded=s.crowded):
            creates.insert(
                0, Create(SERVICE, build_service(s.job), first=True, incarnation=gang.chief.incarnations + 1)
            )
    if gang.evaluator is not None and EVALUATOR not in waiting and wants_pod(gang, s.refusals):
        number = gang.evaluator.incarnations + 1
        creates.append(Create(EVALUATOR, build_pod(s.job, names.ROLE_EVALUATOR, 0, number, platform)))
    if creates and s.job.spec is not None and is_injected(s.job.spec):
        # Pods that find no launcher wait in ContainerCreating: it is there before the first of them.
        if LAUNCHER in waiting:
            creates.clear()
        else:
            creates.insert(0, Create(LAUNCHER, platform.launcher.config_map(s.job.namespace), first=True))
    found, late = _find_chief(s, gang) if chief not in due else ((), None)
    if not any(create.subject in waiting for create in found):
        creates = [*found, *creates]
    return tuple(creates), earliest(min(waiting.values(), default=None), late)


def _find_chief(s: Situation, gang: Gang) -> tuple[tuple[Create, ...], datetime | None]:
    """Return (what lets members find the chief's pod now, when to look again)."""
    pod = unpublished(s.job, gang, s.published)
    if pod is not None:
        address = Create(ADDRESS, build_address(s.job, pod))
        service = Create(SERVICE, build_service(s.job), first=True)
        return ((service, address) if s.published is None else (address,)), None
    due = handover(s.job, gang, s.published)
    if due is None or due > s.now:
        return (), due
    newest = gang.chief.incarnations
    return (Create(SERVICE, build_service(s.job, selects=newest), incarnation=newest),), None


def _next_pod(s: Situation, fate: Fate, seen: Review, platform: Platform) -> dict[str, Any]:
    member = fate.member
    past = past_of(fate, seen.fates, seen.gang, seen.ledger)
    return build_pod(s.job, member.role, member.index, member.incarnations + 1, platform, past)


def _of_gang(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return the refusals that keep the gang from being complete: the evaluator's does not."""
    return [refusal for refusal in refusals if refusal.subject != EVALUATOR]


def _succeeding(s: Situation, seen: Review) -> Plan:
    gang = seen.gang
    unseen = restarted_unseen(s.job, Phase.SUCCEEDED)
    phase = Phase.RESTARTING if unseen else step_towards(s.job.phase, Phase.SUCCEEDED, hurried=s.hurried)
    report = gang.chief.pod.report if gang.chief.pod else None
    plan = _with_status(s, status_of.ending(s.job, seen, phase, None, s.now), more=phase is not Phase.SUCCEEDED)
    events = list(plan.events)
    if plan.status is not None:
        events += tell(s.job, seen, phase, plan.status)
    if phase is Phase.SUCCEEDED:
        events.append(Event("Succeeded", status_of.describe_success(gang, report)))
    # What a finished job owes, its pods' and its own end, is the next look's.
    look_again = s.now if plan.status is not None else plan.look_again
    return Plan(final_report=report, status=plan.status, events=tuple(events), look_again=look_again)


def _failing(s: Situation, seen: Review, failure: FailureFact) -> Plan:
    report = seen.gang.chief.pod.report if seen.gang.chief.pod else None
    plan = _with_status(s, status_of.ending(s.job, seen, Phase.FAILED, failure, s.now))
    note = f"{failure.failure.reason}: {failure.failure.message}"
    event = Event("Failed", note, warning=True)
    return Plan(final_report=report, status=plan.status, events=(event,), look_again=s.now)


def _with_status(s: Situation, wanted: dict[str, Any], *, more: bool = False) -> Plan:
    """Return a plan that writes the status if it is news. `more` says that the next phase is already known."""
    again = s.now if more else None
    change = status_of.compare(s.job.status, wanted)
    if change is status_of.Change.NONE:
        return Plan(look_again=again)
    if change is status_of.Change.SOFT and not s.settled:
        return Plan(look_again=earliest(again, s.since + SOFT_INTERVAL))
    events: tuple[Event, ...] = ()
    if wanted["phase"] == Phase.INVALID and s.job.phase is not Phase.INVALID:
        message = next(c["message"] for c in wanted["conditions"] if c["type"] == Condition.VALID)
        events = (Event(Reason.INVALID_SPEC, message, warning=True),)
    return Plan(status=wanted, events=events, look_again=again)


__all__ = ["Create", "Event", "Plan", "Situation", "decide"]
