"""What events and conditions tell of a gang: that it trains, that a generation ended and why, that it goes on."""

from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.core import evaluator as evaluation
from trainingjob_operator.core.cause import predecessor
from trainingjob_operator.core.conditions import Claim
from trainingjob_operator.core.failure import of_lost, of_pod
from trainingjob_operator.core.gang import CHIEF, Gang, Member
from trainingjob_operator.core.observe import JobFact
from trainingjob_operator.core.reachable import chief_is_missed
from trainingjob_operator.core.review import Review
from trainingjob_operator.core.situation import Event
from trainingjob_operator.core.suspend import tell_resumed

Json = Mapping[str, Any]


def describe_gang(gang: Gang, size: int | None = None) -> str:
    """Return the gang in words, `the chief and 2 workers`; of an elastic one `size` members train."""
    workers = len(gang.members) - 1
    if not workers:
        return "the chief"
    if size is not None and 0 < size <= workers:
        return f"the chief and {size - 1} of {workers} worker{'' if workers == 1 else 's'}"
    return f"the chief and {workers} worker{'' if workers == 1 else 's'}"


def describe_running(job: JobFact, gang: Gang) -> str:
    """Return what the Running condition and event say."""
    generation = job.formed_generation
    if generation:
        size = (job.status.get("gang") or {}).get("size")
        text = f"generation {generation} trains with {describe_gang(gang, size)}"
        step = (job.status.get("training") or {}).get("resumedStep")
        # Of the first one it is not worth a write of its own: status.resumedFrom has it.
        if generation > 1 and isinstance(step, int):
            text += f", resumed from step {step}"
    else:
        text = f"{describe_gang(gang)} run; no report has arrived"
    trouble = evaluation.describe_trouble(gang)
    return f"{text}; {trouble}" if trouble else text


def describe_end(job: JobFact, seen: Review) -> str:
    """Return how the latest generation that is over ended."""
    ended, failure = seen.ended_generation, seen.failure
    if not ended:
        return "a member is lost"
    if failure is None or failure.get("generation") != ended:
        # Whether it is gone, or comes back, will be seen: until then it is nobody's failure.
        missed = f": the workers have lost {CHIEF} from sight" if chief_is_missed(job, seen.gang) else ""
        return f"generation {ended} ended{missed}"
    return f"generation {ended} ended: {failure.get('member')}: {failure.get('reason')}: {failure.get('message')}"


def stalled(job: JobFact, *, over: bool = False) -> tuple[Claim, ...]:
    """Return the claim Stalled, from when it was true first on."""
    seconds = (job.status.get("gang") or {}).get("stalledSeconds")
    holds = not over and isinstance(seconds, int | float) and seconds > 0
    if not holds and not job.condition(Condition.STALLED):
        return ()
    limit = job.spec.failure_policy.stall_seconds if job.spec is not None else None
    text = f"no step for longer than spec.failurePolicy.stallSeconds ({limit})" if limit else "no step for long"
    if not holds:
        return (Claim(Condition.STALLED, False, Reason.PROGRESSING, "there is no stall"),)
    return (Claim(Condition.STALLED, True, Reason.NO_PROGRESS, text),)


def tell(job: JobFact, seen: Review, phase: Phase, status: Json) -> list[Event]:
    """Return what is to be told when this status is written in place of the job's."""
    if job.phase is Phase.SUSPENDED and not phase.finished:
        return [tell_resumed(job)]  # that all members have new pods goes without saying
    return [
        *_phases(job, seen, phase, status),
        *_replaced(job, seen),
        *_stalls(job, seen, status),
    ]


def _phases(job: JobFact, seen: Review, phase: Phase, status: Json) -> list[Event]:
    running = describe_running(job, seen.gang)
    if phase is Phase.RUNNING and job.phase is Phase.RESTARTING:
        return [Event(Reason.RESTARTED, running, about=str(seen.generation))]
    if phase is Phase.RUNNING and job.phase is not Phase.RUNNING:
        again = seen.generation > 1 and job.condition(Condition.SUSPENDED)
        return [Event("Running", running, about=str(seen.generation) if again else "")]
    if phase is Phase.RUNNING:
        resumed = status.get("resumedFrom") or {}
        before = job.condition(Condition.RUNNING).get("message", "")
        if (resumed.get("generation") or 0) > 1 and "resumed from" in running and "resumed from" not in before:
            return [Event(Reason.RESUMED, running, about=str(resumed["generation"]))]
        return []
    if phase is not Phase.RESTARTING:
        return []
    failed = (job.status.get("failure") or {}).get("generation")
    again = status.get("failure", {}).get("generation") != failed
    if job.phase is Phase.RESTARTING and not again:
        return []
    note = f"{describe_end(job, seen)}; {_cost(job, status)}"
    return [Event(Reason.RESTARTING, note, warning=True, about=str(seen.ended_generation))]


def _cost(job: JobFact, status: Json) -> str:
    before = (job.status.get("restarts") or {}).get("counted") or 0
    counted = (status.get("restarts") or {}).get("counted") or 0
    limit = job.spec.failure_policy.backoff_limit if job.spec is not None else 0
    step = (job.status.get("training") or {}).get("step")
    at = f"it had reported step {step}; " if isinstance(step, int) else ""
    if counted > before:
        return f"{at}the restart counts, {counted} of {limit}"
    return f"{at}the restart does not count"


def _replaced(job: JobFact, seen: Review) -> list[Event]:
    items = (job.status.get("members") or {}).get("items") or ()
    before = {item.get("name"): item.get("incarnation") or 1 for item in items}
    out = []
    for fate in seen.fates:
        member = fate.member
        if member.pod is None or member.pod.incarnation <= max(before.get(member.name, 1), 1):
            continue
        note = f"{member.name} has a new pod, {member.pod.name}: {_why(member, seen)}"
        out.append(Event(Reason.MEMBER_REPLACED, note, about=member.pod.name))
    return out


def _why(member: Member, seen: Review) -> str:
    pod = predecessor(member, seen.gang)
    if pod is None or pod.deleting or not pod.over:
        return of_lost(member.name, pod, 0, out_of_sight=True).message
    failure = of_pod(pod, 0)
    return f"{failure.reason}: {failure.message}"


def _stalls(job: JobFact, seen: Review, status: Json) -> list[Event]:
    now: Json = next((c for c in status.get("conditions", ()) if c.get("type") == Condition.STALLED), {})
    if now.get("status") != "True" or job.condition(Condition.STALLED).get("status") == "True":
        return []
    return [Event(Reason.STALLED, now.get("message", ""), warning=True, about=str(seen.generation))]
