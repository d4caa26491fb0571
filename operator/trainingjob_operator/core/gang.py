"""A gang as its pods show it: for each member its newest pod, and which members lack one.

The evaluator stands beside it: whoever counts or asks the members does not ask it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import member_name
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.core.desired import members
from trainingjob_operator.core.observe import PodFact

CHIEF = member_name(names.ROLE_CHIEF, 0)
NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Member:
    """One wanted member, or the evaluator.

    `pod` is its newest pod, `incarnations` how many pods it is known to have had, `failures` how many of those are
    known to have failed in a way that counts, the newest not yet judged. `written` is how many the status knows of.
    """

    role: str
    index: int
    pod: PodFact | None
    incarnations: int
    failures: int = 0
    written: int = 0

    @property
    def name(self) -> str:
        """Name in the gang, `worker-3`."""
        return member_name(self.role, self.index)

    @property
    def lost(self) -> bool:
        """Whether it has no pod, or one that is going."""
        return self.pod is None or self.pod.deleting

    @property
    def up(self) -> bool:
        """Whether its pod runs or has finished well."""
        pod = self.pod
        if pod is None or pod.deleting or pod.phase not in ("Running", "Succeeded"):
            return False
        return pod.terminated is None or pod.terminated.exit_code == 0

    @property
    def new(self) -> bool:
        """Whether it has another pod than when the status was written: what that says of it was of the last one."""
        return self.pod is not None and self.pod.incarnation > max(self.written, 1)


@dataclass(frozen=True, slots=True)
class Gang:
    """All wanted members, the chief first, and the pods beside their newest ones."""

    members: tuple[Member, ...]
    spare: tuple[PodFact, ...]
    evaluator: Member | None = None

    @property
    def chief(self) -> Member:
        """The chief."""
        return self.members[0]

    @property
    def up(self) -> int:
        """How many members run or have finished well."""
        return sum(member.up for member in self.members)

    @property
    def complete(self) -> bool:
        """Whether all members run or have finished well."""
        return self.up == len(self.members)

    @property
    def pods(self) -> tuple[PodFact, ...]:
        """Every pod there is, of members, evaluator and spare."""
        known = (*self.members, *((self.evaluator,) if self.evaluator is not None else ()))
        return (*(member.pod for member in known if member.pod is not None), *self.spare)


def assemble(
    spec: TrainingJobSpec, pods: Iterable[PodFact], known: Mapping[str, int], failures: Mapping[str, int] = NOTHING
) -> Gang:
    """Sort pods by member. For pods that are gone, `known` says how many a member has had by the status, `failures`
    how many of them failed in a way that counts.
    """
    newest: dict[str, PodFact] = {}
    told: dict[str, int] = {}
    spare: list[PodFact] = []
    places = list(members(spec))
    if spec.evaluator is not None:
        places.append((names.ROLE_EVALUATOR, 0))
    wanted = {member_name(role, index) for role, index in places}
    for pod in sorted(pods, key=lambda pod: (pod.incarnation, pod.uid)):
        if pod.member not in wanted:
            spare.append(pod)
            continue
        told[pod.member] = max(told.get(pod.member, 0), pod.failures)
        older = newest.get(pod.member)
        if older is not None:
            spare.append(older)
        newest[pod.member] = pod
    found = []
    for role, index in places:
        name = member_name(role, index)
        current = newest.get(name)
        written = known.get(name, 0)
        incarnations = max(written, current.incarnation if current else 0)
        failed = max(failures.get(name, 0), told.get(name, 0))
        found.append(Member(role, index, current, incarnations, failed, written))
    evaluator = found.pop() if spec.evaluator is not None else None
    return Gang(tuple(found), tuple(spare), evaluator)
