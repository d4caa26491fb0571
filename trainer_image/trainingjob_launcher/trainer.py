"""The trainer process: starts it in a process group of its own, stops the whole group, says how it ended.

It begins as a new process, or as the warm standby that becomes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
from typing import Callable, Mapping, Optional, Protocol, Sequence, Tuple

from trainingjob_launcher.blame import OUT_OF_MEMORY, OUT_OF_MEMORY_SAID, message_of
from trainingjob_launcher.channel import Timeout
from trainingjob_launcher.contract import STACK_VARIABLE
from trainingjob_launcher.frozen import Watch
from trainingjob_launcher.messages import TrainerExit
from trainingjob_launcher.oom import KILLED_CODE, Kills
from trainingjob_launcher.output import Pump, Tail
from trainingjob_launcher.stack import StackFile
from trainingjob_launcher.standby import Standby

#: How long output may still come after the trainer's end. Nobody waits for the words of one that we have killed.
DRAIN_SECONDS = 2.0
KILLED_DRAIN_SECONDS = 0.2


class Child(Protocol):
    """A process that somebody waits for. It leads a process group."""

    @property
    def pid(self) -> Optional[int]:
        """Its number, None when there is none (any more)."""

    def collected(self, returncode: int) -> None:
        """Take note that it has ended; its number may be somebody else's from now on."""


def reap(children: Sequence[Child]) -> None:
    """Collect every process that has ended, on SIGCHLD: ours, and orphans: process 1 of a container inherits them."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        child = next((child for child in children if child.pid == found.si_pid), None)
        if child is not None:
            # Not reaped yet, so its number and its group's can't have been given to others.
            _kill_group(found.si_pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(found.si_pid, 0)
            if child is not None:
                child.collected(os.waitstatus_to_exitcode(status))


class Trainer:
    """One trainer process of one generation. `exited` is called once, from the event loop.

    `kills` tells whether the kernel has killed it for want of memory.
    """

    def __init__(self, exited: Callable[[TrainerExit], None], kills: Optional[Kills] = None) -> None:
        self._exited = exited
        self._kills = kills
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._pump: Optional[Pump] = None
        self._tail = Tail()
        self._kill_timer: Optional[asyncio.TimerHandle] = None
        self._ending: Optional[asyncio.Future[None]] = None
        self._stack: Optional[StackFile] = None
        self._watch: Optional[Watch] = None
        self._verdict = ("", "")
        #: True once we have asked it to end: how it ends then says nothing about it.
        self.stopped = False
        #: Whether it was the warm standby.
        self.warm = False

    def start(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Optional[str], standby: Optional[Standby] = None
    ) -> None:
        """Start `command`. If that is not possible the exit follows, with 127 or 126 as a shell has it."""
        if self._kills is not None:
            self._kills.begin()
        with contextlib.suppress(OSError):
            self._stack = StackFile()
        descriptor = -1 if self._stack is None else self._stack.descriptor
        handed = standby.hand(env, cwd, descriptor) if standby is not None and descriptor >= 0 else None
        if handed is not None:
            self.warm = True
            self._process, (out, err) = handed.process, handed.pipes
        else:
            try:
                self._process = process = _popen(command, env, cwd, descriptor)
            except (OSError, ValueError) as error:
                self._close_stack()
                asyncio.get_running_loop().call_soon(self._exited, _not_started(command[0], cwd, error))
                return
            assert process.stdout is not None
            assert process.stderr is not None
            out, err = os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno())
            process.stdout.close()
            process.stderr.close()
        self._pump = Pump({out: 1, err: 2}, self._tail)
        self._pump.start()
        self._watch = Watch(self._process.pid, self._frozen)

    @property
    def pid(self) -> Optional[int]:
        """The process, None before it was started and after it was reaped."""
        return None if self._process is None or self._ending is not None else self._process.pid

    def stop(self, grace: Optional[float]) -> None:
        """Ask the whole group to end and kill it after `grace` seconds; None kills it at once."""
        if self.pid is None:
            return
        self.stopped = True
        if grace is None:
            self._signal(signal.SIGKILL)
            return
        self._signal(signal.SIGTERM)
        if self._kill_timer is None:
            self._kill_timer = asyncio.get_running_loop().call_later(grace, self._signal, signal.SIGKILL)

    async def stack(self) -> Tuple[str, ...]:
        """Return the Python stacks of its threads, none when it does not tell."""
        pid = self.pid
        return () if pid is None or self._stack is None else await self._stack.take(pid)

    def collected(self, returncode: int) -> None:
        """It has ended and was reaped, and its group is gone."""
        assert self._process is not None
        self._process.returncode = returncode
        # The kernel has counted before it killed. Whom we have stopped ourselves nobody asks why it ended.
        killed = returncode in (-signal.SIGKILL, KILLED_CODE) and not self.stopped and not self._verdict[0]
        if killed and self._kills is not None and self._kills.happened():
            self._verdict = (OUT_OF_MEMORY, OUT_OF_MEMORY_SAID)
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        if self._watch is not None:
            self._watch.close()
        self._close_stack()
        self._ending = asyncio.ensure_future(self._end(returncode))

    def _frozen(self) -> None:
        self._verdict = ("TrainerFrozen", "its process was stopped (SIGSTOP) and stood still, so it was killed")
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.pid is not None:
            _kill_group(self.pid, number)

    def _close_stack(self) -> None:
        if self._stack is not None:
            self._stack.close()

    async def _end(self, returncode: int) -> None:
        assert self._pump is not None
        with contextlib.suppress(Timeout):
            patience = KILLED_DRAIN_SECONDS if self.stopped else DRAIN_SECONDS
            await asyncio.wait_for(self._pump.done.wait(), patience)
        number = -returncode if returncode < 0 else None
        code = 128 - returncode if returncode < 0 else returncode
        lines = self._tail.lines()
        reason, message = self._verdict
        if code and not message:
            message = message_of(code, number, lines)
        self._exited(TrainerExit(code, number, reason, message, log_lines=() if code == 0 else lines))


def _popen(command: Sequence[str], env: Mapping[str, str], cwd: Optional[str], stack: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        env={**env, **({STACK_VARIABLE: str(stack)} if stack >= 0 else {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(stack,) if stack >= 0 else (),
    )


def _kill_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _not_started(program: str, cwd: Optional[str], error: Exception) -> TrainerExit:
    number = error.errno if isinstance(error, OSError) else None
    where = cwd or os.getcwd()
    if isinstance(error, OSError) and error.filename == cwd and cwd is not None:
        return TrainerExit(126, None, "WorkingDirInvalid", f"the program's folder {cwd} can't be entered: {error}")
    if number in (errno.ENOENT, errno.ENOTDIR):
        said = f"command {program!r} was not found (folder {where}): is it in the image and in PATH?"
        return TrainerExit(127, None, "CommandNotFound", said)
    if number in (errno.EACCES, errno.ENOEXEC):
        said = (
            f"command {program!r} is not executable: set its mode, or run it by its interpreter, as in python main.py"
        )
        return TrainerExit(126, None, "CommandNotExecutable", said)
    return TrainerExit(126, None, "CommandNotStarted", f"command {program!r} could not be started: {error}")
