"""Where a trainer is: the Python stacks of its threads, written by `faulthandler` into an open file on SIGUSR2.

The hooks and the declarative trainer register the handler (`STACK_VARIABLE` names the file). A program without it
would die of the signal, so it is only sent where /proc says that somebody catches it. faulthandler writes from the
signal handler itself: it also works while the interpreter is stuck in a call into TensorFlow.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from typing import Tuple

from trainingjob_launcher.messages import MAX_LINE

#: How long a stack may take, and how often we look.
SECONDS = 1.0
_LOOK = 0.02
_MAX_BYTES = 64 * 1024


class StackFile:
    """The file of one trainer. It has no name, so that nothing is left behind."""

    def __init__(self) -> None:
        """Raises OSError where there is neither memory nor a folder for it."""
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("trainingjob-stack", os.MFD_CLOEXEC)
        else:  # a Python that was built without
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())

    def close(self) -> None:
        """Give the file up."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    async def take(self, pid: int, seconds: float = SECONDS) -> Tuple[str, ...]:
        """Return the lines that the process writes when it is asked now; none when it can't answer in time."""
        if self.descriptor < 0 or not catches(pid, signal.SIGUSR2):
            return ()
        begin = os.fstat(self.descriptor).st_size
        try:
            os.kill(pid, signal.SIGUSR2)
        except OSError:
            return ()
        by = asyncio.get_running_loop().time() + seconds
        size = begin
        while asyncio.get_running_loop().time() < by and self.descriptor >= 0:
            await asyncio.sleep(_LOOK)
            before, size = size, os.fstat(self.descriptor).st_size if self.descriptor >= 0 else begin
            if begin < size == before:
                break
        if self.descriptor < 0:
            return ()
        text = os.pread(self.descriptor, _MAX_BYTES, begin).decode("utf-8", "replace")
        return tuple(line[:MAX_LINE] for line in text.splitlines())


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", file.read(), re.MULTILINE)
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)
