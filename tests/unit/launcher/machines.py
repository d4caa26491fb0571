"""Helpers for tests of the state machines: short ways to say events, and exits that look like TensorFlow's."""

from __future__ import annotations

from trainingjob_launcher import gang
from trainingjob_launcher.messages import Hello, TrainerExit

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


def hello(member: str, incarnation: int = 1) -> Hello:
    return Hello(member, incarnation, f"10.0.0.{1 + int(member[-1])}:2222")


def joined(member: str, connection: int, incarnation: int = 1) -> gang.MemberJoined:
    return gang.MemberJoined(hello(member, incarnation), connection)


def exited(member: str, end: TrainerExit, generation: int = 1) -> gang.TrainerExited:
    return gang.TrainerExited(member, generation, end)


class Gang:
    """A chief's machine under test: `on(event, at)` steps it and keeps every action."""

    def __init__(self, workers: int = 2, evaluator: bool = False) -> None:
        settings = gang.Settings(gang.expected_members(workers), evaluator=evaluator)
        self.state, actions = gang.begin(settings, hello("chief-0"))
        self.actions: list[gang.Action] = list(actions)
        self.now = 0.0

    def on(self, event: gang.Event, after: float = 0.0) -> tuple[gang.Action, ...]:
        self.now += after
        self.state, actions = gang.step(self.state, event, self.now)
        self.actions += actions
        return actions

    def running(self) -> Gang:
        for number, name in enumerate(gang.missing(self.state), 1):
            self.on(joined(name, number))
        assert isinstance(self.state, gang.Running)
        return self

    def verdict(self) -> gang.StopAll | None:
        return next((action for action in self.actions if isinstance(action, gang.StopAll)), None)

    def blamed(self) -> str:
        verdict = self.verdict()
        assert verdict is not None
        assert verdict.failure is not None
        return verdict.failure.member
