"""`watch` on a terminal: drawn on the alternate screen, so that what was there before comes back at the end."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live
from rich.text import Text

from trainingjob_client.cluster.jobs import Json
from trainingjob_client.cluster.snapshot import surroundings
from trainingjob_client.cluster.watching import Change, Following, changes
from trainingjob_client.draw.rows import rows
from trainingjob_client.draw.show import Paper, beneath, live, show
from trainingjob_client.draw.terminal import Terminal
from trainingjob_client.errors import Exit
from trainingjob_client.live.interrupts import leaving_on_sigterm
from trainingjob_client.live.stream import outcome, settled
from trainingjob_client.view.events import EventView
from trainingjob_client.view.job import Member, read_job

#: Plots share what the rest leaves of the screen; a plot lower than this is not worth its lines.
_MIN_PLOT = 4


class Screen:
    """What is seen now. Drawn by rich's own thread each second, so that ages go on and a resize is followed."""

    def __init__(self, of: Following, terminal: Terminal, metrics: tuple[str, ...]) -> None:
        self._of = of
        self._terminal = terminal
        self._metrics = metrics
        self._lock = threading.Lock()
        self._bodies: dict[str, Json] = {}
        self._members: list[Member] = []
        self._events: list[EventView] = []
        self._trouble = ""

    def take(self, change: Change) -> None:
        """Take up a change."""
        around: tuple[list[Member], list[EventView]] | None = None
        if change.job is not None and self._of.name and not change.gone:
            around = surroundings(self._of.jobs, change.job)
        with self._lock:
            self._trouble = change.trouble
            if change.job is not None:
                uid = change.job["metadata"]["uid"]
                if change.gone:
                    self._bodies.pop(uid, None)
                else:
                    self._bodies[uid] = change.job
            if around is not None:
                self._members, self._events = around

    def draw(self) -> Group:
        """Return what fits on the screen."""
        with self._lock:
            lines = [*self._trouble_line(), *self._lines(self._terminal.height - 1)]
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        return Group(*lines[: self._terminal.height])

    def last(self) -> list[Text]:
        """Return all lines, for the normal screen at the end."""
        with self._lock:
            return self._lines(None)

    def _trouble_line(self) -> list[Text]:
        return [Text(f"{self._trouble} (trying again)", "yellow")] if self._trouble else []

    def _lines(self, height: int | None) -> list[Text]:
        now = datetime.now(UTC)
        jobs = sorted((read_job(body) for body in self._bodies.values()), key=lambda job: (job.namespace, job.name))
        if self._of.name is None:
            if not jobs:
                return [Text("No TrainingJobs yet.")]
            return [Text(line) for line in rows(jobs, now, namespaces=self._of.everywhere)]
        if not jobs:
            return [Text(f"{self._of.name} is gone.")]

        view = jobs[-1]
        if height is None:
            paper = Paper(self._terminal.width, self._terminal.ascii_only, self._metrics)
            return show(view, self._members, self._events, now, paper)

        def drawn(plots: int, plot_height: int) -> list[Text]:
            paper = Paper(self._terminal.width, self._terminal.ascii_only, self._metrics, plot_height, plots)
            return live(view, now, paper)

        return [*fit(drawn, height), *beneath(view, self._members, self._events, now)]


def fit(drawn: Callable[[int, int], list[Text]], height: int) -> list[Text]:
    """Return the drawing with the most and highest plots that `height` lines have room for."""
    for plots, plot_height in ((4, 10), (4, 7), (3, 7), (2, 7), (2, _MIN_PLOT), (1, _MIN_PLOT)):
        lines = drawn(plots, plot_height)
        if len(lines) <= height:
            return lines
    return drawn(1, _MIN_PLOT)


def watch_live(of: Following, terminal: Terminal, metrics: tuple[str, ...]) -> int:
    """Redraw until the job's end or Ctrl-C; return the exit code. The last state stays on the normal screen."""
    screen = Screen(of, terminal, metrics)
    code: int = Exit.DONE
    try:
        with (
            leaving_on_sigterm(),
            Live(get_renderable=screen.draw, console=terminal.console, screen=True, refresh_per_second=1) as view,
        ):
            for change in changes(of):
                screen.take(change)
                view.refresh()
                if change.job is None:
                    continue
                job = read_job(change.job)
                ended = outcome(of, finished=job.finished, succeeded=job.succeeded, gone=change.gone)
                if ended is not None:
                    code = ended
                    if not change.gone:
                        screen.take(Change(settled(of, change.job)))
                    break
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    terminal.write(screen.last())
    return code
