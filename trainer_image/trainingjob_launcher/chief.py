"""The chief's launcher: runs the gang's state machine, the rendezvous and the reports around it."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from trainingjob_launcher import gang
from trainingjob_launcher.contract import Failure, Ledger, MemberUsage, Telemetry, Training
from trainingjob_launcher.gang_usage import GangUsage
from trainingjob_launcher.inspection import Inspection, stack_frame
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import (
    FAILED,
    TERMINATED,
    End,
    Hello,
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
from trainingjob_launcher.reporting import Reporting
from trainingjob_launcher.shell import Shell, Start, describe

TERMINATED_CODE = 143


class Chief(Shell):
    """`run` returns the exit code."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        assignment = self.assignment
        evaluator = assignment.document.get("evaluator") is True
        members = gang.expected_members(assignment.workers)
        self._settings = gang.Settings(members, self.timings, evaluator, assignment.policy)
        self._state: gang.State = gang.Waiting(self._settings, {}, gang.Past(assignment.ledger))
        self._evaluation: Dict[str, float] = {}
        self._usage = GangUsage(STALE_INTERVALS * self.timings.usage)
        self._assembled: Tuple[float, Optional[Telemetry]] = (-math.inf, None)
        self._finish: asyncio.Future[gang.Finish] = asyncio.get_running_loop().create_future()
        self._listener = Listener(
            bytes.fromhex(assignment.key),
            self.timings,
            self._joined,
            self._heard,
            lambda member, connection, why: self.feed(gang.MemberLost(member, connection, why)),
        )
        self._reporting = Reporting(assignment, self._training, self._telemetry, self.feed)
        self._inspection = Inspection(
            self.timings.inspect, lambda generation, stacks: self.feed(gang.Inspected(generation, stacks))
        )
        self._answer: Optional[asyncio.Future[None]] = None

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
        self._repeat()
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
            own = self.hello(self.assignment.chief_host or "127.0.0.1")
            self._state, actions = gang.begin(self._settings, own, now)
        else:
            self._state, actions = gang.step(before, event, now)
        self._say_change(before, event)
        for action in actions:
            self._do(action)
        if _outlook(before) != _outlook(self._state) and self._is_known:
            self._reporting.tell(self._state)
        return gang.deadline(self._state)

    def _do(self, action: gang.Action) -> None:
        if isinstance(action, gang.Announce):
            self._announce(action)
        elif isinstance(action, gang.Admit):
            frame = self._start_frame(action.generation, action.addresses, action.ledger)
            self._listener.send(action.connection, frame)
        elif isinstance(action, gang.Dismiss):
            self._listener.send(action.connection, {"t": "end", **End(FAILED, action.failure).to_json()})
        elif isinstance(action, gang.StopGeneration):
            self._stop_generation(action)
        elif isinstance(action, gang.StopAll):
            self._tell({"t": "end", **End(action.outcome, action.failure).to_json()})
            self.stop_trainer(False)
        elif isinstance(action, gang.Refuse):
            say(f"a connection was refused: {action.why}")
            self._listener.refuse(action.connection, action.why)
        elif isinstance(action, gang.Drop):
            self._listener.drop(action.connection, action.why)
        elif isinstance(action, gang.Inspect):
            self._inspect(action.generation)
        elif isinstance(action, gang.Confirm):
            self._reporting.ask(self._state, action.generation)
        elif not self._finish.done():
            self._finish.set_result(action)

    def _announce(self, action: gang.Announce) -> None:
        # First the frames: the others start while we do.
        self._tell(self._start_frame(action.generation, action.addresses, action.ledger))
        self.start_trainer(self.assignment.incarnation, action.generation, action.addresses)
        members = len(action.addresses)
        say(f"generation {action.generation} starts with {members} member{'s' if members > 1 else ''}")
        if self._reporting.wanted:
            self.measure()

    def _stop_generation(self, action: gang.StopGeneration) -> None:
        frame = {
            "t": "stop",
            "generation": action.generation,
            "graceful": action.graceful,
            "ledger": action.ledger.to_json(),
        }
        for connection in action.connections:
            self._listener.send(connection, frame)
        self.stop_trainer(action.graceful)
        self._reporting.failed(action.failure)
        how = "its trainers save and end" if action.graceful else "its trainers are stopped"
        say(f"generation {action.generation} is over, {how}: {describe(action.failure)}")

    def _inspect(self, generation: int) -> None:
        """Ask all trainers of the generation where they are."""
        members = self._state.cluster if isinstance(self._state, gang.Running) else ()
        peers = gang.peers_of(self._state)
        self._inspection.begin(generation, members)
        for member in members:
            if member != gang.CHIEF and member in peers:
                self._listener.send(peers[member].connection, {"t": "stack", "generation": generation})
        self._answer = asyncio.ensure_future(self._ask_own(generation))

    async def _ask_own(self, generation: int) -> None:
        self._inspection.take(gang.CHIEF, stack_frame(generation, await self.stack()))

    def _start_frame(self, generation: int, addresses: Sequence[Tuple[str, str]], ledger: Ledger) -> Frame:
        return {
            "t": "start",
            "chief_incarnation": self.assignment.incarnation,
            "generation": generation,
            "addresses": [list(pair) for pair in addresses],
            "ledger": ledger.to_json(),
        }

    def _tell(self, frame: Frame) -> None:
        for peer in gang.peers_of(self._state).values():
            self._listener.send(peer.connection, frame)

    def _joined(self, hello: Hello, connection: int) -> None:
        # Before anything else: a member believes nothing of a chief that was replaced.
        self._listener.send(connection, {"t": "welcome", "chief_incarnation": self.assignment.incarnation})
        self.feed(gang.MemberJoined(hello, connection))

    def _heard(self, member: str, connection: int, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "exit":
            end = frame.get("end")
            if not isinstance(end, dict):
                raise MessageError("end must be an object")
            self.feed(gang.TrainerExited(member, count(frame, "generation"), TrainerExit.from_json(end), connection))
        elif kind == "terminating":
            why = text(frame, "why", "its pod was asked to terminate (SIGTERM)")
            self.feed(gang.MemberTerminating(member, connection, why))
        elif kind == "stack":
            self._inspection.take(member, frame)
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
        """Give the machine what the trainer has said, and offer it to whoever wants it."""
        if not isinstance(self._state, (gang.Running, gang.Clearing)):
            return  # what its trainer said last it may have said after the generation's end was known
        said = self.progress.training()
        self.feed(
            gang.Progressed(self.generation, said.step, said.total_steps, said.resumed_step, self.progress.busy)
        )
        self._reporting.tell(self._state)

    def _training(self) -> Training:
        return with_metrics(self.progress.training(), self._evaluation)

    @property
    def _is_known(self) -> bool:
        """Whether the gang has been together before, so that the operator watches for it. A first start is quiet."""
        return gang.generation_of(self._state) > 0

    def _repeat(self) -> None:
        """Say each interval how it stands, also when nothing changes: a silent chief is taken for lost."""
        if self._is_known and not self._finish.done():
            self._reporting.tell(self._state)
        asyncio.get_running_loop().call_later(self.assignment.report_interval_seconds, self._repeat)

    def _leave(self, finish: gang.Finish) -> int:
        self._reporting.finish(self._state, finish, self.env, self.timings.last_report)
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
        elif isinstance(event, gang.MemberLost) and event.member in gang.peers_of(before):
            if gang.peers_of(before)[event.member].connection == event.connection and not self._finish.done():
                say(f"{event.member} is lost: {event.why}")
        elif isinstance(event, gang.MemberTerminating) and isinstance(before, gang.Running):
            say(f"{event.member} is asked to go: {event.why}")
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
        if gang.missing(self._state):
            self._reporting.tell(self._state)
        self._say_missing()


def _outlook(state: gang.State) -> Tuple[str, int, Tuple[str, ...]]:
    """What the operator hears of at once."""
    return gang.phase_of(state), gang.generation_of(state), tuple(gang.unreachable(state))


def shortened(names: Sequence[str], limit: int = 5) -> str:
    """Return names for a log line: the first few, and how many more."""
    shown: List[str] = list(names)[:limit]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
