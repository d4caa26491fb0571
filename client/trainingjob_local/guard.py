"""What a pod's sandbox does for its container: one small process around a member's launcher.

    python guard.py AFTER GRACE -- COMMAND [ARGUMENT...]

It reads standard input, whose other end `trainingjob run` holds. When that closes, `trainingjob run` is gone, killed
perhaps: `AFTER` seconds later the launcher is asked to end, `GRACE` seconds after that whatever is left is killed.
When the launcher ends, all that it has started goes with it. SIGTERM is handed on; SIGINT kills at once. The exit
code is the launcher's. Standard library only: it starts in the blink of an eye.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: Sequence[str]) -> int:
    """Run the command to its end; return its exit code, 128 and the signal's number when a signal ended it."""
    after, grace = float(arguments[0]), float(arguments[1])
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    asked: set[int] = set()

    def note(number: int, _: FrameType | None) -> None:
        asked.add(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, note)
    try:
        child = subprocess.Popen(list(arguments[3:]), stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    except OSError as error:
        sys.stderr.write(f"trainingjob: {arguments[3]} can't be started: {error}\n")
        return 126
    sources = [0, reader]
    deadlines: list[tuple[float, signal.Signals]] = []
    while (code := _reap(child.pid)) is None:
        now = time.monotonic()
        while deadlines and deadlines[0][0] <= now:
            asked.add(deadlines.pop(0)[1])
        if signal.SIGINT in asked:
            _kill(descendants())
        elif asked & {signal.SIGTERM, signal.SIGHUP}:
            _send(child.pid, signal.SIGTERM)
        asked.clear()
        timeout = max(0.0, deadlines[0][0] - now) if deadlines else None
        ready, _, _ = select.select(sources, [], [], timeout)
        if reader in ready:
            os.read(reader, 4096)
        if 0 in ready and not os.read(0, 4096):
            sources.remove(0)
            deadlines = [(now + after, signal.SIGTERM), (now + after + grace, signal.SIGINT)]
    while left := descendants():
        _kill(left)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
    return code


def descendants() -> list[int]:
    """Return the numbers of all processes that this one has started, directly or not."""
    parents = _parents()
    found = [os.getpid()]
    for one in found:
        found.extend(pid for pid, parent in parents.items() if parent == one)
    return found[1:]


def _parents() -> dict[int, int]:
    if os.path.exists("/proc/self/stat"):
        out = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                    if state != b"Z" or int(parent) == os.getpid():
                        out[int(name)] = int(parent)
        return out
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent in rows}


def _reap(child: int) -> int | None:
    """Collect what has ended; return the exit code of `child` when it is among it."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return code
            if pid == child:
                ended = os.waitstatus_to_exitcode(status)
                code = 128 - ended if ended < 0 else ended
    return code


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _die_with_parent() -> None:
    # a guard that is killed takes nobody with it by itself: the launcher then ends as if it had been asked to
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    """Tell the kernel, where it is Linux."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
