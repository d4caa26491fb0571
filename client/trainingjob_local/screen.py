"""What a person sees while it runs: the chief's log, and the job's line as `kubectl get tj` has it.

On a terminal the line is redrawn below the log; otherwise it is written anew when there is news, as `kubectl get -w`
does. Columns and words are those of the resource.
"""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import IO, Any

from trainingjob_operator.core.observe import parse_time
from trainingjob_operator.intake.view import short_duration

#: Seconds between two lines of a job in the same phase, where lines are not redrawn.
LINE_SECONDS = 5.0
#: So that columns stay where they are when the values come.
_WIDTHS = {"PHASE": 10, "MEMBERS": 7, "PROGRESS": 8, "EPOCH": 7, "LOSS": 7, "METRIC": 18, "SPEED": 10, "ETA": 5}
_SHOWN = ("progress", "epoch", "loss", "metric", "speed", "eta")


def columns(body: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return the columns of a job, by their headings."""
    status = body.get("status") or {}
    display = status.get("display") or {}
    restarts = (status.get("restarts") or {}).get("total")
    created = parse_time(body["metadata"].get("creationTimestamp")) or now
    return {
        "NAME": body["metadata"]["name"],
        "PHASE": status.get("phase", ""),
        "MEMBERS": display.get("members", ""),
        **{name.upper(): display.get(name, "") for name in _SHOWN},
        "RESTARTS": "" if restarts is None else str(restarts),
        "AGE": short_duration(max(0.0, (now - created).total_seconds())),
    }


def table(rows: list[dict[str, str]], widths: dict[str, int]) -> list[str]:
    """Return heading and rows; `widths` are kept for the next call, so that columns stay where they are."""
    for row in rows:
        for name, value in row.items():
            widths[name] = max(widths.get(name, _WIDTHS.get(name, 0)), len(name), len(value))
    lines = [{name: name for name in widths}, *rows]
    return ["   ".join(row.get(name, "").ljust(width) for name, width in widths.items()).rstrip() for row in lines]


class Screen:
    """Writes log lines to `log`, and the job's line and what it is told to `view`. Safe from several threads."""

    def __init__(
        self,
        log: IO[str] = sys.stdout,
        view: IO[str] = sys.stderr,
        *,
        redraw: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._log = log
        self._view = view
        self._redraw = view.isatty() if redraw is None else redraw
        self._clock = clock
        self._width = width
        self._lock = threading.Lock()
        self._widths: dict[str, int] = {}
        self._block: list[str] = []
        self._drawn = 0
        self._told: tuple[str, str] | None = None
        self._headed: dict[str, int] = {}
        self._next_line = 0.0

    def line(self, data: bytes) -> None:
        """Write a line of the chief's log."""
        text = data.decode("utf-8", "replace").rstrip("\n").rpartition("\r")[2]
        self._above(self._log, text)

    def say(self, text: str) -> None:
        """Write a line of our own."""
        self._above(self._view, text)

    def show(self, body: Mapping[str, Any], now: datetime) -> None:
        """Show the job as it is."""
        row = columns(body, now)
        with self._lock:
            if self._redraw:
                block = [line[: max(1, self._width() - 1)] for line in table([row], self._widths)]
                if block != self._block:
                    self._erase()
                    self._block = block
                    self._draw()
            else:
                self._write_row(row)

    def close(self) -> None:
        """Leave the last state of the line on the terminal."""
        with self._lock:
            self._block, self._drawn = [], 0
            self._view.flush()

    def _above(self, stream: IO[str], text: str) -> None:
        with self._lock:
            self._erase()
            with contextlib.suppress(OSError):  # who read it has enough; the training goes on
                stream.write(text + "\n")
                stream.flush()
            self._draw()

    def _write_row(self, row: dict[str, str]) -> None:
        headline = (row["PHASE"], row["MEMBERS"])
        news = any(row[name.upper()] for name in _SHOWN)
        if headline == self._told and (not news or self._clock() < self._next_line):
            return
        lines = table([row], self._widths)
        # a heading again when columns have become wider
        self._view.write("\n".join(lines if self._headed != self._widths else lines[1:]) + "\n")
        self._view.flush()
        self._headed = dict(self._widths)
        self._told, self._next_line = headline, self._clock() + LINE_SECONDS

    def _erase(self) -> None:
        if self._drawn:
            self._view.write(f"\x1b[{self._drawn}A\r\x1b[J")
            self._view.flush()
            self._drawn = 0

    def _draw(self) -> None:
        if self._block:
            self._view.write("".join(f"{line}\n" for line in self._block))
            self._view.flush()
            self._drawn = len(self._block)
