"""The launcher of every member but the chief: runs `member`'s state machine around one connection.

The evaluator's is the same, and tells the chief its trainer's metrics besides.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Optional, Tuple

from trainingjob_launcher import member
from trainingjob_launcher.contract import MemberUsage, Report, encode_number
from trainingjob_launcher.gang import EVALUATOR
from trainingjob_launcher.inspection import stack_frame
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import (
    FAILED,
    TERMINATED,
    End,
    Hello,
    MessageError,
    TrainerExit,
    count,
    ledger,
    text,
)
from trainingjob_launcher.notices import Notices
from trainingjob_launcher.progress import EVALUATION_PREFIX
from trainingjob_launcher.rendezvous import Caller, Frame
from trainingjob_launcher.shell import Shell, Start, describe
from trainingjob_launcher.termination import write_termination_message


class Worker(Shell):
    """`run` returns the exit code."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        assignment = self.assignment
        guest = assignment.role == "evaluator"
        self._state, self._begin = member.begin(assignment.member, self.timings, guest, assignment.ledger)
        self._notices = Notices(assignment)
        self._answer: Optional[asyncio.Future[None]] = None
        self._patience: Optional[asyncio.TimerHandle] = None
        self._finish: asyncio.Future[member.Finish] = asyncio.get_running_loop().create_future()
        self._caller = Caller(
            (assignment.chief_host, assignment.chief_port),
            bytes.fromhex(assignment.key),
            self.hello,
            assignment.member,
            self.timings,
            lambda: None,  # the chief's first frame says who it is
            self._heard,
            lambda why: self.feed(member.Disconnected(why)),
        )

    async def run(self) -> int:
        """Join the gang, train, and see it through to its end."""
        assignment = self.assignment
        self.watch_signals()
        say(f"{assignment.member} looks for the chief at {assignment.chief_host}:{assignment.chief_port}")
        for action in self._begin:
            self._do(action)
        finish = await self._finish
        self.leave()
        report = Report(
            member=assignment.member,
            incarnation=assignment.incarnation,
            generation=finish.generation,
            sequence=1,
            state=finish.outcome,
            final=finish.outcome != TERMINATED,
            failure=finish.failure,
        )
        write_termination_message(report, self.env)
        self._last_words(finish)
        await self._caller.close()
        return finish.code

    def hello(self, seen_host: str) -> Hello:
        """Return who we are, and the newest that we have heard of the job."""
        return dataclasses.replace(super().hello(seen_host), ledger=member.ledger_of(self._state))

    def tick(self) -> member.Event:
        """Return the machine's event for `time has passed`."""
        return member.Tick()

    def terminate(self) -> member.Event:
        """Return the machine's event for SIGTERM."""
        return member.Terminate()

    def trainer_exited(self, generation: int, end: TrainerExit) -> member.Event:
        """Return the machine's event for the own trainer's end."""
        return member.TrainerExited(generation, end)

    def progressed(self) -> None:
        """Tell the chief what the evaluator has found out. What other members say nobody wants to know."""
        if self.assignment.role != "evaluator":
            return
        found = {
            name: encode_number(value)
            for name, value in self.progress.training().metrics.items()
            if name.startswith(EVALUATION_PREFIX)
        }
        if found:
            self._caller.send({"t": "metrics", "metrics": found})

    def measured(self, usage: MemberUsage) -> None:
        """Tell the chief what this member uses."""
        self._caller.send({"t": "usage", "usage": usage.to_json()})

    def react(self, event: Any, now: float) -> Optional[float]:
        """Give one event to the machine and do what it answers."""
        before = self._state
        self._state, actions = member.step(before, event, now)
        if isinstance(event, member.Connected):
            say("the chief is there; waiting for the rest of the gang")
        elif isinstance(event, member.Disconnected) and isinstance(self._state, member.Connecting):
            say(f"{self._state.why}; looking for the next")
            self._say_waiting()
        elif isinstance(event, member.GenerationStopped) and isinstance(before, member.Running):
            say(f"generation {event.generation} is over; waiting for the next")
        for action in actions:
            self._do(action)
        return member.deadline(self._state)

    def _do(self, action: member.Action) -> None:
        if isinstance(action, member.Connect):
            self._caller.connect(action.delay)
        elif isinstance(action, member.Disconnect):
            self._caller.drop(action.why)
        elif isinstance(action, member.Start):
            say(f"generation {action.generation} starts with {len(action.addresses)} members")
            self.start_trainer(action.chief_incarnation, action.generation, action.addresses)
            if self.assignment.role != "evaluator":  # which is no member of the gang
                self.measure()
        elif isinstance(action, member.Stop):
            self.stop_trainer(action.graceful)
        elif isinstance(action, member.TellExit):
            self._caller.send({"t": "exit", "generation": action.generation, "end": action.end.to_json()})
        elif isinstance(action, member.TellTerminating):
            self._caller.send({"t": "terminating"})
        elif isinstance(action, member.TellLost):
            self._notices.post(action.chief_incarnation, self.generation)
        elif not self._finish.done():
            self._finish.set_result(action)

    def _heard(self, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "welcome":
            self.feed(member.Connected(count(frame, "chief_incarnation")))
        elif kind == "start":
            incarnation, generation = count(frame, "chief_incarnation"), count(frame, "generation")
            self.feed(member.Announced(incarnation, generation, _addresses(frame), ledger(frame)))
        elif kind == "stop":
            graceful = frame.get("graceful") is True
            self.feed(member.GenerationStopped(count(frame, "generation"), graceful, ledger(frame)))
        elif kind == "stack":
            self._answer = asyncio.ensure_future(self._tell_stack(count(frame, "generation")))
        elif kind == "end":
            self.feed(member.Ended(End.from_json(frame)))
        elif kind == "refused":
            self.feed(member.Refused(text(frame, "why")))
        else:
            raise MessageError("the chief sent a frame of an unknown kind")

    async def _tell_stack(self, generation: int) -> None:
        self._caller.send(stack_frame(generation, await self.stack()))

    def _say_waiting(self) -> None:
        """Say again and again that there still is no chief."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(self.timings.reconnect, self._still_waiting)

    def _still_waiting(self) -> None:
        if isinstance(self._state, member.Connecting):
            say(f"no chief has come for {self.timings.reconnect:g} s; waiting on: the operator brings the next")
            self._say_waiting()

    def _last_words(self, finish: member.Finish) -> None:
        if finish.failure is None:
            say(f"{self.assignment.member} has done its part: the job has succeeded")
        elif finish.failure.member == self.assignment.member == EVALUATOR and finish.outcome == FAILED:
            say(f"the evaluation has failed, the job goes on: {describe(finish.failure)}")
        elif finish.outcome == TERMINATED:
            say(f"{self.assignment.member} was stopped: {describe(finish.failure)}")
        else:
            say(f"the job has failed: {describe(finish.failure)}")


def _addresses(frame: Frame) -> Tuple[Tuple[str, str], ...]:
    pairs = frame.get("addresses")
    if not isinstance(pairs, list):
        raise MessageError("addresses must be a list")
    out = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise MessageError("addresses must be pairs of texts")
        out.append((pair[0], pair[1]))
    return tuple(out)
