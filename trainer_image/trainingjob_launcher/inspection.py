"""Collects the stacks of the trainers of a gang that makes no steps. Who says nothing in time is left out."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from trainingjob_launcher.contract import MAX_LOG_LINES
from trainingjob_launcher.messages import MAX_LINE, MessageError, count, fitting
from trainingjob_launcher.stacks import main_thread


def stack_frame(generation: int, lines: Tuple[str, ...]) -> Dict[str, Any]:
    """Return a member's answer to the question for its stack: the main thread's, from its innermost frame on."""
    kept = main_thread("\n".join(lines)).splitlines()[:MAX_LOG_LINES]
    return {"t": "stack", "generation": generation, "lines": fitting(tuple(kept))}


def stack_of(frame: Mapping[str, Any]) -> str:
    """Read such an answer; raises MessageError."""
    lines = frame.get("lines")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise MessageError("lines must be a list of texts")
    return "\n".join(line[:MAX_LINE] for line in lines[:MAX_LOG_LINES])


class Inspection:
    """One question at a time. `done(generation, stacks)` is called when all have answered, or time is up."""

    def __init__(self, seconds: float, done: Callable[[int, Mapping[str, str]], None]) -> None:
        self._seconds = seconds
        self._done = done
        self._generation = 0
        self._expected: Dict[str, Optional[str]] = {}
        self._timer: Optional[asyncio.TimerHandle] = None

    def begin(self, generation: int, members: Sequence[str]) -> None:
        """Wait for the stacks of `members`."""
        if self._timer is not None:
            self._timer.cancel()
        self._generation = generation
        self._expected = dict.fromkeys(members)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def take(self, member: str, frame: Mapping[str, Any]) -> None:
        """Take a member's answer; raises MessageError."""
        text, generation = stack_of(frame), count(frame, "generation")
        if self._timer is None or generation != self._generation or member not in self._expected:
            return
        self._expected[member] = text
        if None not in self._expected.values():
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._done(self._generation, {member: text for member, text in self._expected.items() if text})
