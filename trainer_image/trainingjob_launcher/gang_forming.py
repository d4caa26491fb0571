"""The chief's machine while members are missing: who comes and goes, and when the next generation forms. Pure.

All members here: at once, when the back-off is over. Fewer (an elastic gang): when the time for the others is over,
or when the gang was as small before; but only when the operator has confirmed that this is still the chief. A chief
that is cut off from most of its gang may have been replaced, and would train on beside its successor.
"""

from __future__ import annotations

import dataclasses
from typing import Optional

from trainingjob_launcher import stall
from trainingjob_launcher.blame import failure_of
from trainingjob_launcher.gang_ending import end, leave, replaced, terminated
from trainingjob_launcher.gang_peers import absent, displaced, heard, is_current, unwanted, without
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    Announce,
    Confirm,
    Confirmed,
    Dismiss,
    Event,
    MemberJoined,
    MemberLost,
    MemberTerminating,
    Past,
    Refuse,
    Replaced,
    Running,
    Settings,
    Step,
    Terminate,
    TrainerExited,
    Waiting,
)
from trainingjob_launcher.judgement import over_limit
from trainingjob_launcher.messages import FAILED

#: A yes of the operator holds for so many of the intervals at which it is asked.
_HOLDS = 5


def begin(settings: Settings, own: MemberJoined, now: float) -> Step:
    """Return the first state of a chief. After another one's generations any member that is not here was there."""
    past = heard(Past(known=frozenset({CHIEF})), own)
    if past.ledger.generation:
        past = dataclasses.replace(past, known=frozenset(settings.members))
    return form(Waiting(settings, {CHIEF: own}, past, since=now, not_before=now), now)


def waiting(state: Waiting, event: Event, now: float) -> Step:
    """Return what an event makes of a gang that waits."""
    if isinstance(event, MemberJoined):
        return _joined(state, event, now)
    if isinstance(event, (MemberLost, MemberTerminating)):
        if not is_current(state.peers, event):
            return state, ()
        return form(dataclasses.replace(state, peers=without(state.peers, event.member)), now)
    if isinstance(event, TrainerExited):
        guest = state.peers.get(EVALUATOR)
        if event.member == EVALUATOR and event.end.code and guest and guest.connection == event.connection:
            return state, (Dismiss(event.connection, failure_of(EVALUATOR, state.generation, event.end)),)
        return state, ()
    if isinstance(event, Terminate):
        return leave(state.past, state.peers, terminated(state.generation))
    if isinstance(event, Replaced):
        return leave(state.past, state.peers, replaced(event.why, state.generation))
    if isinstance(event, Confirmed) and event.generation == state.generation:
        state = dataclasses.replace(state, confirmed_at=now)
    return form(state, now)


def _joined(state: Waiting, event: MemberJoined, now: float) -> Step:
    if state.peers.get(event.hello.member) == event:
        return state, ()
    why = unwanted(state.settings, state.peers, event)
    if why:
        return state, (Refuse(event.connection, why),)
    gone = displaced(state.peers, event)
    peers = {**state.peers, event.hello.member: event}
    after, actions = form(dataclasses.replace(state, peers=peers, past=heard(state.past, event)), now)
    return after, gone + actions


def due(state: Waiting) -> Optional[float]:
    """Return when time alone may bring the next generation, None when only somebody's coming can."""
    if not absent(state.settings, state.peers):
        return state.not_before
    by = _small_from(state)
    if by is None or state.asked_at is None:
        return by
    return max(by, state.asked_at + state.settings.timings.confirm)


def _small_from(state: Waiting) -> Optional[float]:
    """Return from when on those that are here may go on without the others, None for never."""
    policy = state.settings.policy
    here = [name for name in state.settings.members[1:] if name in state.peers]
    if policy.min_workers is None or len(here) < policy.min_workers:
        return None
    waited = bool(state.past.cluster) and all(name in state.peers for name in state.past.cluster)
    return state.not_before if waited else max(state.not_before, state.since + policy.elastic_wait)


def form(state: Waiting, now: float) -> Step:
    """Return the next generation, if it may begin."""
    if now < state.not_before:
        return state, ()
    if not absent(state.settings, state.peers):
        return _formed(state, now)
    by = _small_from(state)
    if by is None or now < by:
        return state, ()
    pause = state.settings.timings.confirm
    if state.confirmed_at is not None and now <= state.confirmed_at + _HOLDS * pause:
        return _formed(state, now)
    if state.asked_at is not None and now < state.asked_at + pause:
        return state, ()
    return dataclasses.replace(state, asked_at=now), (Confirm(state.generation),)


def _formed(state: Waiting, now: float) -> Step:
    settings, past = state.settings, state.past
    for peer in state.peers.values():
        past = heard(past, peer)
    beyond = over_limit(past.failure, past.ledger, past.pod_failures, settings.policy)
    if beyond is not None:  # a pod brought the news
        return end(settings, past, state.peers, FAILED, beyond, own_gone=True, now=now)
    cluster = tuple(name for name in settings.members if name in state.peers)
    ledger = dataclasses.replace(past.ledger, generation=past.ledger.generation + 1)
    past = dataclasses.replace(past, ledger=ledger, known=past.known | frozenset(cluster), cluster=cluster)
    addresses = tuple((name, state.peers[name].hello.address) for name in cluster)
    running = Running(settings, state.peers, past, addresses, began_at=now, pace=stall.begin(now))
    return running, (Announce(ledger.generation, addresses, ledger),)
