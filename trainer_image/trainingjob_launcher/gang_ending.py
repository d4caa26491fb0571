"""The end of a job, and of a chief whose job goes on without it. Pure."""

from __future__ import annotations

import dataclasses
from typing import Optional

from trainingjob_launcher.contract import Failure
from trainingjob_launcher.gang_peers import Peers, is_current
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    Done,
    Ending,
    Event,
    Failed,
    Finish,
    MemberJoined,
    MemberLost,
    Past,
    Refuse,
    Settings,
    Step,
    StopAll,
    Tick,
    TrainerExited,
)
from trainingjob_launcher.messages import TERMINATED


def end(
    settings: Settings, past: Past, peers: Peers, outcome: str, failure: Optional[Failure], own_gone: bool, now: float
) -> Step:
    """Tell all that the job is over. They go by closing their connections, the chief itself by its trainer's end."""
    # Nobody waits for the evaluator.
    awaiting = frozenset(name for name in peers if name != EVALUATOR and (name != CHIEF or not own_gone))
    state = Ending(past, outcome, failure, peers, awaiting, now + settings.timings.ending)
    after, actions = _gone(state)
    return after, (StopAll(outcome, failure), *actions)


def ending(state: Ending, event: Event, now: float) -> Step:
    """Return what an event makes of an end that was announced."""
    if isinstance(event, MemberJoined):
        current = state.peers.get(event.hello.member)
        return state, () if current == event else (Refuse(event.connection, "the job is ending"),)
    if isinstance(event, MemberLost) and is_current(state.peers, event) and event.member != CHIEF:
        return _gone(dataclasses.replace(state, awaiting=state.awaiting - {event.member}))
    if isinstance(event, TrainerExited) and event.member == CHIEF and event.generation == state.generation:
        return _gone(dataclasses.replace(state, awaiting=state.awaiting - {CHIEF}))
    if isinstance(event, Tick) and now >= state.deadline:
        return _gone(dataclasses.replace(state, awaiting=frozenset()))
    return state, ()


def _gone(state: Ending) -> Step:
    if state.awaiting:
        return state, ()
    finish = (Finish(state.outcome, state.failure),)
    if state.failure is None:
        return Done(state.past, state.peers), finish
    return Failed(state.past, state.outcome, state.failure, state.peers), finish


def leave(past: Past, peers: Peers, failure: Failure) -> Step:
    """Leave the job to the next chief. The members stay, and look for it."""
    return Failed(past, TERMINATED, failure, peers), (Finish(TERMINATED, failure),)


def terminated(generation: int) -> Failure:
    """Return why a chief leaves that got SIGTERM."""
    said = "the chief's pod was asked to terminate (SIGTERM)"
    return Failure(CHIEF, "Terminated", said, generation=generation)


def replaced(why: str, generation: int) -> Failure:
    """Return why a chief leaves that has a successor."""
    return Failure(CHIEF, "Replaced", f"another chief has taken its place: {why}", generation=generation)


def unkillable(seconds: float, generation: int) -> Failure:
    """Return why a chief leaves that can't get rid of its trainer."""
    said = f"its trainer is still there {seconds:g} s after it was killed: it hangs in the kernel"
    return Failure(CHIEF, "TrainerUnkillable", said, generation=generation)
