"""The chief's state machine: when a generation starts, when it is over, whose fault that is, what follows. Pure.

                 all here, or fewer and confirmed                     lost, failed, stalled, SIGTERM, growth
    Waiting ------------------Announce------------------> Running(g) ------StopGeneration------> Clearing(g)
       ^                                                      |                                      |
       \\------------------- all trainers gone ----------------|--------------------------------------/
                                                              |
    Waiting, Running, Clearing --StopAll--> Ending --all gone, or too late--> Done | Failed    the job is over
    Waiting, Clearing --Finish(TERMINATED)--> Failed          this chief leaves, and the job goes on with the next

`step(state, event, now)` returns the next state and what to do; it has no clock, no sockets, no processes. Call
it with a `Tick` when `deadline(state)` has passed. Times are seconds of one monotonic clock. The words are in
`gang_types`; each state has its module: `gang_forming`, `gang_running` (with `gang_guest`), `gang_clearing`,
`gang_ending`. What a failure costs is decided in `judgement`, what counts as moving in `stall`.

    events      MemberJoined, MemberLost, MemberTerminating, TrainerExited, Progressed, Inspected, Confirmed,
                Replaced, Tick, Terminate
    actions     Announce, StopGeneration, StopAll, Admit, Dismiss, Refuse, Drop, Inspect, Confirm, Finish

Success. The chief's trainer speaks for the job: in synchronous training it can end with 0 only after every
collective step has ended on all members, and what the job leaves behind (checkpoints, the model) the chief
writes. After it the others get a bounded time to end. What happens to them then is noise (the coordination
service lived in the chief's trainer and has gone, so they may fail with UnavailableError, abort, or be lost), with
one exception: a worker's program that says itself that it failed, with an exit code and an exception of its own,
has failed, because errors are never hidden. An echo seen shortly *before* the chief's 0 is forgiven too: the
chief's interpreter takes seconds to go away.

First cause. An exit that looks like the echo of somebody else's end (`blame.is_collateral`) waits up to `judge`
seconds for a better one: an exit with a cause of its own, or a member whose connection is lost. Either of these
ends the generation at once, because the trainers that are left are stuck in their collectives anyway. When all but
one member have ended with echoes, that one has `last_word` seconds; if its trainer still runs then it is frozen.

Restarts. A generation that is over leads to the next one, in place, unless `judgement` says that the job is over. All
who are left stay; who is lost comes back with a new pod. The number of the next generation is above all that anybody
here has ever heard of. While Clearing, no trainer of the next generation runs on any member that can be heard.

Elastic gangs may form with fewer members (see `gang_forming`), and grow when those who were missed have come and the
generation has run for a while: all save, and start again together.

SIGTERM. A member's: the generation ends gracefully, and the gang waits for its successor. The chief's: the same, then
it leaves with TERMINATED; its members stay and wait for the next chief.

Fencing. Messages of another generation, and of connections that were replaced, are ignored. Of two pods of one member
the newer incarnation wins; the older is refused. A chief that was replaced (`Replaced`) kills its trainer, lets its
members go, and never forms a generation again; one that has fewer members than all asks before (`Confirm`).
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from trainingjob_launcher import gang_forming, stall
from trainingjob_launcher.contract import Failure, Ledger
from trainingjob_launcher.gang_clearing import clearing
from trainingjob_launcher.gang_clearing import due as clearing_due
from trainingjob_launcher.gang_ending import ending
from trainingjob_launcher.gang_peers import absent, expected_members
from trainingjob_launcher.gang_running import due as running_due
from trainingjob_launcher.gang_running import running
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    OWN_CONNECTION,
    Action,
    Admit,
    Announce,
    Clearing,
    Confirm,
    Confirmed,
    Dismiss,
    Done,
    Drop,
    Ending,
    Event,
    Failed,
    Finish,
    Inspect,
    Inspected,
    MemberJoined,
    MemberLost,
    MemberTerminating,
    Past,
    Progressed,
    Refuse,
    Replaced,
    Running,
    Settings,
    State,
    Step,
    StopAll,
    StopGeneration,
    Terminate,
    Tick,
    TrainerExited,
    Waiting,
)
from trainingjob_launcher.messages import TERMINATED, Hello

#: The machine and its words: whoever runs a gang needs no other module.
__all__ = [
    "CHIEF",
    "EVALUATOR",
    "OWN_CONNECTION",
    "Action",
    "Admit",
    "Announce",
    "Clearing",
    "Confirm",
    "Confirmed",
    "Dismiss",
    "Done",
    "Drop",
    "Ending",
    "Event",
    "Failed",
    "Finish",
    "Inspect",
    "Inspected",
    "MemberJoined",
    "MemberLost",
    "MemberTerminating",
    "Past",
    "Progressed",
    "Refuse",
    "Replaced",
    "Running",
    "Settings",
    "State",
    "Step",
    "StopAll",
    "StopGeneration",
    "Terminate",
    "Tick",
    "TrainerExited",
    "Waiting",
    "begin",
    "cause_of",
    "deadline",
    "expected_members",
    "generation_of",
    "here",
    "ledger_of",
    "missing",
    "peers_of",
    "phase_of",
    "size_of",
    "stalled_for",
    "step",
    "unreachable",
]


def begin(settings: Settings, own: Hello, now: float) -> Step:
    """Return the first state: the chief is there, and alone it is already complete."""
    return gang_forming.begin(settings, MemberJoined(own, OWN_CONNECTION), now)


def deadline(state: State) -> Optional[float]:
    """Return when the machine wants a `Tick`, None when it waits for events only."""
    if isinstance(state, Waiting):
        return gang_forming.due(state)
    if isinstance(state, Running):
        return running_due(state)
    if isinstance(state, Clearing):
        return clearing_due(state)
    return state.deadline if isinstance(state, Ending) else None


def step(state: State, event: Event, now: float) -> Step:
    """Return what an event makes of a state, and what is to be done. Total: any event in any state."""
    if isinstance(state, Waiting):
        return gang_forming.waiting(state, event, now)
    if isinstance(state, Running):
        return running(state, event, now)
    if isinstance(state, Clearing):
        return clearing(state, event, now)
    if isinstance(state, Ending):
        return ending(state, event, now)
    if isinstance(event, MemberJoined):
        if isinstance(state, Failed) and state.outcome == TERMINATED:  # the job goes on, and so shall the newcomer
            return state, (Drop(event.connection, "this chief leaves"),)
        return state, (Refuse(event.connection, "the job has ended"),)
    return state, ()


# --- What others want to know of a state ---


def generation_of(state: State) -> int:
    """Return the number of the generation that runs, or of the last one that did; 0 before the first."""
    return state.generation


def ledger_of(state: State) -> Ledger:
    """Return what the job has been through."""
    return state.past.ledger


def cause_of(state: State) -> Optional[Failure]:
    """Return why the last generation ended, None when none has ended in this chief's life."""
    return state.past.failure


def phase_of(state: State) -> str:
    """Return the state's name in reports: Running, Restarting after the end of a generation, Forming at the start."""
    if isinstance(state, Running):
        return "Running"
    return "Forming" if state.past.failure is None else "Restarting"


def missing(state: State) -> Tuple[str, ...]:
    """Return the members that the gang waits for."""
    return absent(state.settings, state.peers) if isinstance(state, Waiting) else ()


def unreachable(state: State) -> Tuple[str, ...]:
    """Return the members that were in the gang before and are not here."""
    if isinstance(state, (Waiting, Running, Clearing)):
        return tuple(name for name in absent(state.settings, state.peers) if name in state.past.known)
    return ()


def size_of(state: State) -> Optional[int]:
    """Return how many members train, None when none do."""
    return len(state.cluster) if isinstance(state, Running) else None


def stalled_for(state: State, now: float) -> Optional[float]:
    """Return for how many seconds there was no step where that is too long, None while all is well."""
    if isinstance(state, Running) and (state.pace.stalled or state.pace.inspect_by is not None):
        return now - state.pace.moved_at
    if isinstance(state, Clearing) and state.past.failure is not None and state.past.failure.reason == stall.REASON:
        return now - state.pace.moved_at
    return None


def here(state: State) -> int:
    """Return how many members of the gang the state knows; the evaluator is none."""
    return len([name for name in peers_of(state) if name != EVALUATOR])


def peers_of(state: State) -> Dict[str, MemberJoined]:
    """Return the members that the state knows, by name."""
    return dict(state.peers)
