"""The words of a member's state machine (`member`): what may happen, what is to be done, where a member can be."""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple, Union

from trainingjob_launcher.contract import Failure, Ledger
from trainingjob_launcher.messages import End, TrainerExit
from trainingjob_launcher.settings import Timings

# --- Events ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Connected:
    """The chief is there, both have proved that they hold the key, and the chief has said which incarnation it is."""

    chief_incarnation: int


@dataclasses.dataclass(frozen=True)
class Disconnected:
    """The connection to the chief is gone."""

    why: str


@dataclasses.dataclass(frozen=True)
class Refused:
    """The chief does not want this member: it is not of this gang, was replaced, or the job is over."""

    why: str


@dataclasses.dataclass(frozen=True)
class Announced:
    """The chief starts a generation."""

    chief_incarnation: int
    generation: int
    addresses: Tuple[Tuple[str, str], ...]
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


@dataclasses.dataclass(frozen=True)
class GenerationStopped:
    """The chief says that a generation is over: its trainer is to be stopped, at once or `graceful`."""

    generation: int
    graceful: bool = False
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


@dataclasses.dataclass(frozen=True)
class Ended:
    """The chief's last word: the job is over."""

    end: End


@dataclasses.dataclass(frozen=True)
class TrainerExited:
    """The own trainer has ended and its whole process group is gone."""

    generation: int
    end: TrainerExit


@dataclasses.dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclasses.dataclass(frozen=True)
class Terminate:
    """SIGTERM: this member's pod is asked to go."""


Event = Union[Connected, Disconnected, Refused, Announced, GenerationStopped, Ended, TrainerExited, Tick, Terminate]

# --- Actions --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Connect:
    """Look for the chief until it answers, beginning in `delay` seconds."""

    delay: float = 0.0


@dataclasses.dataclass(frozen=True)
class Disconnect:
    """Drop the connection; `Disconnected` follows."""

    why: str


@dataclasses.dataclass(frozen=True)
class Start:
    """Start the trainer of a generation of the chief's incarnation `chief_incarnation`."""

    generation: int
    addresses: Tuple[Tuple[str, str], ...]
    chief_incarnation: int = 1


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop the trainer: kill it at once unless `graceful`; `TrainerExited` follows.

    A `Stop` that is not graceful may follow a graceful one.
    """

    graceful: bool = False


@dataclasses.dataclass(frozen=True)
class TellExit:
    """Tell the chief how the trainer ended."""

    generation: int
    end: TrainerExit


@dataclasses.dataclass(frozen=True)
class TellTerminating:
    """Tell the chief that this member goes."""


@dataclasses.dataclass(frozen=True)
class TellLost:
    """Tell the operator that the chief of this incarnation is lost: once; it is said again while it lasts."""

    chief_incarnation: int


@dataclasses.dataclass(frozen=True)
class Finish:
    """Write the termination message, say the last line and exit with `code`."""

    code: int
    outcome: str
    failure: Optional[Failure]
    generation: int = 0


Action = Union[Connect, Disconnect, Start, Stop, TellExit, TellTerminating, TellLost, Finish]

# --- States ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Common:
    """What every living state carries: who this is, the fence, and the trainer.

    `fence` is the highest (chief's incarnation, generation) that was served, `chief` the highest incarnation that was
    met, `ledger` the newest that was heard. `alive` is the generation whose trainer process has not been reaped yet,
    `stop_by` when a trainer that is being stopped has to be gone; `last` how the last trainer ended by itself, that
    is without being stopped by this launcher. A `guest` is no member of the gang.
    """

    member: str
    timings: Timings = dataclasses.field(default_factory=Timings)
    fence: Tuple[int, int] = (0, 0)
    chief: int = 0
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    alive: Optional[int] = None
    stop_by: Optional[float] = None
    last: Optional[TrainerExit] = None
    guest: bool = False


@dataclasses.dataclass(frozen=True)
class Connecting:
    """No chief. `notice_at` is when to tell the operator, None when there never was one. `why` the last one went."""

    common: Common
    notice_at: Optional[float] = None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The chief knows us. `pending` is a generation that starts as soon as the old trainer is gone."""

    common: Common
    pending: Optional[Announced] = None


@dataclasses.dataclass(frozen=True)
class Running:
    """Our trainer runs, or has ended by itself and the chief's word is awaited (`common.alive` is None)."""

    common: Common
    generation: int


@dataclasses.dataclass(frozen=True)
class Stopping:
    """The chief has ended the generation; our trainer is being stopped, and the chief waits for its end."""

    common: Common
    generation: int
    graceful: bool


@dataclasses.dataclass(frozen=True)
class Leaving:
    """Our pod is asked to go. The trainer runs until the chief stops the generation, or until `ask_by` (None: it is
    being stopped); `connected` says whether the chief can be told.
    """

    common: Common
    generation: int
    finish: Finish
    ask_by: Optional[float]
    connected: bool = True


@dataclasses.dataclass(frozen=True)
class Ending:
    """The trainer is being stopped; exit when it is gone, at `deadline` without it."""

    common: Common
    finish: Finish
    deadline: float


@dataclasses.dataclass(frozen=True)
class Done:
    """Over."""

    finish: Finish


State = Union[Connecting, Waiting, Running, Stopping, Leaving, Ending, Done]
Step = Tuple[State, Tuple[Action, ...]]
