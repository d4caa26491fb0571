"""The words of the chief's state machine (`gang`): what may happen, what is to be done, and where a gang can be."""

from __future__ import annotations

import dataclasses
from typing import FrozenSet, Mapping, Optional, Tuple, Union

from trainingjob_launcher.contract import Failure, member_name
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
    """A connection has ended, or its member says that it is being terminated."""

    member: str
    connection: int
    why: str
    reason: str = "MemberLost"


@dataclasses.dataclass(frozen=True)
class TrainerExited:
    """A member's trainer of generation `generation` has ended; it was said over `connection`."""

    member: str
    generation: int
    end: TrainerExit
    connection: int = OWN_CONNECTION


@dataclasses.dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclasses.dataclass(frozen=True)
class Terminate:
    """The chief's own pod is asked to go (SIGTERM). A later issue saves a checkpoint on all members here."""


Event = Union[MemberJoined, MemberLost, TrainerExited, Tick, Terminate]

# --- Actions --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Announce:
    """Start generation `generation`, on every member: `addresses` are (member, HOST:PORT), the chief first."""

    generation: int
    addresses: Tuple[Tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Admit:
    """Start generation `generation`, which runs already, on the guest at the end of a connection."""

    connection: int
    generation: int
    addresses: Tuple[Tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Dismiss:
    """Tell the guest at the end of a connection that it has failed, and that the gang goes on without it."""

    connection: int
    failure: Failure


@dataclasses.dataclass(frozen=True)
class StopAll:
    """Tell all members how it ended and stop every trainer, at once unless `graceful`."""

    outcome: str
    failure: Optional[Failure]
    graceful: bool = False


@dataclasses.dataclass(frozen=True)
class Refuse:
    """Tell a connection why it is not wanted, and close it."""

    connection: int
    why: str


@dataclasses.dataclass(frozen=True)
class Finish:
    """Report, write the termination message, leave."""

    outcome: str
    failure: Optional[Failure]


Action = Union[Announce, Admit, Dismiss, StopAll, Refuse, Finish]

# --- States ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    """`members` are the expected ones, the chief first. `evaluator` says whether one may come besides."""

    members: Tuple[str, ...]
    timings: Timings = dataclasses.field(default_factory=Timings)
    evaluator: bool = False


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Members are missing. `generation` is the last one that ran."""

    settings: Settings
    peers: Mapping[str, MemberJoined]
    generation: int = 0


@dataclasses.dataclass(frozen=True)
class Running:
    """Trainers run. `exits` holds None for a member that went away when it did not matter any more.

    `evaluated` says that the evaluator that is here has ended; `settled` that the members have, and only the
    evaluator is waited for, until `evaluate_by`.
    """

    settings: Settings
    generation: int
    peers: Mapping[str, MemberJoined]
    addresses: Tuple[Tuple[str, str], ...] = ()
    exits: Mapping[str, Optional[TrainerExit]] = dataclasses.field(default_factory=dict)
    suspect: Optional[Failure] = None
    judge_by: Optional[float] = None
    finish_by: Optional[float] = None
    evaluate_by: Optional[float] = None
    evaluated: bool = False
    settled: bool = False


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end was announced; members leave. `awaiting` are those still to go."""

    generation: int
    outcome: str
    failure: Optional[Failure]
    peers: Mapping[str, MemberJoined]
    awaiting: FrozenSet[str]
    deadline: float


@dataclasses.dataclass(frozen=True)
class Done:
    """The job succeeded. `peers` are those to whom this is still to be said."""

    generation: int
    peers: Mapping[str, MemberJoined] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Failed:
    """The job failed or its chief was terminated; `failure` is the first cause."""

    generation: int
    outcome: str
    failure: Failure
    peers: Mapping[str, MemberJoined] = dataclasses.field(default_factory=dict)


State = Union[Waiting, Running, Ending, Done, Failed]
Step = Tuple[State, Tuple[Action, ...]]
