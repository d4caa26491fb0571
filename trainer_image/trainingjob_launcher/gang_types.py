"""The words of the chief's state machine (`gang`): what may happen, what is to be done, and where a gang can be."""

from __future__ import annotations

import dataclasses
from typing import FrozenSet, Mapping, Optional, Tuple, Union

from trainingjob_launcher.contract import Failure, Ledger, Policy, member_name
from trainingjob_launcher.messages import Hello, TrainerExit
from trainingjob_launcher.settings import Timings

CHIEF = member_name("chief", 0)
EVALUATOR = member_name("evaluator", 0)
#: The chief's launcher is a member of its own gang, over no connection.
OWN_CONNECTION = 0

# --- Events ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MemberJoined:
    """A launcher has proved that it holds the key, and says who it is. `connection` is a number never used twice."""

    hello: Hello
    connection: int


@dataclasses.dataclass(frozen=True)
class MemberLost:
    """A connection has ended."""

    member: str
    connection: int
    why: str
    reason: str = "MemberLost"


@dataclasses.dataclass(frozen=True)
class MemberTerminating:
    """A member's pod is asked to go (SIGTERM): it keeps its trainer until it is told to save, then it leaves."""

    member: str
    connection: int
    why: str = "its pod was asked to terminate (SIGTERM)"


@dataclasses.dataclass(frozen=True)
class TrainerExited:
    """A member's trainer of generation `generation` has ended; it was said over `connection`."""

    member: str
    generation: int
    end: TrainerExit
    connection: int = OWN_CONNECTION


@dataclasses.dataclass(frozen=True)
class Progressed:
    """The chief's own trainer of a generation has told where it is; what it has not told is None.

    `total` is how many steps there are to make, `resumed_step` where this generation began. `busy` says what it does
    that may take long without a step: "starting", "evaluation", "checkpoint"; "" is training.
    """

    generation: int
    step: Optional[int] = None
    total: Optional[int] = None
    resumed_step: Optional[int] = None
    busy: str = ""


@dataclasses.dataclass(frozen=True)
class Inspected:
    """The answer to `Inspect`: the stacks of the trainers that gave one, as text, by member."""

    generation: int
    stacks: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Replaced:
    """The operator says that another chief has taken this one's place."""

    why: str


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """The operator has taken the report that `Confirm` asked for: this is still the chief."""

    generation: int


@dataclasses.dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclasses.dataclass(frozen=True)
class Terminate:
    """The chief's own pod is asked to go (SIGTERM)."""


Event = Union[
    MemberJoined,
    MemberLost,
    MemberTerminating,
    TrainerExited,
    Progressed,
    Inspected,
    Replaced,
    Confirmed,
    Tick,
    Terminate,
]

# --- Actions --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Announce:
    """Start generation `generation` on all that are here, `peers_of(state)`. Report Running.

    `addresses` are (member, HOST:PORT) of the members that train, the chief first, the workers in their order. The
    guest, if it is here, is told too.
    """

    generation: int
    addresses: Tuple[Tuple[str, str], ...]
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


@dataclasses.dataclass(frozen=True)
class Admit:
    """Start generation `generation`, which runs already, on the guest at the end of a connection."""

    connection: int
    generation: int
    addresses: Tuple[Tuple[str, str], ...]
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


@dataclasses.dataclass(frozen=True)
class Dismiss:
    """Tell the guest at the end of a connection that it has failed, and that the gang goes on without it."""

    connection: int
    failure: Failure


@dataclasses.dataclass(frozen=True)
class StopGeneration:
    """Tell these connections to stop the trainer of a generation, and stop the own one: at once, or `graceful`.

    The members stay, and say when their trainer is gone. `failure` is why. Report Restarting. It may come a second
    time for one generation: then nobody waits for savings any longer, and `graceful` is False.
    """

    generation: int
    graceful: bool
    failure: Failure
    connections: Tuple[int, ...]
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


@dataclasses.dataclass(frozen=True)
class StopAll:
    """Tell all members how the job has ended and stop every trainer, at once."""

    outcome: str
    failure: Optional[Failure]


@dataclasses.dataclass(frozen=True)
class Refuse:
    """Tell a connection why it is not wanted, and close it."""

    connection: int
    why: str


@dataclasses.dataclass(frozen=True)
class Drop:
    """End a connection at once, without a word: its launcher looks for the chief again."""

    connection: int
    why: str


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Collect the stacks of the trainers of a generation within `Timings.inspect` seconds; `Inspected` follows."""

    generation: int


@dataclasses.dataclass(frozen=True)
class Confirm:
    """Ask the operator, with a report, whether this is still the chief: `Confirmed` follows once it was taken.

    Without anybody to report to it follows at once. It may be said again while the answer is outstanding.
    """

    generation: int


@dataclasses.dataclass(frozen=True)
class Finish:
    """Report, write the termination message, leave. `TERMINATED`: the job goes on with the next chief."""

    outcome: str
    failure: Optional[Failure]


Action = Union[Announce, Admit, Dismiss, StopGeneration, StopAll, Refuse, Drop, Inspect, Confirm, Finish]

# --- States ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    """`members` are the expected ones, the chief first. `evaluator` says whether one may come besides."""

    members: Tuple[str, ...]
    timings: Timings = dataclasses.field(default_factory=Timings)
    evaluator: bool = False
    policy: Policy = dataclasses.field(default_factory=Policy)


@dataclasses.dataclass(frozen=True)
class Past:
    """What every living state knows of the job so far.

    `pod_failures` is the operator's tally of pods. `known` are the members that have been in the gang: who of them is
    missing is unreachable. `failure` is why the last generation ended, None before the first end in this chief's
    life. `cluster` are the members of the last generation of this chief.
    """

    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    pod_failures: int = 0
    known: FrozenSet[str] = frozenset()
    failure: Optional[Failure] = None
    cluster: Tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Members are missing, or the back-off is not over. Times are of the machine's clock.

    `since` is when the wait began, `not_before` when the back-off is over. `asked_at` is when the operator was asked
    last whether a smaller gang may form, `confirmed_at` when it said yes.
    """

    settings: Settings
    peers: Mapping[str, MemberJoined]
    past: Past = dataclasses.field(default_factory=Past)
    since: float = 0.0
    not_before: float = 0.0
    asked_at: Optional[float] = None
    confirmed_at: Optional[float] = None

    @property
    def generation(self) -> int:
        """The number of the last generation that ran."""
        return self.past.ledger.generation


@dataclasses.dataclass(frozen=True)
class Pace:
    """Whether there are new steps: what the clock of stalls needs.

    `step` is the last of this generation, None before its first. `idle` are the seconds without a step up to `at`;
    they pass ten times slower while `slow`. `moved_at` is when the last step was. `advanced` says that this
    generation has made a step that the job had never made. `inspect_by` is until when stacks are waited for,
    `stalled` that it stalls and goes on nevertheless.
    """

    at: float
    moved_at: float
    idle: float = 0.0
    slow: bool = True
    step: Optional[int] = None
    total: Optional[int] = None
    advanced: bool = False
    inspect_by: Optional[float] = None
    stalled: bool = False


@dataclasses.dataclass(frozen=True)
class Running:
    """Trainers run. `exits` holds None for a member that went away when it did not matter any more.

    `peers` may hold members that are not in `addresses`: they wait for the gang to grow. `evaluated` says that the
    evaluator that is here has ended; `settled` that the members have, and only the evaluator is waited for, until
    `evaluate_by`.
    """

    settings: Settings
    peers: Mapping[str, MemberJoined]
    past: Past
    addresses: Tuple[Tuple[str, str], ...]
    began_at: float
    pace: Pace
    exits: Mapping[str, Optional[TrainerExit]] = dataclasses.field(default_factory=dict)
    suspect: Optional[Failure] = None
    judge_by: Optional[float] = None
    finish_by: Optional[float] = None
    evaluate_by: Optional[float] = None
    evaluated: bool = False
    settled: bool = False

    @property
    def generation(self) -> int:
        """The number of the generation that runs."""
        return self.past.ledger.generation

    @property
    def cluster(self) -> Tuple[str, ...]:
        """The members that train in this generation, the chief first."""
        return tuple(name for name, _ in self.addresses)


@dataclasses.dataclass(frozen=True)
class Clearing:
    """A generation is over and its trainers are being stopped. `past.failure` says why.

    `awaiting` are the members whose trainer is not known to be gone, with the connection that has to say so. At
    `deadline` those connections are dropped; the own trainer is waited for until `give_up`. `kill_by`: somebody has
    failed to save, and then nobody waits for savings any longer. `leave`: why this launcher leaves when all is clear.
    `delay` is the back-off until the next generation, in seconds. `forgiven`: the job has succeeded if the chief's
    trainer ends with 0 in spite of all. `pace` is the generation's.
    """

    settings: Settings
    peers: Mapping[str, MemberJoined]
    past: Past
    awaiting: Mapping[str, int]
    deadline: float
    give_up: float
    graceful: bool
    pace: Pace
    kill_by: Optional[float] = None
    leave: Optional[Failure] = None
    delay: float = 0.0
    forgiven: bool = True

    @property
    def generation(self) -> int:
        """The number of the generation that is over."""
        return self.past.ledger.generation


@dataclasses.dataclass(frozen=True)
class Ending:
    """The job's end was announced; members leave. `awaiting` are those still to go."""

    past: Past
    outcome: str
    failure: Optional[Failure]
    peers: Mapping[str, MemberJoined]
    awaiting: FrozenSet[str]
    deadline: float

    @property
    def generation(self) -> int:
        """The number of the last generation."""
        return self.past.ledger.generation


@dataclasses.dataclass(frozen=True)
class Done:
    """The job succeeded. `peers` are those to whom this is still to be said."""

    past: Past
    peers: Mapping[str, MemberJoined] = dataclasses.field(default_factory=dict)

    @property
    def generation(self) -> int:
        """The number of the last generation."""
        return self.past.ledger.generation


@dataclasses.dataclass(frozen=True)
class Failed:
    """The job failed; or (`outcome` TERMINATED) its chief leaves, and the next goes on. `failure` is the cause."""

    past: Past
    outcome: str
    failure: Failure
    peers: Mapping[str, MemberJoined] = dataclasses.field(default_factory=dict)

    @property
    def generation(self) -> int:
        """The number of the last generation."""
        return self.past.ledger.generation


State = Union[Waiting, Running, Clearing, Ending, Done, Failed]
Step = Tuple[State, Tuple[Action, ...]]
