"""What a program says of its progress while it trains: steps and the moments when they were done."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

MAX_DATAGRAM = 65536


@dataclass(frozen=True)
class Point:
    """`step` steps were done at `seconds` of the machine's monotonic clock, which all its processes share."""

    step: int
    seconds: float


class Ear:
    """A Unix socket like the launcher's: it takes the trainer's own reports, and what our programs say (`clock.py`)."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.path = str(Path(self._folder.name) / "progress")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._news = threading.Condition()
        self._points: list[Point] = []
        self._closed = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Ear:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._closed = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"", self.path)
        self._thread.join()
        self._socket.close()
        self._folder.cleanup()

    @property
    def points(self) -> list[Point]:
        """All so far, in the order of their steps."""
        with self._news:
            return list(self._points)

    def wait(self, seen: int, timeout: float) -> bool:
        """Wait for more than `seen` points; false when they did not come in time."""
        with self._news:
            return self._news.wait_for(lambda: len(self._points) > seen, timeout)

    def _listen(self) -> None:
        while not self._closed:
            data = self._socket.recv(MAX_DATAGRAM)
            if not data:
                continue
            said = json.loads(data)
            step, seconds = said.get("step"), said.get("time")
            with self._news:
                if isinstance(step, int) and step > (self._points[-1].step if self._points else 0):
                    self._points.append(Point(step, float(seconds)))
                    self._news.notify_all()


def speed(points: list[Point], warm: float, seconds: float) -> float:
    """Return steps per second between the first point `warm` seconds after the first of all, and `seconds` later.

    Raises:
        ValueError: the points do not reach so far.
    """
    begin = next((p for p in points if p.seconds >= points[0].seconds + warm), None)
    if begin is None or points[-1].seconds < begin.seconds + seconds:
        raise ValueError(f"{len(points)} points do not hold {seconds} s after {warm} s")
    end = next(p for p in points if p.seconds >= begin.seconds + seconds)
    return (end.step - begin.step) / (end.seconds - begin.seconds)
