"""The state machine of every member but the chief. Pure, like `gang`.

    Connecting --Connected--> Waiting --Announced--> Running(g) --Ended--> Ending --trainer gone--> Done
        ^                        |                      |
        \\------Disconnected------+----------------------/    (a running trainer is killed at once)

The chief decides; a member obeys, and says how its trainer ended. A member whose chief is gone kills its trainer
at once (its collectives are stuck anyway) and looks for the chief for a bounded time: with restarts (a later
issue) it finds the next one and joins the next generation. Before it has ever had a chief it waits without end:
the chief's pod may be waiting for a node, and the operator keeps the deadlines.

The evaluator's launcher runs this machine too, as a guest. Its chief goes on when a connection breaks, so what it
finds again may be the generation that it has served already: it starts its trainer anew for it.

Fencing: `fence` is the highest (chief's incarnation, generation) that this member has served. An announcement that
is not above it comes from a chief that was replaced: the connection is dropped.
"""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple, Union

from trainingjob_launcher.blame import failure_of
from trainingjob_launcher.contract import Failure
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, End, TrainerExit
from trainingjob_launcher.settings import Timings

TERMINATED_CODE = 143

# --- Events ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Connected:
    """The chief is there and both have proved that they hold the key."""


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


@dataclasses.dataclass(frozen=True)
class Ended:
    """The chief's last word."""

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
    """SIGTERM. A later issue asks the chief for a checkpoint of all members here."""


Event = Union[Connected, Disconnected, Refused, Announced, Ended, TrainerExited, Tick, Terminate]

# --- Actions --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Connect:
    """Look for the chief until it answers."""


@dataclasses.dataclass(frozen=True)
class Disconnect:
    """Drop the connection; `Disconnected` follows."""

    why: str


@dataclasses.dataclass(frozen=True)
class Start:
    """Start the trainer of a generation."""

    generation: int
    addresses: Tuple[Tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop the trainer: kill it at once unless `graceful`; `TrainerExited` follows."""

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
class Finish:
    """Write the termination message, say the last line and exit with `code`."""

    code: int
    outcome: str
    failure: Optional[Failure]
    generation: int = 0


Action = Union[Connect, Disconnect, Start, Stop, TellExit, TellTerminating, Finish]

# --- States ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Common:
    """What every living state carries: who this is, the fence, and the trainer.

    `alive` is the generation whose trainer process has not been reaped yet; `last` how the last trainer ended by
    itself, that is without being stopped by this launcher. A `guest` is no member of the gang.
    """

    member: str
    timings: Timings = dataclasses.field(default_factory=Timings)
    fence: Tuple[int, int] = (0, 0)
    alive: Optional[int] = None
    last: Optional[TrainerExit] = None
    guest: bool = False


@dataclasses.dataclass(frozen=True)
class Connecting:
    """No chief. `by` is when to give up, None for never."""

    common: Common
    by: Optional[float] = None
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
class Ending:
    """The trainer is being stopped; exit when it is gone, at `deadline` without it."""

    common: Common
    finish: Finish
    deadline: float


@dataclasses.dataclass(frozen=True)
class Done:
    """Over."""

    finish: Finish


State = Union[Connecting, Waiting, Running, Ending, Done]
Step = Tuple[State, Tuple[Action, ...]]


def begin(member: str, timings: Timings, guest: bool = False) -> Step:
    """Return the first state."""
    return Connecting(Common(member, timings, guest=guest)), (Connect(),)


def deadline(state: State) -> Optional[float]:
    """Return when the machine wants a `Tick`, None when it waits for events only."""
    if isinstance(state, Connecting):
        return state.by
    return state.deadline if isinstance(state, Ending) else None


def step(state: State, event: Event, now: float) -> Step:
    """Return what an event makes of a state, and what is to be done. Total: any event in any state."""
    if isinstance(state, Done):
        return state, ()
    if isinstance(event, TrainerExited):
        return _exited(state, event)
    if isinstance(state, Ending):
        if isinstance(event, Tick) and now >= state.deadline:
            return Done(state.finish), (state.finish,)
        return state, ()
    if isinstance(event, Terminate):
        return _terminate(state, now)
    if isinstance(state, Connecting):
        return _connecting(state, event, now)
    if isinstance(event, Disconnected):
        return _disconnected(state, event, now)
    if isinstance(event, Refused):
        return _end(state.common, _refused(state.common, event), now)
    if isinstance(event, Ended):
        return _end(state.common, _verdict(state.common, event.end), now)
    if isinstance(event, Announced):
        return _announced(state, event)
    return state, ()


def _connecting(state: Connecting, event: Event, now: float) -> Step:
    if isinstance(event, Connected):
        return Waiting(state.common), ()
    if isinstance(event, Refused):
        return _end(state.common, _refused(state.common, event), now)
    if isinstance(event, Disconnected):
        return state, (Connect(),)
    if isinstance(event, Tick) and state.by is not None and now >= state.by:
        common = state.common
        waited = f"{state.why}, and no chief came for {common.timings.reconnect:g} s"
        failure = Failure("chief-0", "ChiefLost", waited, generation=common.fence[1])
        code = common.last.code if common.last is not None and common.last.code != 0 else 1
        return _end(common, Finish(code, FAILED, _own_failure(common) or failure), now)
    return state, ()


def _announced(state: Union[Waiting, Running], event: Announced) -> Step:
    common = state.common
    number = (event.chief_incarnation, event.generation)
    again = common.guest and isinstance(state, Waiting)
    if number == common.fence and not again:
        return state, ()  # said twice
    if number < common.fence or isinstance(state, Running):
        return state, (Disconnect(f"generation {event.generation} was announced, {common.fence[1]} was served"),)
    if common.alive is not None:
        return Waiting(common, event), ()
    return _start(common, event)


def _start(common: Common, event: Announced) -> Step:
    fence = (event.chief_incarnation, event.generation)
    common = dataclasses.replace(common, fence=fence, alive=event.generation, last=None)
    return Running(common, event.generation), (Start(event.generation, event.addresses),)


def _exited(state: Union[Connecting, Waiting, Running, Ending], event: TrainerExited) -> Step:
    common = state.common
    if event.generation != common.alive:
        return state, ()
    common = dataclasses.replace(common, alive=None)
    if isinstance(state, Ending):
        return Done(state.finish), (state.finish,)
    if isinstance(state, Running):
        common = dataclasses.replace(common, last=event.end)
        return Running(common, state.generation), (TellExit(event.generation, event.end),)
    if isinstance(state, Waiting) and state.pending is not None:
        return _start(common, state.pending)
    return dataclasses.replace(state, common=common), ()


def _disconnected(state: Union[Waiting, Running], event: Disconnected, now: float) -> Step:
    common = state.common
    running = isinstance(state, Running) and common.alive is not None
    by = now + common.timings.reconnect
    return Connecting(common, by, f"the chief is gone: {event.why}"), (*((Stop(),) if running else ()), Connect())


def _terminate(state: Union[Connecting, Waiting, Running], now: float) -> Step:
    common = state.common
    failure = Failure(common.member, "Terminated", "its pod was asked to terminate (SIGTERM)")
    failure = dataclasses.replace(failure, exit_code=TERMINATED_CODE, generation=common.fence[1])
    finish = Finish(TERMINATED_CODE, TERMINATED, failure)
    tell: Tuple[Action, ...] = () if isinstance(state, Connecting) else (TellTerminating(),)
    after, actions = _end(common, finish, now, graceful=True)
    return after, tell + actions


def _refused(common: Common, event: Refused) -> Finish:
    failure = Failure(common.member, "Refused", f"the chief refused it: {event.why}", generation=common.fence[1])
    return Finish(1, FAILED, _own_failure(common) or failure)


def _verdict(common: Common, end: End) -> Finish:
    if end.outcome == SUCCEEDED:
        return Finish(0, SUCCEEDED, None)
    own = _own_failure(common)
    culprit = end.failure is not None and end.failure.member == common.member
    code = own.exit_code if own is not None and culprit else None
    return Finish(code or 1, end.outcome, own or end.failure)


def _own_failure(common: Common) -> Optional[Failure]:
    if common.last is None or common.last.code == 0:
        return None
    return failure_of(common.member, common.fence[1], common.last)


def _end(common: Common, finish: Finish, now: float, graceful: bool = False) -> Step:
    finish = dataclasses.replace(finish, generation=common.fence[1])
    if common.alive is None:
        return Done(finish), (finish,)
    graceful = graceful or finish.outcome == TERMINATED
    wait = common.timings.ending + (common.timings.grace if graceful else 0.0)
    return Ending(common, finish, now + wait), (Stop(graceful),)
