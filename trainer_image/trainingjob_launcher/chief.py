"""The chief's launcher: runs the gang's state machine, the rendezvous and the reports around it."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from trainingjob_launcher import gang
from trainingjob_launcher.contract import Failure, MemberUsage, Report, Telemetry
from trainingjob_launcher.gang_usage import GangUsage
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import (
    FAILED,
    SUCCEEDED,
    TERMINATED,
    End,
    MessageError,
    TrainerExit,
    count,
    metrics,
    text,
    usage,
)
from trainingjob_launcher.meter import STALE_INTERVALS
from trainingjob_launcher.progress import EVALUATION_PREFIX, with_metrics
from trainingjob_launcher.rendezvous import Frame, Listener, listening_socket
from trainingjob_launcher.reporter import Reporter, door
from trainingjob_launcher.shell import Shell, Start, describe
from trainingjob_launcher.tensorboard import EventFiles
from trainingjob_launcher.termination import write_termination_message

TERMINATED_CODE = 143


class Chief(Shell):
    """`run` returns the exit code."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        assignment = self.assignment
        evaluator = assignment.document.get("evaluator") is True
        self._settings = gang.Settings(gang.expected_members(assignment.workers), self.timings, evaluator)
        self._state: gang.State = gang.Waiting(self._settings, {})
        self._evaluation: Dict[str, float] = {}
        self._usage = GangUsage(STALE_INTERVALS * self.timings.usage)
        self._assembled: Tuple[float, Optional[Telemetry]] = (-math.inf, None)
        self._sequence = itertools.count(1)
        self._reporter: Optional[Reporter] = None
        self._finish: asyncio.Future[gang.Finish] = asyncio.get_running_loop().create_future()
        self._listener = Listener(
            bytes.fromhex(assignment.key),
            self.timings,
            lambda hello, connection: self.feed(gang.MemberJoined(hello, connection)),
            self._heard,
            lambda member, connection, why: self.feed(gang.MemberLost(member, connection, why)),
        )
        if assignment.report_url:
            post = door(assignment.report_url, assignment.report_ca, assignment.report_token_file)
            self._reporter = Reporter(post, assignment.report_interval_seconds)
        self._board = EventFiles(assignment.tensorboard_dir) if assignment.tensorboard_dir else None

    async def run(self) -> int:
        """Form the gang, train, and see it through to its end."""
        self.watch_signals()
        if self.assignment.workers or self._settings.evaluator:
            try:
                await self._listener.start(listening_socket(self.assignment.chief_port))
            except OSError as error:
                said = f"port {self.assignment.chief_port} for the gang's meeting can't be opened: {error}"
                if self.assignment.workers:
                    return self._leave(gang.Finish(FAILED, Failure(gang.CHIEF, "RendezvousFailed", said)))
                say(f"{said}; training goes on without the evaluator")
        self.feed(None)  # the beginning
        self._say_missing()
        finish = await self._finish
        await self._listener.close()
        self.leave()
        return self._leave(finish)

    # The machine's side.

    def tick(self) -> gang.Event:
        """Return the machine's event for `time has passed`."""
        return gang.Tick()

    def terminate(self) -> gang.Event:
        """Return the machine's event for SIGTERM."""
        return gang.Terminate()

    def trainer_exited(self, generation: int, end: TrainerExit) -> gang.Event:
        """Return the machine's event for the own trainer's end."""
        return gang.TrainerExited(gang.CHIEF, generation, end)

    def react(self, event: Any, now: float) -> Optional[float]:
        """Give one event to the machine and do what it answers."""
        before = self._state
        if event is None:
            self._state, actions = gang.begin(self._settings, self.hello(self.assignment.chief_host or "127.0.0.1"))
        else:
            self._state, actions = gang.step(before, event, now)
        self._say_change(before, event)
        for action in actions:
            self._do(action)
        return gang.deadline(self._state)

    def _do(self, action: gang.Action) -> None:
        if isinstance(action, gang.Announce):
            self._announce(action)
        elif isinstance(action, gang.Admit):
            self._listener.send(action.connection, self._start_frame(action.generation, action.addresses))
        elif isinstance(action, gang.Dismiss):
            self._listener.send(action.connection, {"t": "end", **End(FAILED, action.failure).to_json()})
        elif isinstance(action, gang.StopAll):
            self._tell({"t": "end", **End(action.outcome, action.failure).to_json()})
            self.stop_trainer(action.graceful)
        elif isinstance(action, gang.Refuse):
            say(f"a connection was refused: {action.why}")
            self._listener.refuse(action.connection, action.why)
        elif not self._finish.done():
            self._finish.set_result(action)

    def _announce(self, action: gang.Announce) -> None:
        members = len(action.addresses)
        say(f"generation {action.generation} starts with {members} member{'s' if members > 1 else ''}")
        self._tell(self._start_frame(action.generation, action.addresses))
        self.start_trainer(action.generation, action.addresses)
        if self._reporter is not None:
            self.measure()
        self.progressed()

    def _start_frame(self, generation: int, addresses: Sequence[Tuple[str, str]]) -> Frame:
        return {
            "t": "start",
            "chief_incarnation": self.assignment.incarnation,
            "generation": generation,
            "addresses": [list(pair) for pair in addresses],
        }

    def _tell(self, frame: Frame) -> None:
        for peer in gang.peers_of(self._state).values():
            self._listener.send(peer.connection, frame)

    def _heard(self, member: str, connection: int, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "exit":
            end = frame.get("end")
            if not isinstance(end, dict):
                raise MessageError("end must be an object")
            self.feed(gang.TrainerExited(member, count(frame, "generation"), TrainerExit.from_json(end), connection))
        elif kind == "terminating":
            why = text(frame, "why", "its pod was asked to terminate (SIGTERM)")
            self.feed(gang.MemberLost(member, connection, why, "Terminated"))
        elif kind == "metrics" and member == gang.EVALUATOR:
            peer = gang.peers_of(self._state).get(gang.EVALUATOR)
            if peer is not None and peer.connection == connection:
                found = metrics(frame, EVALUATION_PREFIX)
                self._evaluation.update(found)
                self.progress.note(found)
                self.progressed()
        elif kind == "usage":
            self._usage.take(connection, usage(frame, member), time.monotonic())
        else:
            raise MessageError("it sent a frame of an unknown kind")

    # Reports and words.

    def measured(self, usage: MemberUsage) -> None:
        """Report what the gang uses, also while its trainers say nothing."""
        self._usage.take(gang.OWN_CONNECTION, usage, time.monotonic())
        self.progressed()

    def _telemetry(self, now: float) -> Optional[Telemetry]:
        """Return what the gang uses, put together at most once a second: a trainer may say far more than that."""
        if now - self._assembled[0] >= 1.0:
            peers = gang.peers_of(self._state)
            here = {name: peers[name].connection for name in self._settings.members if name in peers}
            self._assembled = (now, self._usage.telemetry(here, now))
        return self._assembled[1]

    def progressed(self) -> None:
        """Offer what the trainer has said to the reporter, and to TensorBoard."""
        if not isinstance(self._state, gang.Running):
            return
        report = self._report("Running", self._state.generation)
        if self._reporter is not None:
            self._reporter.offer(report)
        if self._board is not None and report.training is not None:
            self._board.offer(report.generation, report.training)

    def _report(self, state: str, generation: int, failure: Optional[Failure] = None, final: bool = False) -> Report:
        return Report(
            member=gang.CHIEF,
            incarnation=self.assignment.incarnation,
            generation=generation,
            sequence=next(self._sequence),
            state=state,
            final=final,
            training=with_metrics(self.progress.training(), self._evaluation),
            failure=failure,
            # Of the moment: nobody shall take the last one for live when the training is over.
            telemetry=self._telemetry(time.monotonic()) if state == "Running" else None,
        )

    def _leave(self, finish: gang.Finish) -> int:
        generation = gang.generation_of(self._state)
        state = "Succeeded" if finish.outcome == SUCCEEDED else "Failed"
        report = self._report(state, generation, finish.failure, final=True)
        # First the backup: it needs nobody else.
        write_termination_message(report, self.env)
        if self._board is not None and report.training is not None:
            self._board.offer(generation, report.training)
        if self._reporter is not None and not self._reporter.finish(report, self.timings.last_report):
            say("the last report did not reach the operator; it is in the termination message")
        if self._board is not None:
            self._board.close(self.timings.last_report)
        return self._last_words(finish)

    def _last_words(self, finish: gang.Finish) -> int:
        failure = finish.failure
        if failure is None:
            say("the job has succeeded")
            return 0
        say(f"the job has {'been terminated' if finish.outcome == TERMINATED else 'failed'}: {describe(failure)}")
        if finish.outcome == TERMINATED:
            return TERMINATED_CODE
        return (failure.exit_code or 1) if failure.member == gang.CHIEF else 1

    def _say_change(self, before: gang.State, event: Any) -> None:
        missing = gang.missing(self._state)
        if isinstance(event, gang.MemberJoined) and event.hello.member in gang.peers_of(self._state):
            waiting = f"; waiting for {shortened(missing)}" if missing else ""
            if gang.peers_of(before).get(event.hello.member) != event:
                say(f"{event.hello.member} has joined from {event.hello.address}{waiting}")
        elif isinstance(event, gang.MemberLost) and isinstance(before, (gang.Waiting, gang.Running)):
            say(f"{event.member} is lost: {event.why}")
        elif isinstance(event, gang.TrainerExited) and isinstance(before, gang.Running):  # noqa: SIM102
            if event.member != gang.CHIEF and event.end.code:
                say(f"the trainer of {event.member} has ended with code {event.end.code}: {event.end.message}")

    def _say_missing(self) -> None:
        missing = gang.missing(self._state)
        if missing:
            say(
                f"waiting for {shortened(missing)} ({gang.here(self._state)} of "
                f"{len(self._settings.members)} members are here)"
            )
            asyncio.get_running_loop().call_later(self.timings.patience, self._still_missing)

    def _still_missing(self) -> None:
        """Tell people and the operator that the start takes long: a gang that forms is not one that cannot report."""
        if self._reporter is not None and gang.missing(self._state):
            self._reporter.offer(self._report("Forming", gang.generation_of(self._state)))
        self._say_missing()


def shortened(names: Sequence[str], limit: int = 5) -> str:
    """Return names for a log line: the first few, and how many more."""
    shown: List[str] = list(names)[:limit]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
