"""The state machine of every member but the chief. Pure, like `gang`.

    Connecting --Connected--> Waiting --Announced--> Running(g) --GenerationStopped--> Stopping(g) --trainer gone--\\
        ^  (tells the operator)   ^                      |                                 |                       |
        |                         \\----------------------|---------------------------------|-----------------------/
        \\------Disconnected (from all of them; a running trainer is killed at once)-------/

    Waiting, Running, Stopping --Terminate--> Leaving --trainer gone--> Done(143)
    all of them --Ended, Refused--> Ending --trainer gone--> Done

The chief decides; a member obeys, and says how its trainer ended. A generation that is over is not the member's end:
it waits for the next. A member whose chief is gone kills its trainer at once (its collectives are stuck anyway), and
looks for the next chief without end: the operator keeps the deadlines. It tells the operator that the chief is lost,
from `Timings.notice` seconds on and as often, because nobody else may know. A trainer that is still not gone
`Timings.kill` seconds after SIGKILL ends the member: its pod has to be replaced.

SIGTERM. The member tells the chief and keeps its trainer: the chief has all trainers save together, since no one can
save alone. When the chief's word does not come in time, the trainer is asked to save alone, which is better than
nothing. Then the member leaves with 143.

The evaluator's launcher runs this machine too, as a guest. Generations come and go beneath it: its trainer runs on,
and is started anew only when it has ended, or when the chief was gone for a while.

Fencing. `fence` is the highest (chief's incarnation, generation) that this member has served. An announcement that is
not above it in both comes from a chief that was replaced: the connection is dropped. So is the connection to a chief
of a lower incarnation than one that was met already, before it can say anything. Words over no connection are
nobody's.
"""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple, Union

from trainingjob_launcher.blame import failure_of
from trainingjob_launcher.contract import Failure, Ledger
from trainingjob_launcher.member_types import (
    Action,
    Announced,
    Common,
    Connect,
    Connected,
    Connecting,
    Disconnect,
    Disconnected,
    Done,
    Ended,
    Ending,
    Event,
    Finish,
    GenerationStopped,
    Leaving,
    Refused,
    Running,
    Start,
    State,
    Step,
    Stop,
    Stopping,
    TellExit,
    TellLost,
    TellTerminating,
    Terminate,
    Tick,
    TrainerExited,
    Waiting,
)
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, End, TrainerExit
from trainingjob_launcher.settings import Timings

#: The machine and its words: whoever runs a member needs no other module.
__all__ = [
    "TERMINATED_CODE",
    "Action",
    "Announced",
    "Common",
    "Connect",
    "Connected",
    "Connecting",
    "Disconnect",
    "Disconnected",
    "Done",
    "Ended",
    "Ending",
    "Event",
    "Finish",
    "GenerationStopped",
    "Leaving",
    "Refused",
    "Running",
    "Start",
    "State",
    "Step",
    "Stop",
    "Stopping",
    "TellExit",
    "TellLost",
    "TellTerminating",
    "Terminate",
    "Tick",
    "TrainerExited",
    "Waiting",
    "begin",
    "deadline",
    "ledger_of",
    "step",
]

TERMINATED_CODE = 143
#: After a connection that led to the wrong chief: names may be out of date for a while.
_RETRY = 1.0
_NOT_STARTED = TrainerExit(TERMINATED_CODE, message="it was stopped before it started")

_Serving = Union[Waiting, Running, Stopping]
_Living = Union[Connecting, Waiting, Running, Stopping, Leaving, Ending]


def begin(member: str, timings: Timings, guest: bool = False, ledger: Optional[Ledger] = None) -> Step:
    """Return the first state. `ledger` is the one that the operator gave to this pod."""
    return Connecting(Common(member, timings, ledger=ledger or Ledger(), guest=guest)), (Connect(),)


def ledger_of(state: State) -> Ledger:
    """Return the newest ledger that this member has seen: what it says in its next hello."""
    return Ledger() if isinstance(state, Done) else state.common.ledger


def deadline(state: State) -> Optional[float]:
    """Return when the machine wants a `Tick`, None when it waits for events only."""
    if isinstance(state, Done):
        return None
    if isinstance(state, Ending):
        return state.deadline
    times = [state.common.stop_by]
    if isinstance(state, Connecting):
        times.append(state.notice_at)
    if isinstance(state, Leaving):
        times.append(state.ask_by)
    return min((time for time in times if time is not None), default=None)


def step(state: State, event: Event, now: float) -> Step:
    """Return what an event makes of a state, and what is to be done. Total: any event in any state."""
    if isinstance(state, Done):
        return state, ()
    if isinstance(event, TrainerExited):
        return _exited(state, event)
    if isinstance(event, Tick):
        return _tick(state, now)
    if isinstance(state, Ending):
        return state, ()
    if isinstance(state, Leaving):
        return _leaving(state, event, now)
    if isinstance(event, Terminate):
        return _terminate(state, now)
    if isinstance(state, Connecting):
        return _connecting(state, event)
    return _served(state, event, now)


def _connecting(state: Connecting, event: Event) -> Step:
    common = state.common
    if isinstance(event, Connected):
        if event.chief_incarnation < common.chief:
            said = f"the chief of incarnation {event.chief_incarnation} was replaced by that of {common.chief}"
            return state, (Disconnect(said),)
        return Waiting(dataclasses.replace(common, chief=event.chief_incarnation)), ()
    if isinstance(event, Disconnected):
        return state, (Connect(_RETRY),)
    return state, ()


def _served(state: _Serving, event: Event, now: float) -> Step:
    if isinstance(event, Disconnected):
        return _disconnected(state, event, now)
    if isinstance(event, Refused):
        return _end(state.common, _refused(state.common, event), now)
    if isinstance(event, Ended):
        return _end(state.common, _verdict(state.common, event.end), now)
    if isinstance(event, Announced):
        return _announced(state, event)
    if isinstance(event, GenerationStopped):
        return _stopped(state, event, now)
    return state, ()


def _announced(state: _Serving, event: Announced) -> Step:
    common = state.common
    number = (event.chief_incarnation, event.generation)
    if number == common.fence and not (common.guest and isinstance(state, Waiting)):
        return state, ()  # said twice
    again = number == common.fence
    if not again and (number < common.fence or event.generation <= common.fence[1]):
        return state, (Disconnect(f"generation {event.generation} was announced, {common.fence[1]} was served"),)
    if isinstance(state, Running):
        # The chief has forgotten that we serve another: it can't have our trainer, if that still runs.
        if not common.guest and common.alive is not None:
            return state, (Disconnect(f"generation {event.generation} was announced while {state.generation} runs"),)
        if common.alive is not None:
            return Running(_heard(common, event), event.generation), ()
    if common.alive is not None:
        return Waiting(common, event), ()
    return _start(common, event)


def _heard(common: Common, event: Announced) -> Common:
    fence = (event.chief_incarnation, event.generation)
    return dataclasses.replace(common, fence=fence, ledger=common.ledger.newest(event.ledger))


def _start(common: Common, event: Announced) -> Step:
    common = dataclasses.replace(_heard(common, event), alive=event.generation, stop_by=None, last=None)
    return Running(common, event.generation), (Start(event.generation, event.addresses, event.chief_incarnation),)


def _stopped(state: _Serving, event: GenerationStopped, now: float) -> Step:
    common = dataclasses.replace(state.common, ledger=state.common.ledger.newest(event.ledger))
    if isinstance(state, Waiting):
        pending = state.pending
        if pending is None or pending.generation != event.generation:
            return dataclasses.replace(state, common=common), ()
        # It is over before it began here: the old trainer has not gone yet.
        return Waiting(_heard(common, pending)), (TellExit(event.generation, _NOT_STARTED),)
    if event.generation != common.fence[1]:
        return state, ()
    if common.alive is None:
        return Waiting(common), ()
    if isinstance(state, Stopping) and (event.graceful or not state.graceful):
        return dataclasses.replace(state, common=common), ()
    common, stop = _stopping(common, now, event.graceful)
    return Stopping(common, state.generation, event.graceful), (stop,)


def _stopping(common: Common, now: float, graceful: bool) -> Tuple[Common, Stop]:
    by = now + common.timings.kill + (common.timings.grace if graceful else 0.0)
    if common.stop_by is not None:
        by = min(by, common.stop_by)
    return dataclasses.replace(common, stop_by=by), Stop(graceful)


def _exited(state: _Living, event: TrainerExited) -> Step:
    common = state.common
    if event.generation != common.alive:
        return state, ()
    common = dataclasses.replace(common, alive=None, stop_by=None)
    if isinstance(state, Ending):
        return Done(state.finish), (state.finish,)
    if isinstance(state, Running):
        common = dataclasses.replace(common, last=event.end)
        return Running(common, state.generation), (TellExit(state.generation, event.end),)
    if isinstance(state, Stopping):
        return Waiting(common), (TellExit(state.generation, event.end),)
    if isinstance(state, Leaving):
        tell = (TellExit(state.generation, event.end),) if state.connected else ()
        return Done(state.finish), (*tell, state.finish)
    if isinstance(state, Waiting) and state.pending is not None:
        return _start(common, state.pending)
    return dataclasses.replace(state, common=common), ()


def _disconnected(state: _Serving, event: Disconnected, now: float) -> Step:
    common = state.common
    stop: Tuple[Action, ...] = ()
    dying = isinstance(state, Waiting) or (isinstance(state, Stopping) and not state.graceful)
    if common.alive is not None and not dying:
        common, action = _stopping(common, now, graceful=False)
        stop = (action,)
    notice = None if common.guest else now + common.timings.notice
    return Connecting(common, notice, f"the chief is gone: {event.why}"), (*stop, Connect())


def _tick(state: _Living, now: float) -> Step:
    if isinstance(state, Ending):
        return (Done(state.finish), (state.finish,)) if now >= state.deadline else (state, ())
    common = state.common
    if common.alive is not None and common.stop_by is not None and now >= common.stop_by:
        finish = state.finish if isinstance(state, Leaving) else _unkillable(common)
        return Done(finish), (finish,)
    if isinstance(state, Connecting) and state.notice_at is not None and now >= state.notice_at:
        return dataclasses.replace(state, notice_at=now + common.timings.notice), (TellLost(common.chief),)
    if isinstance(state, Leaving) and state.ask_by is not None and now >= state.ask_by:
        return _ask(state, now, graceful=True)
    return state, ()


# --- The end ---


def _terminate(state: Union[Connecting, _Serving], now: float) -> Step:
    common = state.common
    failure = Failure(common.member, "Terminated", "its pod was asked to terminate (SIGTERM)")
    failure = dataclasses.replace(failure, exit_code=TERMINATED_CODE, generation=common.fence[1])
    finish = Finish(TERMINATED_CODE, TERMINATED, failure, common.fence[1])
    connected = not isinstance(state, Connecting)
    tell: Tuple[Action, ...] = (TellTerminating(),) if connected else ()
    if common.alive is None:
        return Done(finish), (*tell, finish)
    asked = common.stop_by is not None or not connected
    generation = state.generation if isinstance(state, (Running, Stopping)) else common.alive
    leaving = Leaving(common, generation, finish, None if asked else now + common.timings.leave, connected)
    if isinstance(state, Running) and common.guest:
        after, actions = _ask(leaving, now, graceful=True)  # it saves nothing that others wait for
        return after, tell + actions
    return leaving, tell


def _ask(state: Leaving, now: float, graceful: bool) -> Step:
    """Stop the trainer of a member that leaves."""
    common, stop = _stopping(state.common, now, graceful)
    return dataclasses.replace(state, common=common, ask_by=None), (stop,)


def _leaving(state: Leaving, event: Event, now: float) -> Step:
    if isinstance(event, GenerationStopped) and event.generation == state.common.fence[1]:
        if state.ask_by is None and event.graceful:
            return state, ()
        return _ask(state, now, event.graceful)
    if isinstance(event, Disconnected):
        # Nobody is left to save with.
        return _ask(dataclasses.replace(state, connected=False), now, graceful=False)
    if isinstance(event, Ended) and state.connected:
        return _end(state.common, _verdict(state.common, event.end), now)
    return state, ()


def _refused(common: Common, event: Refused) -> Finish:
    failure = Failure(common.member, "Refused", f"the chief refused it: {event.why}", generation=common.fence[1])
    return Finish(1, FAILED, _own_failure(common) or failure)


def _unkillable(common: Common) -> Finish:
    said = f"its trainer is still there {common.timings.kill:g} s after it was killed: it hangs in the kernel"
    failure = Failure(common.member, "TrainerUnkillable", said, generation=common.fence[1])
    return Finish(1, FAILED, failure, common.fence[1])


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


def _end(common: Common, finish: Finish, now: float) -> Step:
    finish = dataclasses.replace(finish, generation=common.fence[1])
    if common.alive is None:
        return Done(finish), (finish,)
    return Ending(common, finish, now + common.timings.ending), (Stop(graceful=False),)
