"""The chief's state machine: when a generation starts, when it is over, and whose fault a failure is. Pure.

    Waiting --all members joined--> Running(g) --success, first cause, Terminate--> Ending --all gone--> Done | Failed
       |                                                                              ^
       \\--Terminate-----------------------------------------------------------------/

`step(state, event, now)` returns the next state and what to do; it has no clock, no sockets, no processes. Call
it with a `Tick` when `deadline(state)` has passed. Times are seconds of one monotonic clock.

Success. The chief's trainer speaks for the job: in synchronous training it can end with 0 only after every
collective step has ended on all members, and what the job leaves behind (checkpoints, the model) the chief
writes. After it the others get a bounded time to end. What happens to them then is noise (the coordination
service lived in the chief's trainer and has gone, so they may fail with UnavailableError, abort, or be lost), with
one exception: a worker's program that says itself that it failed, with an exit code and an exception of its own,
fails the job, because errors are never hidden. An echo seen shortly *before* the chief's 0 is forgiven too: the
chief's interpreter takes seconds to go away.

First cause. An exit that looks like the echo of somebody else's end (`blame.is_collateral`) waits up to `judge`
seconds for a better one: an exit with a cause of its own, or a member whose connection is lost. Either of these
ends the generation at once, because the trainers that are left are stuck in their collectives anyway. When none
comes and all but one member have ended with echoes, the one whose trainer still runs is the cause: it is frozen.

The evaluator (`evaluator-0`) is a guest: it is told of the generation and of the end, and that is all. Nothing waits
for it to come, nothing ends because it goes. Its failed trainer ends it alone (`Dismiss`); the operator brings the
next one. Only when the generation has ended well, and an evaluator that is here still evaluates the last checkpoint,
the end waits for it, at most `evaluate` seconds from the chief's 0 on: the last numbers are then the final ones.

Fencing. Messages of another generation, and of connections that were replaced, are ignored. Of two pods of one
member the newer incarnation wins; the older is refused.

The place of the next generation: `after_failure` decides what follows a failed one. Today it ends the job.
A restart in place returns another verdict there, and `_fail` leads to Waiting with the members that are left and
`generation` kept, so that the next one gets a higher number.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, FrozenSet, Mapping, Optional, Tuple, Union

from trainingjob_launcher.blame import failure_of, is_collateral
from trainingjob_launcher.contract import Failure, member_name
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    OWN_CONNECTION,
    Action,
    Admit,
    Announce,
    Dismiss,
    Done,
    Ending,
    Event,
    Failed,
    Finish,
    MemberJoined,
    MemberLost,
    Refuse,
    Running,
    Settings,
    State,
    Step,
    StopAll,
    Terminate,
    Tick,
    TrainerExited,
    Waiting,
)
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, Hello

#: The machine and its words: whoever runs a gang needs no other module.
__all__ = [
    "CHIEF",
    "EVALUATOR",
    "OWN_CONNECTION",
    "Action",
    "Admit",
    "Announce",
    "Dismiss",
    "Done",
    "Ending",
    "Event",
    "Failed",
    "Finish",
    "MemberJoined",
    "MemberLost",
    "Refuse",
    "Running",
    "Settings",
    "State",
    "Step",
    "StopAll",
    "Terminate",
    "Tick",
    "TrainerExited",
    "Waiting",
    "after_failure",
    "begin",
    "deadline",
    "expected_members",
    "generation_of",
    "here",
    "missing",
    "peers_of",
    "step",
]


@dataclasses.dataclass(frozen=True)
class EndJob:
    """Verdict over a failed generation: the job is over."""


def after_failure(failure: Failure) -> EndJob:  # noqa: ARG001
    """Decide what follows a failed generation. The failure policy of a later issue replaces this function."""
    return EndJob()


def expected_members(workers: int) -> Tuple[str, ...]:
    """Return the names of all members of a gang with `workers` workers, in the order of their ranks."""
    return (CHIEF, *(member_name("worker", index) for index in range(workers)))


def begin(settings: Settings, own: Hello) -> Step:
    """Return the first state: the chief is there, and alone it is already complete."""
    return _form(Waiting(settings, {CHIEF: MemberJoined(own, OWN_CONNECTION)}))


def missing(state: State) -> Tuple[str, ...]:
    """Return the members that the gang waits for."""
    if not isinstance(state, Waiting):
        return ()
    return tuple(name for name in state.settings.members if name not in state.peers)


def deadline(state: State) -> Optional[float]:
    """Return when the machine wants a `Tick`, None when it waits for events only."""
    if isinstance(state, Running):
        ends = state.evaluate_by if state.settled else state.finish_by
        times = [time for time in (state.judge_by, ends) if time is not None]
        return min(times) if times else None
    return state.deadline if isinstance(state, Ending) else None


def step(state: State, event: Event, now: float) -> Step:
    """Return what an event makes of a state, and what is to be done. Total: any event in any state."""
    if isinstance(state, Waiting):
        return _waiting(state, event, now)
    if isinstance(state, Running):
        return _running(state, event, now)
    if isinstance(state, Ending):
        return _ending(state, event, now)
    if isinstance(event, MemberJoined):
        return state, (Refuse(event.connection, "the job has ended"),)
    return state, ()


def _form(state: Waiting) -> Step:
    if missing(state):
        return state, ()
    generation = state.generation + 1
    addresses = tuple((name, state.peers[name].hello.address) for name in state.settings.members)
    return Running(state.settings, generation, state.peers, addresses), (Announce(generation, addresses),)


def _waiting(state: Waiting, event: Event, now: float) -> Step:
    if isinstance(event, MemberJoined):
        why = _unwanted(state, event)
        if why:
            return state, (Refuse(event.connection, why),)
        return _form(dataclasses.replace(state, peers={**state.peers, event.hello.member: event}))
    if isinstance(event, MemberLost) and _is_current(state.peers, event):
        return dataclasses.replace(state, peers=_without(state.peers, event.member)), ()
    if isinstance(event, Terminate):
        return _terminate(state.generation, state.peers, frozenset(), state.settings, now)
    return state, ()


def _running(state: Running, event: Event, now: float) -> Step:
    if _is_guest(event):
        return _guest(state, event, now)
    if isinstance(event, TrainerExited):
        known = event.member in state.settings.members and event.member not in state.exits
        if event.generation != state.generation or not known:
            return state, ()
        return _exited(state, event, now)
    if isinstance(event, MemberLost):
        if not _is_current(state.peers, event):
            return state, ()
        return _lost(dataclasses.replace(state, peers=_without(state.peers, event.member)), event, now)
    if isinstance(event, MemberJoined):
        return _joined_again(state, event, now)
    if isinstance(event, Terminate):
        if _chief_succeeded(state):
            return _succeed(state, now)
        return _terminate(state.generation, state.peers, frozenset(state.exits), state.settings, now)
    ends = state.evaluate_by if state.settled else state.finish_by
    if ends is not None and now >= ends:
        return _settle(state, now)
    if state.suspect is not None and state.judge_by is not None and now >= state.judge_by:
        return _fail(state, _unresponsive(state, state.suspect), now)
    return state, ()


def _exited(state: Running, event: TrainerExited, now: float) -> Step:
    state = dataclasses.replace(state, exits={**state.exits, event.member: event.end})
    timings = state.settings.timings
    if event.end.code == 0:
        if event.member == CHIEF:
            state = dataclasses.replace(
                state,
                finish_by=now + timings.finish,
                evaluate_by=now + timings.evaluate,
                suspect=None,
                judge_by=None,
            )
    else:
        failure = failure_of(event.member, state.generation, event.end)
        echo = len(state.settings.members) > 1 and is_collateral(event.end)
        if not echo and not (_chief_succeeded(state) and event.end.signal is not None):
            return _fail(state, failure, now)
        if not _chief_succeeded(state) and state.suspect is None:
            state = dataclasses.replace(state, suspect=failure, judge_by=now + timings.judge)
    return _all_ended(state, now)


def _lost(state: Running, event: MemberLost, now: float) -> Step:
    if event.member in state.exits:
        return state, ()  # its trainer has ended and what it had to say is known
    if _chief_succeeded(state):
        return _all_ended(dataclasses.replace(state, exits={**state.exits, event.member: None}), now)
    failure = Failure(event.member, event.reason, event.why, generation=state.generation)
    return _fail(state, failure, now)


def _joined_again(state: Running, event: MemberJoined, now: float) -> Step:
    name = event.hello.member
    before = state.peers.get(name)
    if before == event:
        return state, ()
    why = _unwanted(state, event)
    if why:
        return state, (Refuse(event.connection, why),)
    # The newcomer takes the place first, so that it too is told how it ends.
    state = dataclasses.replace(state, peers={**state.peers, name: event})
    if before is not None and before.hello.incarnation != event.hello.incarnation:
        said = f"its pod was replaced (incarnation {event.hello.incarnation} has come)"
    else:
        said = "its connection broke and it has come again without its trainer"
    return _lost(state, MemberLost(name, event.connection, said), now)


def _all_ended(state: Running, now: float) -> Step:
    """End the generation when no trainer is left."""
    if set(state.exits) != set(state.settings.members):
        return state, ()
    if _chief_succeeded(state):
        return _settle(state, now)
    # All have ended, and nobody has a cause of its own.
    return (state, ()) if state.suspect is None else _fail(state, state.suspect, now)


def _settle(state: Running, now: float) -> Step:
    """End a generation that has ended well, once the evaluator has nothing more to say."""
    evaluates = EVALUATOR in state.peers and not state.evaluated
    if evaluates and state.evaluate_by is not None and now < state.evaluate_by:
        return dataclasses.replace(state, settled=True), ()
    return _succeed(state, now)


def _is_guest(event: Event) -> bool:
    if isinstance(event, MemberJoined):
        return event.hello.member == EVALUATOR
    return isinstance(event, (MemberLost, TrainerExited)) and event.member == EVALUATOR


def _guest(state: Running, event: Event, now: float) -> Step:
    """Return what the evaluator's coming, going and ending make of a generation: at most its end."""
    before = state.peers.get(EVALUATOR)
    if isinstance(event, MemberJoined):
        if event == before:
            return state, ()
        why = _unwanted(state, event)
        if why:
            return state, (Refuse(event.connection, why),)
        state = dataclasses.replace(state, peers={**state.peers, EVALUATOR: event}, evaluated=False)
        return state, (Admit(event.connection, state.generation, state.addresses),)
    if before is None or not isinstance(event, (MemberLost, TrainerExited)) or event.connection != before.connection:
        return state, ()
    actions: Tuple[Action, ...] = ()
    if isinstance(event, MemberLost):
        state = dataclasses.replace(state, peers=_without(state.peers, EVALUATOR))
    elif event.generation != state.generation or state.evaluated:
        return state, ()
    else:
        state = dataclasses.replace(state, evaluated=True)
        if event.end.code:
            actions = (Dismiss(event.connection, failure_of(EVALUATOR, state.generation, event.end)),)
    if not state.settled:
        return state, actions
    after, more = _settle(state, now)
    return after, actions + more


def _unresponsive(state: Running, suspect: Failure) -> Failure:
    """Return the failure of the one member that said nothing while all others lost their peers, else `suspect`."""
    silent = [name for name in state.settings.members if name not in state.exits]
    if len(silent) != 1 or any(end is None or end.code == 0 for end in state.exits.values()):
        return suspect
    said = f"its trainer still runs, but the others lost their connection to it ({suspect.member}: {suspect.message})"
    return Failure(silent[0], "TrainerUnresponsive", said, None, None, state.generation, suspect.last_log_lines)


def _succeed(state: Running, now: float) -> Step:
    return _end(state.generation, state.peers, frozenset(state.exits), SUCCEEDED, None, state.settings, now)


def _fail(state: Running, failure: Failure, now: float) -> Step:
    quitters = [name for name, end in state.exits.items() if end is not None and end.code == 0]
    if failure is state.suspect and quitters:
        said = f"{failure.message} (before it, the trainer of {' and '.join(quitters)} ended with 0)"
        failure = dataclasses.replace(failure, message=said)
    verdict = after_failure(failure)
    assert isinstance(verdict, EndJob)  # the next generation's place, see the module's text
    return _end(state.generation, state.peers, frozenset(state.exits), FAILED, failure, state.settings, now)


def _terminate(
    generation: int, peers: Mapping[str, MemberJoined], ended: FrozenSet[str], settings: Settings, now: float
) -> Step:
    failure = Failure(CHIEF, "Terminated", "the chief's pod was asked to terminate (SIGTERM)", generation=generation)
    if generation == 0:
        ended = frozenset(peers)  # no trainer runs yet
    return _end(generation, peers, ended, TERMINATED, failure, settings, now)


def _end(
    generation: int,
    peers: Mapping[str, MemberJoined],
    ended: FrozenSet[str],
    outcome: str,
    failure: Optional[Failure],
    settings: Settings,
    now: float,
) -> Step:
    graceful = outcome == TERMINATED
    # Workers go by closing their connection, the chief itself by its trainer's end. Nobody waits for the evaluator.
    awaiting = frozenset(name for name in peers if name != EVALUATOR and (name != CHIEF or name not in ended))
    wait = settings.timings.ending + (settings.timings.grace if graceful else 0.0)
    state = Ending(generation, outcome, failure, peers, awaiting, now + wait)
    after, actions = _gone(state)
    return after, (StopAll(outcome, failure, graceful), *actions)


def _ending(state: Ending, event: Event, now: float) -> Step:
    if isinstance(event, MemberJoined):
        current = state.peers.get(event.hello.member)
        return state, () if current == event else (Refuse(event.connection, "the job is ending"),)
    if isinstance(event, MemberLost) and _is_current(state.peers, event) and event.member != CHIEF:
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
        return Done(state.generation, state.peers), finish
    return Failed(state.generation, state.outcome, state.failure, state.peers), finish


def _chief_succeeded(state: Running) -> bool:
    end = state.exits.get(CHIEF)
    return end is not None and end.code == 0


def _is_current(peers: Mapping[str, MemberJoined], event: MemberLost) -> bool:
    peer = peers.get(event.member)
    return peer is not None and peer.connection == event.connection


def _without(peers: Mapping[str, MemberJoined], member: str) -> Mapping[str, MemberJoined]:
    return {name: peer for name, peer in peers.items() if name != member}


def _unwanted(state: Union[Waiting, Running], event: MemberJoined) -> str:
    """Say why a newcomer can't take its place, "" when it can."""
    hello = event.hello
    expected = (*state.settings.members[1:], *((EVALUATOR,) if state.settings.evaluator else ()))
    if hello.member not in expected:
        return f"{hello.member} is no member of this gang of {len(state.settings.members)}"
    peer = state.peers.get(hello.member)
    if peer is not None and hello.incarnation < peer.hello.incarnation:
        return f"incarnation {peer.hello.incarnation} of {hello.member} has taken the place of {hello.incarnation}"
    return ""


def generation_of(state: State) -> int:
    """Return the number of the generation that runs, or of the last one that did; 0 before the first."""
    return state.generation


def here(state: State) -> int:
    """Return how many members of the gang the state knows; the evaluator is none."""
    return len([name for name in peers_of(state) if name != EVALUATOR])


def peers_of(state: State) -> Dict[str, MemberJoined]:
    """Return the members that the state knows, by name."""
    return dict(state.peers)
