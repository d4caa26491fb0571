"""The launcher of every member but the chief: runs `member`'s state machine around one connection.

The evaluator's is the same, and tells the chief its trainer's metrics besides.
"""

from __future__ import annotations

import asyncio
from typing import Any, Optional, Tuple

from trainingjob_launcher import member
from trainingjob_launcher.contract import MemberUsage, Report, encode_number
from trainingjob_launcher.gang import EVALUATOR
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TERMINATED, End, MessageError, TrainerExit, count, text
from trainingjob_launcher.progress import EVALUATION_PREFIX
from trainingjob_launcher.rendezvous import Caller, Frame
from trainingjob_launcher.shell import Shell, Start, describe
from trainingjob_launcher.termination import write_termination_message


class Worker(Shell):
    """`run` returns the exit code."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        assignment = self.assignment
        self._state, self._begin = member.begin(assignment.member, self.timings, assignment.role == "evaluator")
        self._finish: asyncio.Future[member.Finish] = asyncio.get_running_loop().create_future()
        self._caller = Caller(
            (assignment.chief_host, assignment.chief_port),
            bytes.fromhex(assignment.key),
            self.hello,
            assignment.member,
            self.timings,
            lambda: self.feed(member.Connected()),
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
            state="Succeeded" if finish.outcome == SUCCEEDED else "Failed",
            final=True,
            failure=finish.failure,
        )
        write_termination_message(report, self.env)
        self._last_words(finish)
        await self._caller.close()
        return finish.code

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
        self._state, actions = member.step(self._state, event, now)
        if isinstance(event, member.Connected):
            say("the chief is there; waiting for the rest of the gang")
        elif isinstance(event, member.Disconnected) and isinstance(self._state, member.Connecting):
            say(f"{self._state.why}; looking for it for {self.timings.reconnect:g} s")
        for action in actions:
            self._do(action)
        return member.deadline(self._state)

    def _do(self, action: member.Action) -> None:
        if isinstance(action, member.Connect):
            self._caller.connect()
        elif isinstance(action, member.Disconnect):
            self._caller.drop(action.why)
        elif isinstance(action, member.Start):
            say(f"generation {action.generation} starts with {len(action.addresses)} members")
            self.start_trainer(action.generation, action.addresses)
            if self.assignment.role != "evaluator":  # which is no member of the gang
                self.measure()
        elif isinstance(action, member.Stop):
            self.stop_trainer(action.graceful)
        elif isinstance(action, member.TellExit):
            self._caller.send({"t": "exit", "generation": action.generation, "end": action.end.to_json()})
        elif isinstance(action, member.TellTerminating):
            self._caller.send({"t": "terminating"})
        elif not self._finish.done():
            self._finish.set_result(action)

    def _heard(self, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "start":
            incarnation, generation = count(frame, "chief_incarnation"), count(frame, "generation")
            self.feed(member.Announced(incarnation, generation, _addresses(frame)))
        elif kind == "end":
            self.feed(member.Ended(End.from_json(frame)))
        elif kind == "refused":
            self.feed(member.Refused(text(frame, "why")))
        else:
            raise MessageError("the chief sent a frame of an unknown kind")

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
