"""What the evaluator's coming, going and ending make of a generation: at most the time of its end. Pure.

The evaluator (`evaluator-0`) is a guest: it is told of the generation and of the end, and that is all. Nothing waits
for it to come, nothing ends because it goes. Its failed trainer ends it alone (`Dismiss`); the operator brings the
next one. Only when the generation has ended well, and an evaluator that is here still evaluates the last checkpoint,
the end waits for it, at most `evaluate` seconds from the chief's 0 on: the last numbers are then the final ones.
"""

from __future__ import annotations

import dataclasses
from typing import Tuple

from trainingjob_launcher.blame import failure_of
from trainingjob_launcher.gang_ending import end
from trainingjob_launcher.gang_peers import displaced, unwanted, without
from trainingjob_launcher.gang_types import (
    EVALUATOR,
    Action,
    Admit,
    Dismiss,
    Event,
    MemberJoined,
    MemberLost,
    Refuse,
    Running,
    Step,
    TrainerExited,
)
from trainingjob_launcher.messages import SUCCEEDED


def is_guest(event: Event) -> bool:
    """Whether an event is about the evaluator. That it will go is none: it is not waited for."""
    if isinstance(event, MemberJoined):
        return event.hello.member == EVALUATOR
    return isinstance(event, (MemberLost, TrainerExited)) and event.member == EVALUATOR


def guest(state: Running, event: Event, now: float) -> Step:
    """Return what an event about the evaluator makes of a generation."""
    before = state.peers.get(EVALUATOR)
    if isinstance(event, MemberJoined):
        if event == before:
            return state, ()
        why = unwanted(state.settings, state.peers, event)
        if why:
            return state, (Refuse(event.connection, why),)
        gone = displaced(state.peers, event)
        state = dataclasses.replace(state, peers={**state.peers, EVALUATOR: event}, evaluated=False)
        return state, (*gone, Admit(event.connection, state.generation, state.addresses, state.past.ledger))
    if before is None or not isinstance(event, (MemberLost, TrainerExited)) or event.connection != before.connection:
        return state, ()
    actions: Tuple[Action, ...] = ()
    if isinstance(event, MemberLost):
        state = dataclasses.replace(state, peers=without(state.peers, EVALUATOR))
    elif event.generation != state.generation or state.evaluated:
        return state, ()
    else:
        state = dataclasses.replace(state, evaluated=True)
        if event.end.code:
            actions = (Dismiss(event.connection, failure_of(EVALUATOR, state.generation, event.end)),)
    if not state.settled:
        return state, actions
    after, more = settle(state, now)
    return after, actions + more


def settle(state: Running, now: float) -> Step:
    """End a generation that has ended well, once the evaluator has nothing more to say."""
    evaluates = EVALUATOR in state.peers and not state.evaluated
    if evaluates and state.evaluate_by is not None and now < state.evaluate_by:
        return dataclasses.replace(state, settled=True), ()
    return succeed(state, now)


def succeed(state: Running, now: float) -> Step:
    """End a job that is done: the chief's trainer has ended with 0."""
    return end(state.settings, state.past, state.peers, SUCCEEDED, None, own_gone=True, now=now)
