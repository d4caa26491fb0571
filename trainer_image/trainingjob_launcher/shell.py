"""What the chief's and the members' launchers share: the trainer, the clock, the signals, the last words.

A shell feeds events to its state machine and does what the machine answers. It decides nothing itself.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import os
import signal
import socket
import time
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Sequence, Tuple

from trainingjob_launcher.contract import (
    GENERATION_VARIABLE,
    MEMBER_VARIABLE,
    SECRET_VARIABLES,
    SOCKET_VARIABLE,
    Assignment,
    Failure,
    MemberUsage,
)
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import Hello, TrainerExit
from trainingjob_launcher.meter import Meter
from trainingjob_launcher.oom import Excused, Kills
from trainingjob_launcher.program import ProgramError, place
from trainingjob_launcher.progress import Progress, ProgressSocket
from trainingjob_launcher.python_path import is_hooked, packages_root, python_path
from trainingjob_launcher.rendezvous import join_address
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.spare import Spare
from trainingjob_launcher.standby import Standby
from trainingjob_launcher.tf_config import tf_config
from trainingjob_launcher.threads import cpu_limit, own_thread_variables
from trainingjob_launcher.trainer import Trainer, reap
from trainingjob_launcher.usage import UsageReader

#: A trainer that tells no progress to this launcher is taken to be past its start then.
STARTED_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Start:
    """How this launcher was started."""

    assignment: Assignment
    command: Sequence[str]
    env: Mapping[str, str]
    timings: Timings


class Shell:
    """The part that is the same for chief and members. Subclasses bring the state machine."""

    def __init__(self, start: Start) -> None:
        self.assignment = start.assignment
        self.timings = start.timings
        self.env = start.env
        self.progress = Progress()
        self._command = start.command
        self._trainer: Optional[Trainer] = None
        self._socket: Optional[ProgressSocket] = None
        self._meter: Optional[Meter] = None
        self._events: Deque[Any] = collections.deque()
        self._busy = False
        self._timer: Optional[asyncio.TimerHandle] = None
        self._trainer_port = start.assignment.trainer_port or free_port()
        self._hooked = is_hooked(start.assignment.document)
        self._kills = Kills(self._in_container)
        self._standby: Optional[Standby] = None
        self._standby_timer: Optional[asyncio.TimerHandle] = None
        self._begin_standby: Callable[[], None] = lambda: None
        #: Of the trainer that was started last; 0 before the first.
        self.generation = 0

    # What subclasses bring.

    def react(self, event: Any, now: float) -> Optional[float]:
        """Give one event to the machine and do what it answers; return when it wants a tick."""
        raise NotImplementedError

    def tick(self) -> Any:
        """Return the machine's event for `time has passed`."""
        raise NotImplementedError

    def terminate(self) -> Any:
        """Return the machine's event for SIGTERM."""
        raise NotImplementedError

    def trainer_exited(self, generation: int, end: TrainerExit) -> Any:
        """Return the machine's event for the own trainer's end."""
        raise NotImplementedError

    # What they use.

    def feed(self, event: Any) -> None:
        """Give an event to the machine, after those that are under way."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                wake = self.react(self._events.popleft(), time.monotonic())
        finally:
            self._busy = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if wake is not None:
            self._timer = asyncio.get_running_loop().call_later(
                max(0.0, wake - time.monotonic()) + 0.001, lambda: self.feed(self.tick())
            )

    def watch_signals(self) -> None:
        """Take SIGTERM and SIGINT as the request to end, SIGCHLD as the sign to reap."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_go)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def hello(self, seen_host: str) -> Hello:
        """Return who we are; `seen_host` is our address where the pod's own is not known."""
        assignment = self.assignment
        return Hello(
            member=assignment.member,
            incarnation=assignment.incarnation,
            address=join_address(assignment.pod_ip or seen_host, self._trainer_port),
            pod_name=assignment.pod_name,
            pod_uid=assignment.pod_uid,
            accelerators=accelerators(self.env),
            ledger=assignment.ledger,
            pod_failures=assignment.pod_failures,
        )

    def start_trainer(self, chief_incarnation: int, generation: int, addresses: Sequence[Tuple[str, str]]) -> None:
        """Put the program into place and start it for a generation."""
        assignment = self.assignment
        self.generation = generation
        self.progress = Progress(self.progress.training().extremes)  # the best values outlive the trainer
        self._trainer = trainer = Trainer(lambda end: self._ended(generation, end), self._kills)
        try:
            place(assignment.work_dir, assignment.files, assignment.source_dir)
        except ProgramError as error:
            end = TrainerExit(1, None, "ProgramInvalid", str(error))
            asyncio.get_running_loop().call_soon(self._ended, generation, end)
            return
        if self._socket is not None:
            self._socket.close()
        self._socket = ProgressSocket(self.progress, lambda: self._progressed())
        env = trainer_environment(self.env, assignment, addresses, self._socket.address)
        env[GENERATION_VARIABLE] = f"{chief_incarnation}.{generation}"
        trainer.start(self._command, env, assignment.work_dir or None, self._standby)
        if trainer.warm:
            say(f"the trainer of {assignment.member} is the warm standby")
        self._plan_standby(env)

    def stop_trainer(self, graceful: bool) -> None:
        """Stop the trainer, if there is one: at once, or after the grace."""
        if self._trainer is not None:
            self._trainer.stop(self.timings.grace if graceful else None)

    def progressed(self) -> None:
        """The trainer has said something new."""

    async def stack(self) -> Tuple[str, ...]:
        """Return the stacks of the trainer's threads, none when it does not tell."""
        return () if self._trainer is None else await self._trainer.stack()

    def measure(self) -> None:
        """Begin to measure what this member uses; `measured` is called every few seconds."""
        if self._meter is None:
            member, interval = self.assignment.member, self.timings.usage
            self._meter = Meter(member, interval, self._in_container, self.env, lambda usage: self.measured(usage))

    def measured(self, usage: MemberUsage) -> None:
        """This member has measured what it uses."""

    def stop_measuring(self) -> bool:
        """Measure no longer; False when a call into the kernel or a driver does not come back."""
        return self._meter is None or self._meter.stop()

    def leave(self) -> None:
        """Take what the trainer said last, release the socket, and let nobody wait for a trainer that won't come."""
        self._close_socket()
        self._cancel_standby()
        if self._standby is not None:
            self._standby.close()

    @property
    def _in_container(self) -> bool:
        """Whether we are in a container that is ours alone: as process 1, or told by the downward API."""
        return os.getpid() == 1 or bool(self.assignment.pod_uid)

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _plan_standby(self, env: Mapping[str, str]) -> None:
        """Have a warm standby once this trainer trains: after its first step, or a while where none is told."""
        if not self.assignment.policy.warm_standby or self.assignment.role == "evaluator":
            return
        if self._standby is None:
            limit, processors, here = cpu_limit(), os.sched_getaffinity(0), self._in_container
            cpus = limit or len(processors)
            idle = Spare(limit, cpu_seconds_of(here), processors)
            self._standby = Standby(self._command, self._hooked, cpus, memory_of(here), idle)
        self._cancel_standby()
        begin = self._standby.begin
        self._begin_standby = lambda: begin(env, self.assignment.work_dir or None)
        self._standby_timer = asyncio.get_running_loop().call_later(STARTED_SECONDS, self._train_on)

    def _train_on(self) -> None:
        """The trainer is past its start."""
        if self._standby_timer is not None:
            self._cancel_standby()
            self._begin_standby()

    def _cancel_standby(self) -> None:
        if self._standby_timer is not None:
            self._standby_timer.cancel()
            self._standby_timer = None

    def _progressed(self) -> None:
        if (self.progress.training().step or 0) > (self.progress.training().resumed_step or 0):
            self._train_on()
        self.progressed()

    def _reap(self) -> None:
        standby = None if self._standby is None else Excused(self._standby, self._kills)
        reap([child for child in (self._trainer, standby) if child is not None])

    def _asked_to_go(self) -> None:
        say(f"asked to terminate: the trainer has {self.timings.grace:g} s to end")
        self.feed(self.terminate())

    def _ended(self, generation: int, end: TrainerExit) -> None:
        if self._trainer is not None and self._trainer.stopped:
            say(f"the trainer of {self.assignment.member} was stopped")
        elif end.code:
            say(f"the trainer of {self.assignment.member} has ended with code {end.code}: {end.message}")
        self._close_socket()
        self._cancel_standby()
        self.feed(self.trainer_exited(generation, end))


def trainer_environment(
    env: Mapping[str, str], assignment: Assignment, addresses: Sequence[Tuple[str, str]], progress: str
) -> Dict[str, str]:
    """Return the trainer's environment: ours without secrets, with its place, the threads, the socket, the hooks."""
    out = {name: value for name, value in env.items() if name not in SECRET_VARIABLES}
    out.update(own_thread_variables(env))
    out[SOCKET_VARIABLE] = progress
    out[MEMBER_VARIABLE] = assignment.member
    out["PYTHONPATH"] = python_path(env.get("PYTHONPATH", ""), packages_root(), is_hooked(assignment.document))
    # Output through a pipe is held back by Python otherwise, and lost when the trainer is killed.
    out.setdefault("PYTHONUNBUFFERED", "1")
    cluster = tf_config(assignment.member, addresses)
    out.pop("TF_CONFIG", None)
    if cluster is not None:
        out["TF_CONFIG"] = cluster
    return out


def memory_of(in_container: bool) -> Callable[[], Tuple[Optional[int], Optional[int]]]:
    """Return what tells memory used and its limit, in bytes; None where there is no container with a limit."""
    reader = UsageReader(True) if in_container else None

    def memory() -> Tuple[Optional[int], Optional[int]]:
        if reader is None:
            return None, None
        reading = reader.read(os.getpid())
        return reading.memory_bytes, reading.memory_limit_bytes

    return memory


def cpu_seconds_of(in_container: bool) -> Callable[[], Optional[float]]:
    """Return what tells the CPU seconds that the container has used; None where there is none of our own."""
    reader = UsageReader(True) if in_container else None
    return lambda: None if reader is None else reader.read(os.getpid()).cpu_seconds


def accelerators(env: Mapping[str, str]) -> int:
    """Return how many GPUs the container was given."""
    visible = env.get("NVIDIA_VISIBLE_DEVICES", "")
    if visible in ("none", "void"):
        return 0
    if visible and visible != "all":
        return len([device for device in visible.split(",") if device])
    try:
        return len([name for name in os.listdir("/dev") if name[:6] == "nvidia" and name[6:].isdigit()])
    except OSError:
        return 0


def free_port() -> int:
    """Return a port that is free now: for several members on one machine (trainer port 0)."""
    with socket.create_server(("", 0)) as sock:
        return int(sock.getsockname()[1])


def describe(failure: Failure) -> str:
    """Say a failure in one line."""
    code = f" (exit code {failure.exit_code})" if failure.exit_code is not None else ""
    return f"{failure.member}: {failure.reason}{code}: {failure.message}"
