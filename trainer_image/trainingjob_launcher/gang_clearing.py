"""The chief's machine between two generations: trainers are stopped, and the next waits until all are gone. Pure.

At once, when somebody is gone already: the collectives of the others are stuck anyway. Graceful, when somebody has to
go (SIGTERM) or to come: then all finish their step and save together. If one of them fails at that the others can't
save either, and have `judge` seconds left. A newcomer takes its place for the next generation; the pod that it
replaces may finish its saving.

Success wins: the chief's trainer may have been through before it heard that it shall stop. With 0 it says so, except
where a worker has failed by an error of its own, and where a graceful stop has ended it before its last step.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, Mapping, Optional, Tuple, Union

from trainingjob_launcher import stall
from trainingjob_launcher.blame import RESTART_CODES, failure_of
from trainingjob_launcher.contract import Failure, Ledger
from trainingjob_launcher.gang_ending import end, leave, replaced, terminated, unkillable
from trainingjob_launcher.gang_forming import form
from trainingjob_launcher.gang_peers import displaced, is_current, unwanted, without
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    OWN_CONNECTION,
    Action,
    Clearing,
    Dismiss,
    Drop,
    Event,
    MemberJoined,
    MemberLost,
    MemberTerminating,
    Progressed,
    Refuse,
    Replaced,
    Running,
    Step,
    StopGeneration,
    Terminate,
    TrainerExited,
    Waiting,
)
from trainingjob_launcher.judgement import heard_late
from trainingjob_launcher.messages import SUCCEEDED


@dataclasses.dataclass(frozen=True)
class Stop:
    """How a generation is ended: why, with which ledger, and what comes then. The fields are those of `Clearing`."""

    failure: Failure
    ledger: Ledger
    graceful: bool = False
    delay: float = 0.0
    leave: Optional[Failure] = None
    forgiven: bool = True


def stop(state: Running, order: Stop, now: float, leaving: str = "") -> Step:
    """End a generation. `leaving` is a member that stops its trainer with the others, and then goes."""
    timings = state.settings.timings
    awaiting: Dict[str, int] = {}
    for name in state.cluster:
        if name not in state.exits and name in state.peers:
            awaiting[name] = state.peers[name].connection
    past = dataclasses.replace(state.past, ledger=order.ledger, failure=order.failure)
    grace = timings.grace if order.graceful else 0.0
    clearing = Clearing(
        state.settings,
        without(state.peers, leaving),
        past,
        awaiting,
        deadline=now + grace + timings.ending,
        give_up=now + grace + timings.kill,
        graceful=order.graceful,
        pace=state.pace,
        leave=order.leave,
        delay=order.delay,
        forgiven=order.forgiven,
    )
    # Also those whose trainer has ended already, and who leaves: they shall know the ledger if this chief dies.
    told = _order(clearing, state.peers)
    after, actions = _cleared(clearing, now)
    return after, (told, *actions)


def replace(state: Running, why: str, now: float) -> Step:
    """Give way to another chief: at once, and without the members, which look for it."""
    failure = replaced(why, state.generation)
    drops = _drops(state.peers, why)
    alone = dataclasses.replace(state, peers={CHIEF: state.peers[CHIEF]})
    after, actions = stop(alone, Stop(failure, state.past.ledger, leave=failure, forgiven=False), now)
    return after, drops + actions


def clearing(state: Clearing, event: Event, now: float) -> Step:
    """Return what an event makes of a generation that is being ended."""
    if isinstance(event, TrainerExited):
        return _exited(state, event, now)
    if isinstance(event, MemberJoined):
        return _joined(state, event, now)
    if isinstance(event, (MemberLost, MemberTerminating)):
        return _lost(state, event, now)
    if isinstance(event, Progressed) and event.generation == state.generation:
        pace, ledger = stall.progressed(state.pace, state.past.ledger, event, now)
        ledger = heard_late(state.past.ledger, ledger, state.past.failure)
        return dataclasses.replace(state, pace=pace, past=dataclasses.replace(state.past, ledger=ledger)), ()
    if isinstance(event, Terminate):
        return dataclasses.replace(state, leave=state.leave or terminated(state.generation)), ()
    if isinstance(event, Replaced):
        return _replaced(state, event, now)
    return _late(state, now)


def due(state: Clearing) -> Optional[float]:
    """Return when time runs out for somebody."""
    others = set(state.awaiting) - {CHIEF}
    times = [state.deadline if others else None, state.give_up if CHIEF in state.awaiting else None, state.kill_by]
    return min((time for time in times if time is not None), default=None)


def _exited(state: Clearing, event: TrainerExited, now: float) -> Step:
    if event.member == EVALUATOR:
        guest = state.peers.get(EVALUATOR)
        if event.end.code and guest is not None and guest.connection == event.connection:
            return state, (Dismiss(event.connection, failure_of(EVALUATOR, state.generation, event.end)),)
        return state, ()
    if event.generation != state.generation or state.awaiting.get(event.member) != event.connection:
        return state, ()
    state = dataclasses.replace(state, awaiting=_less(state.awaiting, event.member))
    if event.member == CHIEF and event.end.code == 0 and _through(state):
        return end(state.settings, state.past, state.peers, SUCCEEDED, None, own_gone=True, now=now)
    if event.end.code not in (0, *RESTART_CODES):
        state = _hurry(state, now)
    after, actions = _cleared(state, now)
    peer = state.peers.get(event.member)
    if peer is not None and peer.connection != event.connection:
        # It has saved, and its successor is here.
        said = f"incarnation {peer.hello.incarnation} of {event.member} has taken its place"
        actions = (Refuse(event.connection, said), *actions)
    return after, actions


def _through(state: Clearing) -> bool:
    """Whether a 0 of the chief's trainer means that the job is done."""
    if not state.forgiven:
        return False
    pace = state.pace
    return not state.graceful or pace.total is None or pace.step is None or pace.step >= pace.total


def _hurry(state: Clearing, now: float) -> Clearing:
    """Somebody has failed to save: then the others wait for it in vain."""
    if not state.graceful or state.kill_by is not None:
        return state
    return dataclasses.replace(state, kill_by=now + state.settings.timings.judge)


def _joined(state: Clearing, event: MemberJoined, now: float) -> Step:
    name = event.hello.member
    before = state.peers.get(name)
    if before == event:
        return state, ()
    why = unwanted(state.settings, state.peers, event)
    if why:
        return state, (Refuse(event.connection, why),)
    gone: Tuple[Action, ...] = ()
    if before is not None and name in state.awaiting and before.hello.incarnation == event.hello.incarnation:
        # Its old connection has broken, and so it has killed its trainer.
        gone = displaced(state.peers, event)
        state = _hurry(dataclasses.replace(state, awaiting=_less(state.awaiting, name)), now)
    elif before is not None and state.awaiting.get(name) != before.connection:
        gone = displaced(state.peers, event)
    peers = {**state.peers, name: event}
    # Its ledger is read when the next generation forms: the number of this one stays.
    past = dataclasses.replace(state.past, pod_failures=max(state.past.pod_failures, event.hello.pod_failures))
    after, actions = _cleared(dataclasses.replace(state, peers=peers, past=past), now)
    return after, gone + actions


def _lost(state: Clearing, event: Union[MemberLost, MemberTerminating], now: float) -> Step:
    if is_current(state.peers, event):
        state = dataclasses.replace(state, peers=without(state.peers, event.member))
    if isinstance(event, MemberLost) and state.awaiting.get(event.member) == event.connection:
        state = _hurry(dataclasses.replace(state, awaiting=_less(state.awaiting, event.member)), now)
    return _cleared(state, now)


def _replaced(state: Clearing, event: Replaced, now: float) -> Step:
    if state.leave is not None:
        return state, ()  # it leaves anyway, and what its trainer saves is fenced
    drops = _drops(state.peers, event.why)
    alone = {name: connection for name, connection in state.awaiting.items() if name == CHIEF}
    peers = {name: peer for name, peer in state.peers.items() if name == CHIEF}
    failure = replaced(event.why, state.generation)
    state = dataclasses.replace(state, peers=peers, awaiting=alone, leave=failure, forgiven=False)
    told: Tuple[Action, ...] = ()
    if state.graceful:
        state, told = _kill(state, now)
    after, actions = _cleared(state, now)
    return after, drops + told + actions


def _late(state: Clearing, now: float) -> Step:
    actions: Tuple[Action, ...] = ()
    if state.kill_by is not None and now >= state.kill_by:
        state, actions = _kill(state, now)
    if now >= state.deadline:
        late = {name: connection for name, connection in state.awaiting.items() if name != CHIEF}
        why = "its trainer did not stop in time"
        actions += tuple(Drop(connection, why) for connection in late.values())
        peers = {name: peer for name, peer in state.peers.items() if late.get(name) != peer.connection}
        own = {name: connection for name, connection in state.awaiting.items() if name == CHIEF}
        state = dataclasses.replace(state, peers=peers, awaiting=own)
    if CHIEF in state.awaiting and now >= state.give_up:
        failure = state.leave or unkillable(state.settings.timings.kill, state.generation)
        after, more = leave(state.past, state.peers, failure)
        return after, actions + more
    after, more = _cleared(state, now)
    return after, actions + more


def _kill(state: Clearing, now: float) -> Tuple[Clearing, Tuple[Action, ...]]:
    timings = state.settings.timings
    state = dataclasses.replace(
        state,
        graceful=False,
        kill_by=None,
        deadline=min(state.deadline, now + timings.ending),
        give_up=min(state.give_up, now + timings.kill),
    )
    return state, (_order(state, {}),)


def _order(state: Clearing, peers: Mapping[str, MemberJoined]) -> StopGeneration:
    """Return the order to stop, for all who have a trainer, and for these members."""
    connections = {peer.connection for name, peer in peers.items() if name != EVALUATOR}
    told = tuple(sorted((connections | set(state.awaiting.values())) - {OWN_CONNECTION}))
    failure = state.past.failure
    assert failure is not None
    return StopGeneration(state.generation, state.graceful, failure, told, state.past.ledger)


def _cleared(state: Clearing, now: float) -> Step:
    """Go on when no trainer is left."""
    if state.awaiting:
        return state, ()
    if state.leave is not None:
        return leave(state.past, state.peers, state.leave)
    waiting = Waiting(state.settings, state.peers, state.past, since=now, not_before=now + state.delay)
    return form(waiting, now)


def _less(awaiting: Mapping[str, int], member: str) -> Mapping[str, int]:
    return {name: connection for name, connection in awaiting.items() if name != member}


def _drops(peers: Mapping[str, MemberJoined], why: str) -> Tuple[Action, ...]:
    return tuple(Drop(peer.connection, why) for name, peer in peers.items() if name != CHIEF)
