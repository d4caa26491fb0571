"""Reads the stacks that `faulthandler` wrote: where is the main thread, and who holds the others up? Pure."""

from __future__ import annotations

import re
from typing import Mapping, Optional

_THREAD = re.compile(r"(Current thread|Thread) 0x[0-9a-f]+")
_FRAME = re.compile(r'\s*File "([^"]*)", line \d+')
#: Waiting inside these is waiting for others.
_LIBRARIES = re.compile(r"/(tensorflow|keras)/")


def main_thread(text: str) -> str:
    """Return the main thread's part, the last of what faulthandler wrote; "" when there is none."""
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if _THREAD.match(line)]
    return "\n".join(lines[starts[-1] :]) if starts else ""


def is_in_library(text: str) -> Optional[bool]:
    """Whether the main thread is inside TensorFlow, waiting for others perhaps; None when there is no stack."""
    frames = [found[1] for found in map(_FRAME.match, main_thread(text).splitlines()) if found is not None]
    return bool(_LIBRARIES.search(frames[0])) if frames else None


def stuck(stacks: Mapping[str, str], chief: str) -> str:
    """Return the member that holds the others up: the first that is not inside TensorFlow, else the chief.

    Members of a gang meet in TensorFlow's collectives; who is anywhere else is who they wait for.
    """
    return next((member for member, text in stacks.items() if is_in_library(text) is False), chief)
