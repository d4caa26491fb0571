"""Which member needs its next pod, why, and from when on.

At once where the pod was lost, was taken away or has ended, but not for ever again at once: when pods of one member
end within a minute of their start, the second and each later replacement waits, longer every time. How many there
were in a row each pod carries in an annotation, so that nobody has to remember it.

A worker whose launcher ended by itself is replaced only when the chief had time to say that the job is over; and
nobody is, once it has said so.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trainingjob_operator.api.contract import Ledger
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.core.failure import SIGNALS, VERDICT_GRACE, ended_at, node_restarted
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.observe import PodFact
from trainingjob_operator.core.repetition import ended_again, repeats
from trainingjob_operator.core.verdict import Cost, Verdict, judge_end, judge_loss

#: A pod that lived so long is no sign that the next one fails too.
GOOD_LIFE = timedelta(seconds=60)
FIRST_DELAY, LAST_DELAY = timedelta(seconds=10), timedelta(seconds=300)
#: A worker's launcher ends after the chief's, or when that is gone: one that ended well alone is given this long.
ALONE_GRACE = timedelta(seconds=60)
#: So many ended pods of a member are kept, for their logs.
KEPT_PODS = 3


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of one member.

    `verdict` is why its newest pod no longer does, None while that does or is not judged yet. `replace_at` is from
    when on the next may be made, None for not. `failures` counts the newest pod too. `short_lives` is what the next
    pod carries. `judge_at` is when to look again at an end that is not judged yet.
    """

    member: Member
    failures: int
    verdict: Verdict | None = None
    replace_at: datetime | None = None
    short_lives: int = 0
    judge_at: datetime | None = None
    out_of_sight: bool = False

    @property
    def counted(self) -> bool:
        """Whether its newest pod's end counts."""
        return self.verdict is not None and self.verdict.cost is Cost.COUNTED

    @property
    def ended_at(self) -> datetime | None:
        """When its newest pod ended by itself, if it did and that is known."""
        return ended_at(self.member.pod)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the job when its members' fates are decided.

    `generation` is 0 before the first. `unseen` are the members that are lost from sight. `by_rules`: see verdict.py.
    `told_the_end`: the chief has said its last word. `between` says that the chief has told that the latest
    generation is over, and so how far that came.
    """

    generation: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    unseen: frozenset[str] = frozenset()
    by_rules: bool = True
    told_the_end: bool = False
    between: bool = False


def fates(gang: Gang, policy: FailurePolicy, known: Known, now: datetime) -> tuple[Fate, ...]:
    """Return the fate of every member."""
    return tuple(_fate(member, gang, policy, known, now) for member in gang.members)


def _fate(member: Member, gang: Gang, policy: FailurePolicy, known: Known, now: datetime) -> Fate:
    pod, unseen = member.pod, member.name in known.unseen
    if known.told_the_end:
        return Fate(member, member.failures)
    if member.lost or unseen:
        generation, by_rules = known.generation, known.by_rules
        lost = judge_loss(member.name, pod, policy, generation, by_rules=by_rules, out_of_sight=unseen)
        failures = _failures(member, lost)
        # Taken away on purpose, or with its node: the next one has nothing to do with it.
        return Fate(member, failures, lost, replace_at=now, out_of_sight=unseen and not member.lost)
    if pod is None or not pod.over:
        return Fate(member, member.failures)
    judge_at = _open_until(member, gang)
    if judge_at is not None and now < judge_at:
        return Fate(member, member.failures, judge_at=judge_at)
    verdict = judge_end(pod, policy, known.generation)
    if repeats(pod, verdict, known.ledger):
        judge_at = _heard_by(member, gang, known)
        if judge_at is not None and now < judge_at:
            return Fate(member, member.failures, judge_at=judge_at)
        verdict = ended_again(verdict)
    short_lives = pod.short_lives + 1 if _short_life(pod) else 0
    return Fate(member, _failures(member, verdict), verdict, _ready_at(pod, short_lives, now), short_lives)


def _heard_by(member: Member, gang: Gang, known: Known) -> datetime | None:
    """Return when all that was achieved before a pod's end is known: reports reach the status a little later."""
    if known.between and member is not gang.chief:
        return None
    ended = ended_at(member.pod)
    return None if ended is None else ended + VERDICT_GRACE


def _failures(member: Member, verdict: Verdict) -> int:
    own = member.pod.failures if member.pod is not None else 0
    return max(member.failures, own + (verdict.cost is Cost.COUNTED))


def _open_until(member: Member, gang: Gang) -> datetime | None:
    """Return until when the chief may still say what this worker's end means; None when it needs no word of it."""
    pod, ended, chief = member.pod, ended_at(member.pod), gang.chief
    if member is chief or pod is None or ended is None or pod.terminated is None or not chief.up:
        return None
    if chief.pod is not None and chief.pod.over:
        return None
    report, code = pod.report, pod.terminated.exit_code
    if code == 0 and not pod.disruption:
        return ended + ALONE_GRACE
    if pod.disruption or pod.reason or pod.terminated.reason != "Error" or node_restarted(pod):
        return None
    if report is not None:
        return ended + VERDICT_GRACE if report.state == "Failed" else None
    return ended + VERDICT_GRACE if code < SIGNALS and code != 2 else None


def _short_life(pod: PodFact) -> bool:
    ended = pod.terminated
    if ended is None or ended.finished_at is None:
        return True
    started = ended.started_at or pod.started_at or pod.created_at
    return started is None or ended.finished_at - started < GOOD_LIFE


def _ready_at(pod: PodFact, short_lives: int, now: datetime) -> datetime:
    since = ended_at(pod) or pod.created_at
    if short_lives < 2 or since is None:
        return now
    delay: timedelta = min(FIRST_DELAY * 2 ** min(short_lives - 2, 10), LAST_DELAY)
    return since + delay


def surplus(gang: Gang, found: tuple[Fate, ...]) -> tuple[PodFact, ...]:
    """Return pods to delete: that have a successor and still seem to run, that are out of sight, old ended ones."""
    out = [fate.member.pod for fate in found if fate.out_of_sight and fate.member.pod is not None]
    wanted = {member.name for member in gang.members}
    older = [pod for pod in gang.spare if pod.member in wanted and not pod.deleting]
    out += [pod for pod in older if not pod.over]
    for member in gang.members:
        ended = [pod for pod in (*older, member.pod) if pod is not None and pod.member == member.name and pod.over]
        ended.sort(key=lambda pod: pod.incarnation)
        out += [pod for pod in ended[:-KEPT_PODS] if pod.finished]
    return tuple(out)
