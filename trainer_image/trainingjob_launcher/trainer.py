"""The trainer process: starts it in a process group of its own, stops the whole group, says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
from typing import Callable, Mapping, Optional, Sequence

from trainingjob_launcher.blame import message_of
from trainingjob_launcher.channel import Timeout
from trainingjob_launcher.messages import TrainerExit
from trainingjob_launcher.output import Pump, Tail

#: How long output may still come after the trainer's end.
DRAIN_SECONDS = 2.0


class Trainer:
    """One trainer process of one generation. `exited` is called once, from the event loop.

    The launcher calls `reap` on SIGCHLD. As process 1 of the container it also inherits orphans, and reaps those.
    """

    def __init__(self, exited: Callable[[TrainerExit], None]) -> None:
        self._exited = exited
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._pump: Optional[Pump] = None
        self._tail = Tail()
        self._kill_timer: Optional[asyncio.TimerHandle] = None
        self._ending: Optional[asyncio.Future[None]] = None
        #: True once we have asked it to end: how it ends then says nothing about it.
        self.stopped = False

    def start(self, command: Sequence[str], env: Mapping[str, str], cwd: Optional[str]) -> None:
        """Start `command`. If that is not possible the exit follows, with 127 or 126 as a shell has it."""
        try:
            process = subprocess.Popen(
                list(command),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            asyncio.get_running_loop().call_soon(self._exited, _not_started(command[0], cwd, error))
            return
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = {os.dup(process.stdout.fileno()): 1, os.dup(process.stderr.fileno()): 2}
        process.stdout.close()
        process.stderr.close()
        self._pump = Pump(pipes, self._tail)
        self._pump.start()

    def stop(self, grace: Optional[float]) -> None:
        """Ask the whole group to end and kill it after `grace` seconds; None kills it at once."""
        if self._process is None or self._ending is not None:
            return
        self.stopped = True
        if grace is None:
            self._signal(signal.SIGKILL)
            return
        self._signal(signal.SIGTERM)
        if self._kill_timer is None:
            self._kill_timer = asyncio.get_running_loop().call_later(grace, self._signal, signal.SIGKILL)

    def reap(self) -> None:
        """Collect every child that has ended: the trainer, and orphans that process 1 inherits."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if self._process is not None and found.si_pid == self._process.pid:
                # Not reaped yet, so its number and its group's can't have been given to others.
                self._signal(signal.SIGKILL)
                _, status = os.waitpid(found.si_pid, 0)
                self._process.returncode = os.waitstatus_to_exitcode(status)
                if self._kill_timer is not None:
                    self._kill_timer.cancel()
                self._ending = asyncio.ensure_future(self._end(self._process.returncode))
            else:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(found.si_pid, 0)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _end(self, returncode: int) -> None:
        assert self._pump is not None
        with contextlib.suppress(Timeout):
            await asyncio.wait_for(self._pump.done.wait(), DRAIN_SECONDS)
        number = -returncode if returncode < 0 else None
        code = 128 - returncode if returncode < 0 else returncode
        lines = self._tail.lines()
        message = "" if code == 0 else message_of(code, number, lines)
        self._exited(TrainerExit(code, number, message=message, log_lines=() if code == 0 else lines))


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
