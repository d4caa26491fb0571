"""The chief's machine while a generation runs: how it ends, and whose fault that is (the rules: `gang`). Pure."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Optional

from trainingjob_launcher import gang_clearing as clearing
from trainingjob_launcher import judgement, stall
from trainingjob_launcher.blame import failure_of, is_collateral
from trainingjob_launcher.contract import Failure
from trainingjob_launcher.gang_ending import end, terminated
from trainingjob_launcher.gang_guest import guest, is_guest, settle, succeed
from trainingjob_launcher.gang_peers import displaced, is_current, unwanted, without
from trainingjob_launcher.gang_types import (
    CHIEF,
    Event,
    Inspect,
    Inspected,
    MemberJoined,
    MemberLost,
    MemberTerminating,
    Progressed,
    Refuse,
    Replaced,
    Running,
    Step,
    Terminate,
    TrainerExited,
)
from trainingjob_launcher.judgement import ECHO, LOST, OWN, STUCK
from trainingjob_launcher.messages import FAILED
from trainingjob_launcher.policy import IGNORE


def running(state: Running, event: Event, now: float) -> Step:
    """Return what an event makes of a generation that runs."""
    if is_guest(event):
        return guest(state, event, now)
    if isinstance(event, TrainerExited):
        return _exited(state, event, now)
    if isinstance(event, Progressed):
        if event.generation != state.generation:
            return state, ()
        pace, ledger = stall.progressed(state.pace, state.past.ledger, event, now)
        return dataclasses.replace(state, pace=pace, past=dataclasses.replace(state.past, ledger=ledger)), ()
    if isinstance(event, MemberLost):
        if not is_current(state.peers, event):
            return state, ()
        return _lost(dataclasses.replace(state, peers=without(state.peers, event.member)), event, now)
    if isinstance(event, MemberTerminating):
        return _terminating(state, event, now) if is_current(state.peers, event) else (state, ())
    if isinstance(event, MemberJoined):
        return _joined(state, event, now)
    if isinstance(event, Replaced):
        return clearing.replace(state, event.why, now)
    if isinstance(event, Terminate):
        return _terminate(state, now)
    if isinstance(event, Inspected) and event.generation == state.generation and state.pace.inspect_by is not None:
        return _stalled(state, event.stacks, now)
    return _timed(state, now)


def due(state: Running) -> Optional[float]:
    """Return when time alone changes something."""
    if _chief_succeeded(state):
        return state.evaluate_by if state.settled else state.finish_by
    stalls = None if state.exits else stall.due(state.pace, state.settings.policy.stall)
    times = [time for time in (state.judge_by, stalls, _grows_at(state)) if time is not None]
    return min(times) if times else None


def _timed(state: Running, now: float) -> Step:
    by = due(state)
    if by is None or now < by:
        return state, ()
    if _chief_succeeded(state):
        return settle(state, now)
    if state.suspect is not None and state.judge_by is not None and now >= state.judge_by:
        failure = _unresponsive(state)
        return _fail(state, failure or state.suspect, STUCK if failure is not None else ECHO, now)
    grows = _grows_at(state)
    if grows is not None and now >= grows:
        return _grow(state, now)
    if state.pace.inspect_by is not None:
        return _stalled(state, {}, now)
    pace = dataclasses.replace(state.pace, inspect_by=now + state.settings.timings.inspect)
    return dataclasses.replace(state, pace=pace), (Inspect(state.generation),)


# --- Trainers that end ---


def _exited(state: Running, event: TrainerExited, now: float) -> Step:
    name = event.member
    known = name in state.cluster and name not in state.exits and name in state.peers
    if event.generation != state.generation or not known or event.connection != state.peers[name].connection:
        return state, ()
    state = dataclasses.replace(state, exits={**state.exits, name: event.end})
    timings = state.settings.timings
    if event.end.code == 0:
        if name == CHIEF:
            by, evaluate_by = now + timings.finish, now + timings.evaluate
            state = dataclasses.replace(state, finish_by=by, evaluate_by=evaluate_by, suspect=None, judge_by=None)
    else:
        failure = failure_of(name, state.generation, event.end)
        echo = len(state.cluster) > 1 and is_collateral(event.end)
        if not echo and not (_chief_succeeded(state) and event.end.signal is not None):
            return _fail(state, failure, OWN, now)
        if not _chief_succeeded(state) and state.suspect is None:
            state = dataclasses.replace(state, suspect=failure, judge_by=now + timings.judge)
    return _all_ended(_one_left(state, now), now)


def _one_left(state: Running, now: float) -> Running:
    """When all others have lost their peers nobody but the one that is left can say why: it has little time."""
    if state.judge_by is None or _unresponsive(state) is None:
        return state
    return dataclasses.replace(state, judge_by=min(state.judge_by, now + state.settings.timings.last_word))


def _all_ended(state: Running, now: float) -> Step:
    """End the generation when no trainer is left."""
    if set(state.exits) != set(state.cluster):
        return state, ()
    if _chief_succeeded(state):
        return settle(state, now)
    # All have ended, and nobody has a cause of its own.
    return (state, ()) if state.suspect is None else _fail(state, state.suspect, ECHO, now)


def _unresponsive(state: Running) -> Optional[Failure]:
    """Return the failure of the one member that said nothing while all others lost their peers."""
    suspect = state.suspect
    silent = [name for name in state.cluster if name not in state.exits]
    if suspect is None or len(silent) != 1 or any(end is None or end.code == 0 for end in state.exits.values()):
        return None
    said = f"its trainer still runs, but the others lost their connection to it ({suspect.member}: {suspect.message})"
    return Failure(silent[0], "TrainerUnresponsive", said, None, None, state.generation, suspect.last_log_lines)


# --- Members that come and go ---


def _lost(state: Running, event: MemberLost, now: float) -> Step:
    name = event.member
    if name in state.exits or name not in state.cluster:
        return state, ()  # its trainer has ended and what it had to say is known; or it had none yet
    if _chief_succeeded(state):
        return _all_ended(dataclasses.replace(state, exits={**state.exits, name: None}), now)
    return _fail(state, Failure(name, event.reason, event.why, generation=state.generation), LOST, now)


def _terminating(state: Running, event: MemberTerminating, now: float) -> Step:
    name = event.member
    gone = dataclasses.replace(state, peers=without(state.peers, name))
    if name in state.exits or name not in state.cluster or _chief_succeeded(state):
        return _lost(gone, MemberLost(name, event.connection, event.why), now)
    failure = Failure(name, "Terminated", event.why, generation=state.generation)
    return _asked(state, failure, now, leaving=name)


def _joined(state: Running, event: MemberJoined, now: float) -> Step:
    name = event.hello.member
    before = state.peers.get(name)
    if before == event:
        return state, ()
    why = unwanted(state.settings, state.peers, event)
    if why:
        return state, (Refuse(event.connection, why),)
    gone = displaced(state.peers, event)
    past = dataclasses.replace(state.past, pod_failures=max(state.past.pod_failures, event.hello.pod_failures))
    trained = before is not None and name in state.cluster and name not in state.exits
    if not trained or before is None:
        # A place that was free, or whose trainer had ended: it waits for the next generation.
        return dataclasses.replace(state, past=past, peers={**state.peers, name: event}), gone
    # It has no trainer of this generation that could be asked to stop. How all ends it is told.
    exits = {**state.exits, name: None}
    state = dataclasses.replace(state, past=past, peers={**state.peers, name: event}, exits=exits)
    if before.hello.incarnation != event.hello.incarnation:
        said = f"its pod was replaced (incarnation {event.hello.incarnation} has come)"
    else:
        said = "its connection broke and it has come again without its trainer"
    if _chief_succeeded(state):
        after, actions = _all_ended(state, now)
    else:
        after, actions = _fail(state, Failure(name, "MemberLost", said, generation=state.generation), LOST, now)
    return after, gone + actions


def _grows_at(state: Running) -> Optional[float]:
    """Return when members that have come back are taken in, None when there are none, or nothing could be saved."""
    policy, timings = state.settings.policy, state.settings.timings
    spare = any(name in state.peers and name not in state.cluster for name in state.settings.members)
    if not spare or state.exits or not policy.checkpoints:
        return None
    return state.began_at + max(policy.elastic_wait, timings.hold)


def _grow(state: Running, now: float) -> Step:
    spare = [name for name in state.settings.members if name in state.peers and name not in state.cluster]
    said = f"{' and '.join(spare)} can train again: the gang grows"
    return _asked(state, Failure(spare[0], "Resized", said, generation=state.generation), now)


# --- Ends ---


def _terminate(state: Running, now: float) -> Step:
    if _chief_succeeded(state):
        return succeed(state, now)
    failure = terminated(state.generation)
    return _asked(state, failure, now, chief_leaves=True)


def _asked(state: Running, failure: Failure, now: float, leaving: str = "", chief_leaves: bool = False) -> Step:
    """End a generation because somebody goes or comes: all save together, if all can; and it costs nothing."""
    ledger, delay = judgement.restarted(state.past.ledger, state.pace.advanced, state.settings.timings)
    graceful = all(end is not None and end.code == 0 for end in state.exits.values())
    leave = failure if chief_leaves else None
    return clearing.stop(state, clearing.Stop(failure, ledger, graceful, delay, leave), now, leaving)


def _stalled(state: Running, stacks: Mapping[str, str], now: float) -> Step:
    failure = stall.failure(state.generation, state.pace, stacks, now)
    if state.settings.policy.rule_for(failure.reason, None) == IGNORE:
        pace = dataclasses.replace(state.pace, inspect_by=None, stalled=True)
        return dataclasses.replace(state, pace=pace), ()
    return _fail(state, failure, STUCK, now)


def _fail(state: Running, failure: Failure, how: str, now: float) -> Step:
    if how == ECHO:
        quitters = [name for name, end in state.exits.items() if end is not None and end.code == 0]
        if quitters:
            said = f"{failure.message} (before it, the trainer of {' and '.join(quitters)} ended with 0)"
            failure = dataclasses.replace(failure, message=said)
    past, settings = state.past, state.settings
    case = judgement.Case(failure, how, now - state.began_at, state.pace.advanced, state.pace.step is None)
    verdict = judgement.judge(case, past.ledger, past.pod_failures, settings.policy, settings.timings)
    if not verdict.restart:
        past = dataclasses.replace(past, ledger=verdict.ledger, failure=verdict.failure)
        return end(settings, past, state.peers, FAILED, verdict.failure, own_gone=CHIEF in state.exits, now=now)
    forgiven = how != OWN or failure.signal is not None
    order = clearing.Stop(verdict.failure, verdict.ledger, delay=verdict.delay, forgiven=forgiven)
    return clearing.stop(state, order, now)


def _chief_succeeded(state: Running) -> bool:
    end_ = state.exits.get(CHIEF)
    return end_ is not None and end_.code == 0
