"""The line of `kubectl get tj`, redrawn on a terminal and told as news elsewhere."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_local.screen import LINE_SECONDS, Screen

START = datetime(2026, 1, 1, tzinfo=UTC)


def body(phase: str, **display: str) -> dict[str, Any]:
    metadata = {"name": "toy", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "status": {"phase": phase, "display": {"members": "1/1", **display}}}


class Desk:
    def __init__(self, *, redraw: bool, width: int = 200) -> None:
        self.out, self.err, self.now = io.StringIO(), io.StringIO(), 0.0
        self.screen = Screen(self.out, self.err, redraw=redraw, clock=lambda: self.now, width=lambda: width)

    def show(self, seconds: float, phase: str, **display: str) -> None:
        self.now = seconds
        self.screen.show(body(phase, **display), START + timedelta(seconds=seconds))


def test_lines_come_with_news_and_not_more_often() -> None:
    desk = Desk(redraw=False)
    desk.show(0.0, "Starting")
    desk.show(1.0, "Starting")
    desk.show(2.0, "Running", progress="1%")
    desk.show(2.0 + LINE_SECONDS / 2, "Running", progress="30%")
    desk.show(2.0 + LINE_SECONDS, "Running", progress="60%")
    desk.show(2.1 + LINE_SECONDS, "Succeeded", progress="100%")
    rows = [line.split() for line in desk.err.getvalue().splitlines() if line.startswith("toy")]
    assert [row[1] for row in rows] == ["Starting", "Running", "Running", "Succeeded"]
    assert [row[3] for row in rows[1:]] == ["1%", "60%", "100%"]
    assert desk.err.getvalue().splitlines()[0].split() == [
        "NAME", "PHASE", "MEMBERS", "PROGRESS", "EPOCH", "LOSS", "METRIC", "SPEED", "ETA", "RESTARTS", "AGE",
    ]  # fmt: skip
    assert "\x1b" not in desk.err.getvalue()


def test_on_a_terminal_the_block_stays_below_the_log() -> None:
    desk = Desk(redraw=True)
    desk.show(0.0, "Running", loss="2")
    desk.screen.line(b"a line\n")
    text = desk.err.getvalue()
    assert desk.out.getvalue() == "a line\n"
    assert text.count("\x1b[2A\r\x1b[J") == 1, "erased once"
    assert text.count("NAME") == 2, "and drawn again"
    desk.screen.say("word")
    assert desk.err.getvalue().rindex("word") < desk.err.getvalue().rindex("NAME")
    before = desk.err.getvalue()
    desk.show(0.0, "Running", loss="2")
    assert desk.err.getvalue() == before, "nothing new, nothing drawn"


def test_a_narrow_terminal_never_wraps() -> None:
    desk = Desk(redraw=True, width=20)
    desk.show(0.0, "Running", metric="val_accuracy=0.99")
    assert max(map(len, desk.err.getvalue().splitlines())) == 19


def test_of_a_progress_bar_its_last_state_is_shown() -> None:
    desk = Desk(redraw=False)
    desk.screen.line(b"1/10\r5/10\r10/10 done\n")
    desk.screen.line("µ \xff".encode("latin-1"))
    assert desk.out.getvalue() == "10/10 done\n� �\n"


def test_who_stops_reading_does_not_stop_the_training() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    Screen(Gone(), io.StringIO(), redraw=False).line(b"x\n")
