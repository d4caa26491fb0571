"""The launcher's side of the warm standby (`trainingjob_hooks.standby`): a process that has imported TensorFlow.

A restart hands it the program, and saves the import: three of the four seconds to the first step. It is a luxury,
and never in the way of training:

- It is started when training runs, and imports in small slices (SIGSTOP and SIGCONT): a twentieth of the CPU that the
  container has, or half of what stands idle. A priority would not do: it can't be taken back without privileges, and
  where the container has a quota an idle priority eats from it all the same.
- It goes when memory runs short, and is the kernel's first choice as well.
- Whatever is wrong with it, the trainer is started cold.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from trainingjob_launcher.contract import GENERATION_VARIABLE, SOCKET_VARIABLE, SPEC_VARIABLE, STACK_VARIABLE
from trainingjob_launcher.log import say
from trainingjob_launcher.python_path import HOOKS, hooks_folder, packages_root

DECLARATIVE = "trainingjob_trainer"
#: What the program is sure to import. Nothing of the user's: it may change with the next generation.
_MODULES = ("tensorflow",)
_OUR_MODULES = ("tensorflow", "keras", "trainingjob_trainer.loop", "trainingjob_trainer.data")
#: Told with the program, not before: they change with each generation, or start the hooks.
_LATER = ("TF_CONFIG", SOCKET_VARIABLE, GENERATION_VARIABLE, STACK_VARIABLE, SPEC_VARIABLE)
_FLAGS = ("-u", "-B", "-O", "-OO")
ANSWER_SECONDS = 0.5
#: One slice of its import.
SLICE_SECONDS = 0.02
#: Its share of all the CPU that there is, and the most of one where none stands idle.
SHARE, MOST = 0.05, 0.5
#: Its share of the CPU that would stand idle without it, and how often that is measured.
IDLE_SHARE, IDLE_SECONDS = 0.5, 0.5
MEMORY_SECONDS = 1.0
#: Above this part of the memory limit there is no place for it; it takes about so much.
FULL, NEEDS_BYTES = 0.85, 600 * 2**20
#: So often it may die before we leave it.
DEATHS = 3

Memory = Callable[[], Tuple[Optional[int], Optional[int]]]
Idle = Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Program:
    """A command that is a Python program. One of `script` and `module` is empty."""

    interpreter: Tuple[str, ...]
    script: str
    module: str
    arguments: Tuple[str, ...]


def program_of(command: Sequence[str]) -> Union[Program, str]:
    """Read a command; or say why a standby can't run it."""
    python, *rest = command
    if not re.fullmatch(r"python(3(\.[0-9]+)?)?", os.path.basename(python)):
        return f"the command begins with {python!r}, not with python"
    flags: List[str] = []
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "-m" and rest:
            return Program((python, *flags), "", rest[0], tuple(rest[1:]))
        if option in ("-X", "-W") and rest:
            flags += [option, rest.pop(0)]
        elif option in _FLAGS or (option[:2] in ("-X", "-W") and len(option) > 2):
            flags.append(option)
        else:
            return f"python's option {option!r} is for a process of its own"
    return Program((python, *flags), rest[0], "", tuple(rest[1:])) if rest else "the command names no program"


@dataclasses.dataclass
class Handed:
    """A standby that is a trainer now: the process, and the ends of its output to read from."""

    process: subprocess.Popen[bytes]
    pipes: Tuple[int, int]


class Standby:
    """At most one waiting process. All calls are made in the event loop's thread."""

    def __init__(
        self, command: Sequence[str], hooked: bool, cpus: float, memory: Memory, idle: Idle = lambda: 0.0
    ) -> None:
        """`memory` returns what is used and what may be used, in bytes; `idle` how many CPUs were idle since it was
        called last.
        """
        self._command = list(command)
        self._hooked = hooked
        self._least = self._duty = min(MOST, max(SHARE, SHARE * cpus))
        self._idle = idle
        self._measured = 0.0
        self._used = 0.0
        self._memory = memory
        found = program_of(command)
        self._program = found if isinstance(found, Program) else None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._control: Optional[socket.socket] = None
        self._ready = False
        self._deaths = 0
        self._slices: Optional[asyncio.TimerHandle] = None
        self._watch: Optional[asyncio.TimerHandle] = None
        if self._program is None:
            say(f"no warm standby, restarts are cold: {found}")
        elif hooks_folder(packages_root()) is None:
            self._program = None
            say(f"no warm standby, restarts are cold: the package {HOOKS} is missing")

    @property
    def pid(self) -> Optional[int]:
        """The waiting process, None without one."""
        return None if self._process is None else self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has imported everything and waits."""
        return self._ready

    def begin(self, env: Mapping[str, str], cwd: Optional[str]) -> None:
        """Start one, if there is none; `env` and `cwd` are those of the trainer that runs."""
        if self._program is None or self._process is not None or self._deaths >= DEATHS:
            return
        if self._is_full(NEEDS_BYTES):
            self._give_up(f"it takes about {NEEDS_BYTES // 2**20} MiB, and the memory limit has no room for it")
            return
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = ["-m", f"{HOOKS}.standby", str(theirs.fileno()), self._folder(cwd), *self._modules()]
            try:
                self._process = subprocess.Popen(
                    [*self._program.interpreter, *arguments],
                    env=self._waiting_environment(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(theirs.fileno(),),
                )
            except (OSError, ValueError) as error:
                self._give_up(f"it could not be started: {error}")
                ours.close()
                return
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), self._read)
        self._watch = loop.call_later(MEMORY_SECONDS, self._look)

    def hand(self, env: Mapping[str, str], cwd: Optional[str], stack: int) -> Optional[Handed]:
        """Make it the trainer; None when there is none that answers in time, and then it is gone."""
        if self._control is not None:
            self._read()
        process, control = self._process, self._control
        if process is None or control is None or not self._ready or self._program is None:
            self.close()
            return None
        self._let_go()
        told = {
            **dataclasses.asdict(self._program),
            "env": {name: value for name, value in env.items() if name != STACK_VARIABLE},
            "cwd": cwd or "",
            "command": self._command,
            "hooked": self._hooked,
        }
        out, err = os.pipe(), os.pipe()
        with control:
            answered = _told(control, told, (out[1], err[1], stack))
        os.close(out[1])
        os.close(err[1])
        if answered:
            return Handed(process, (out[0], err[0]))
        os.close(out[0])
        os.close(err[0])
        _kill(process.pid)
        process.returncode = -signal.SIGKILL
        say("the warm standby does not answer: the trainer is started cold")
        return None

    def close(self) -> None:
        """End it, if there is one."""
        if self._process is not None:
            _kill(self._process.pid)
            self._release(-signal.SIGKILL)

    def collected(self, returncode: int) -> None:
        """It has ended and was reaped."""
        if self._process is not None:
            self._deaths += 1
            if self._control is not None:
                self._read()  # it may have said why
            self._release(returncode)
            if self._deaths == DEATHS:
                say(f"the warm standby has ended {DEATHS} times, the last time with {returncode}: restarts are cold")

    def _folder(self, cwd: Optional[str]) -> str:
        assert self._program is not None
        folder = cwd or os.getcwd()
        return os.path.dirname(os.path.realpath(os.path.join(folder, self._program.script))) or folder

    def _modules(self) -> Tuple[str, ...]:
        assert self._program is not None
        return _OUR_MODULES if self._program.module == DECLARATIVE else _MODULES

    def _waiting_environment(self, env: Mapping[str, str]) -> Dict[str, str]:
        out = {name: value for name, value in env.items() if name not in _LATER}
        if self._modules() is _OUR_MODULES:  # what it sets itself before it imports TensorFlow
            out.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            out["KERAS_BACKEND"] = "tensorflow"
        return out

    def _release(self, returncode: int) -> None:
        """Forget a process that has ended, or was killed and is reaped with the next orphans."""
        if self._process is not None:
            self._process.returncode = returncode
        control = self._control
        self._let_go()
        if control is not None:
            control.close()

    def _let_go(self) -> None:
        """Forget the process, which runs on."""
        loop = asyncio.get_running_loop()
        for timer in (self._slices, self._watch):
            if timer is not None:
                timer.cancel()
        self._slices = self._watch = None
        if self._control is not None:
            loop.remove_reader(self._control.fileno())
        self._process = self._control = None
        self._ready = False

    def _read(self) -> None:
        assert self._control is not None
        assert self._process is not None
        try:
            said = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(self._control.fileno())  # its end follows
            return
        if b"E" in said[:2]:
            self._give_up(said.partition(b"E")[2].decode("utf-8", "replace"))
        elif said.endswith(b"R"):
            self._ready = True
            if self._slices is not None:
                self._slices.cancel()
                self._slices = None
            # It may have been stopped right after it said so.
            _signal(self._process.pid, signal.SIGCONT)
        elif said.endswith(b"H"):
            self._idle()
            self._duty, self._measured, self._used = self._least, time.monotonic(), 0.0
            self._slice(False)

    def _slice(self, run: bool) -> None:
        """Let it run for a moment, or stand still for as long as its share asks for."""
        if self._process is None:
            return
        _signal(self._process.pid, signal.SIGCONT if run else signal.SIGSTOP)
        if time.monotonic() >= self._measured + IDLE_SECONDS:
            self._measured = time.monotonic()
            # What it has used itself would be idle without it.
            self._duty = min(1.0, max(self._least, IDLE_SHARE * (self._idle() + self._duty)))
        self._slices = asyncio.get_running_loop().call_later(
            SLICE_SECONDS if run else self._rest(), self._slice, not run
        )

    def _rest(self) -> float:
        """Return how long it stands still for what it has used in its slice: less than all of it, beside others.

        So its share is of CPU, not of time, and it gets it on a busy machine as well.
        """
        assert self._process is not None
        before, self._used = self._used, _cpu_seconds(self._process.pid, self._used + SLICE_SECONDS)
        return max(SLICE_SECONDS / 10, (self._used - before) / self._duty - SLICE_SECONDS)

    def _look(self) -> None:
        """Give it up when memory runs short."""
        self._watch = asyncio.get_running_loop().call_later(MEMORY_SECONDS, self._look)
        if self._is_full(0):
            say("the warm standby is given up: memory runs short, and training comes first")
            self.close()

    def _is_full(self, more: int) -> bool:
        used, limit = self._memory()
        return used is not None and limit is not None and used + more > FULL * limit

    def _give_up(self, why: str) -> None:
        say(f"no warm standby, restarts are cold: {why}")
        self._program = None
        self.close()


def _told(control: socket.socket, told: Mapping[str, Any], files: Sequence[int]) -> bool:
    """Hand the program over; whether it was acknowledged in time."""
    data = json.dumps(told).encode()
    data = len(data).to_bytes(4, "big") + data
    by = time.monotonic() + ANSWER_SECONDS
    try:
        control.settimeout(ANSWER_SECONDS)
        sent = socket.send_fds(control, [data[:4096]], list(files))
        if data[sent:]:  # sending nothing fails, too, when it has read all and closed its end
            control.sendall(data[sent:])
        control.settimeout(max(0.01, by - time.monotonic()))
        return control.recv(1) == b"A"
    except OSError:  # it is dead, or stands still
        return False


def _cpu_seconds(pid: int, unknown: float) -> float:
    """Return the CPU seconds that a process has used; `unknown` where the kernel does not tell."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python does not have
    except (OSError, AttributeError, OverflowError):
        return unknown


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _kill(pid: int) -> None:
    _signal(pid, signal.SIGKILL)
