"""Helpers for tests of the state machines: short ways to say events, and exits that look like TensorFlow's."""

from __future__ import annotations

from typing import Any

from trainingjob_launcher import gang
from trainingjob_launcher.contract import Failure, Ledger, Policy
from trainingjob_launcher.messages import Hello, TrainerExit
from trainingjob_launcher.settings import Timings

TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 3, in <module>',
    '    raise ValueError("bad shape")',
    "ValueError: bad shape",
)
ECHO = (
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 90, in <module>',
    "    loss = train(steps)",
    "tensorflow.python.framework.errors_impl.UnavailableError: Collective ops is aborted by: "
    "failed to connect to all addresses; Connection reset by peer",
    "The error could be from a previous operation. Restart your program to reset. [Op:__inference_train_1]",
)

OK = TrainerExit(0)
BUG = TrainerExit(1, log_lines=TRACEBACK)
NOISE = TrainerExit(1, log_lines=ECHO)
KILLED = TrainerExit(137, 9)
SEGFAULT = TrainerExit(139, 11)
#: What a trainer ends with that was asked to save.
SAVED = TrainerExit(77)


def hello(member: str, incarnation: int = 1, ledger: Ledger | None = None, pod_failures: int = 0) -> Hello:
    address = f"10.0.0.{1 + int(member[-1])}:2222"
    return Hello(member, incarnation, address, ledger=ledger or Ledger(), pod_failures=pod_failures)


def joined(
    member: str, connection: int, incarnation: int = 1, ledger: Ledger | None = None, pod_failures: int = 0
) -> gang.MemberJoined:
    return gang.MemberJoined(hello(member, incarnation, ledger, pod_failures), connection)


class Gang:
    """A chief's machine under test: `on(event)` steps it and keeps every action.

    Workers join over connections 1, 2 … in their order. `started` gangs have made the job's first step.
    """

    def __init__(
        self,
        workers: int = 2,
        evaluator: bool = False,
        policy: Policy | None = None,
        ledger: Ledger | None = None,
        pod_failures: int = 0,
        timings: Timings | None = None,
    ) -> None:
        settings = gang.Settings(
            gang.expected_members(workers), timings or Timings(), evaluator, policy or Policy(backoff_limit=6)
        )
        own = hello("chief-0", ledger=ledger, pod_failures=pod_failures)
        self.now = 0.0
        self.state, actions = gang.begin(settings, own, self.now)
        self.actions: list[gang.Action] = list(actions)

    def on(self, event: gang.Event, after: float = 0.0) -> tuple[gang.Action, ...]:
        self.now += after
        self.state, actions = gang.step(self.state, event, self.now)
        self.actions += actions
        return actions

    def ended(
        self, member: str, end: TrainerExit, after: float = 0.0, generation: int | None = None
    ) -> tuple[gang.Action, ...]:
        """Let a member's trainer end; it is said over the member's connection."""
        peer = gang.peers_of(self.state).get(member)
        awaited = self.state.awaiting.get(member) if isinstance(self.state, gang.Clearing) else None
        connection = awaited if awaited is not None else peer.connection if peer is not None else 0
        number = gang.generation_of(self.state) if generation is None else generation
        return self.on(gang.TrainerExited(member, number, end, connection), after)

    def lost(self, member: str, why: str = "closed", after: float = 0.0) -> tuple[gang.Action, ...]:
        """Let a member's connection end."""
        peer = gang.peers_of(self.state).get(member)
        awaited = self.state.awaiting.get(member) if isinstance(self.state, gang.Clearing) else None
        connection = awaited if awaited is not None else peer.connection if peer is not None else 0
        return self.on(gang.MemberLost(member, connection, why), after)

    def terminating(self, member: str, after: float = 0.0) -> tuple[gang.Action, ...]:
        """Let a member say that its pod got SIGTERM."""
        return self.on(gang.MemberTerminating(member, gang.peers_of(self.state)[member].connection), after)

    def at_step(self, step: int, after: float = 0.0, **more: Any) -> Gang:
        """Let the chief's trainer tell a step."""
        self.on(gang.Progressed(gang.generation_of(self.state), step, **more), after)
        return self

    def running(self) -> Gang:
        for number, name in enumerate(gang.missing(self.state), 1):
            self.on(joined(name, number))
        assert isinstance(self.state, gang.Running)
        return self

    def started(self, step: int = 10) -> Gang:
        return self.running().at_step(step)

    def cleared(self, end: TrainerExit = KILLED) -> Gang:
        """Let all trainers end that are being stopped."""
        assert isinstance(self.state, gang.Clearing)
        for name in list(self.state.awaiting):
            self.ended(name, end)
        return self

    def order(self) -> gang.StopGeneration | None:
        """Return the last order to stop a generation."""
        return next((action for action in reversed(self.actions) if isinstance(action, gang.StopGeneration)), None)

    def verdict(self) -> gang.StopAll | None:
        return next((action for action in self.actions if isinstance(action, gang.StopAll)), None)

    def cause(self) -> Failure:
        """Return why the last generation ended."""
        cause = gang.cause_of(self.state)
        assert cause is not None
        return cause

    def blamed(self) -> str:
        return self.cause().member
