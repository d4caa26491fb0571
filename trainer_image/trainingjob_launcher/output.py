"""The trainer's output: copied through byte by byte, with the last lines kept for the failure report."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import select
import threading
from typing import Deque, Dict, Mapping, Set, Tuple

from trainingjob_launcher.contract import MAX_LOG_LINES
from trainingjob_launcher.messages import MAX_LINE

_CHUNK = 64 * 1024
#: What is kept of a line that has not ended yet, in bytes: enough for `MAX_LINE` characters of UTF-8.
_MAX_PARTIAL = 4 * MAX_LINE


class Tail:
    """The last lines of several streams, in the order in which they ended. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: Deque[str] = collections.deque(maxlen=MAX_LOG_LINES)
        self._partial: Dict[int, bytes] = {}

    def feed(self, stream: int, data: bytes) -> None:
        """Take what a stream wrote."""
        with self._lock:
            first, *rest = data.split(b"\n")
            self._extend(stream, first)
            for piece in rest:
                self._lines.append(_line(self._partial.pop(stream, b"")))
                self._extend(stream, piece)

    def _extend(self, stream: int, piece: bytes) -> None:
        partial = self._partial.get(stream, b"") + piece
        if len(partial) > _MAX_PARTIAL:
            partial = _visible(partial)[:_MAX_PARTIAL]
        self._partial[stream] = partial

    def lines(self) -> Tuple[str, ...]:
        """Return the last lines, each at most `MAX_LINE` characters; a line without an end counts too."""
        with self._lock:
            unfinished = [_line(piece) for piece in self._partial.values() if piece]
            return (*self._lines, *unfinished)[-MAX_LOG_LINES:]


def _visible(piece: bytes) -> bytes:
    """Return what one sees of a line: a progress bar writes it anew after each carriage return."""
    return piece.rstrip(b"\r").rpartition(b"\r")[2]


def _line(piece: bytes) -> str:
    return _visible(piece).decode("utf-8", "replace")[:MAX_LINE]


class Pump(threading.Thread):
    """Copies pipes to our own descriptors until their end. `done` is set in the event loop's thread.

    A thread, so that a reader of ours that is slow holds up nothing but this: the trainer then blocks when its
    pipes are full, as it would without us. One for both streams, so that what came first is kept first: a program
    says something and then dies of an exception, and not the other way round.
    """

    def __init__(self, pipes: Mapping[int, int], tail: Tail) -> None:
        """`pipes` are source and target descriptors. Of two that have something, the lower target goes first."""
        super().__init__(name="pump", daemon=True)
        self._targets = dict(sorted(pipes.items(), key=lambda pair: pair[1]))
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self.done = asyncio.Event()

    def run(self) -> None:
        """Copy until the trainer and all its children have closed the pipes."""
        targets = dict(self._targets)
        poll = select.poll()
        for source in targets:
            poll.register(source, select.POLLIN)
        broken: Set[int] = set()
        while targets:
            ready = {source for source, _ in poll.poll()}
            for source in [source for source in targets if source in ready]:
                data = os.read(source, _CHUNK)
                if not data:
                    poll.unregister(source)
                    os.close(source)
                    del targets[source]
                    continue
                self._tail.feed(targets[source], data)
                self._write(targets[source], data, broken)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self.done.set)

    @staticmethod
    def _write(target: int, data: bytes, broken: Set[int]) -> None:
        try:
            while data and target not in broken:
                data = data[os.write(target, data) :]
        except OSError:
            broken.add(target)  # nobody reads our output any more; the training goes on
