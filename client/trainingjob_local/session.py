"""One run from its first look to its exit code: the reconciler's loop, with processes to act on.

It looks when something has happened (a process ended, a report came, a signal) or when the plan asks for it. Whatever
happens, no process outlives it: `guard` sees to that even when this one is killed.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType

from trainingjob_local.member import Site
from trainingjob_local.mounts import Mounts
from trainingjob_local.pods import LocalPods
from trainingjob_local.screen import Screen
from trainingjob_local.state import JobState
from trainingjob_operator.api import names
from trainingjob_operator.api.contract import ContractError, Report
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.plan import Plan, decide
from trainingjob_operator.core.platform import Platform

TICK = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long members may take to stop when they are asked to: the trainer's grace and its launcher's last words.
STOP_SECONDS = 40.0
#: How long members that were told of the end may take to leave.
FAREWELL_SECONDS = 3.0


class Session:
    """Brings one job to its end. `state` then has its last status."""

    def __init__(
        self,
        state: JobState,
        platform: Platform,
        pods: LocalPods,
        site: Site,
        screen: Screen,
        started: Callable[[Mounts], None] = lambda _mounts: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.state = state
        self._platform = platform
        self._pods = pods
        self._reports = site.reports
        self._screen = screen
        self._started = started
        self._clock = clock
        self._written_at: datetime | None = None
        self._begun = False
        self._look_at: datetime | None = None
        self._stopping: float | None = None
        self._over_since: float | None = None
        self._signals: list[int] = []

    @property
    def stopped_by(self) -> int | None:
        """The signal that ended the run, None for none."""
        return self._signals[0] if self._signals else None

    def run(self) -> None:
        """Run the job to its end.

        Raises:
            LocalError: it can't be started here. Nothing runs any more then.
        """
        with self._signals_taken():
            try:
                self._loop()
            finally:
                self._pods.close()

    def _loop(self) -> None:
        handled = 0
        self._look()
        while not self._over():
            news = self._pods.poll() | self._take_reports()
            if len(self._signals) > handled:
                handled = len(self._signals)
                self._stop(handled)
            self._press_on()
            if news or (self._look_at is not None and self._clock() >= self._look_at):
                self._look()
            self._screen.show(self.state.body, self._clock())
            if not self._over():
                time.sleep(TICK)
        self._screen.show(self.state.body, self._clock())

    def _over(self) -> bool:
        phase = self.state.fact.phase
        if phase is Phase.INVALID:
            return True
        if self._pods.running:
            return False
        return (phase is not None and phase.finished) or self._stopping is not None

    def _look(self) -> None:
        """Decide and act, until there is nothing more to do now."""
        while True:
            plan = self._decide()
            if plan.creates and self._stopping is None:
                bodies = [create.body for create in plan.creates if create.body["kind"] == "Pod"]
                self._pods.create(bodies)
                if not self._begun:  # who restarts is told nothing new
                    self._begun = True
                    self._started(self._pods.mounts)
                plan = self._decide()
            for pod in plan.deletes:
                self._pods.delete(pod.name)
            if plan.final_report is not None:
                self.state.report(plan.final_report, self._clock().timestamp())
            if plan.status is not None:
                self.state.decided(plan.status)
                self._written_at = self._clock()
            for event in plan.events:
                if event.warning and event.reason not in ("Failed", "InvalidSpec"):
                    self._screen.say(f"{event.reason}: {event.note}")
            self._look_at = plan.look_again
            # what was written is looked at again, as the operator's watch would have it
            due = plan.look_again is not None and plan.look_again <= self._clock()
            if plan.status is None and not due:
                return

    def _decide(self) -> Plan:
        return decide(self.state.fact, self._pods.facts, (), self._platform, self._clock(), self._written_at)

    def _take_reports(self) -> bool:
        """Read the chief's reports in their order, and look at each; return whether there were any.

        All of them: that a generation failed may be said a moment before the next one runs.
        """
        news = False
        for file in sorted(path for path in self._reports.iterdir() if not path.suffix):
            with contextlib.suppress(ContractError):
                if self.state.report(Report.decode(file.read_bytes()), self._clock().timestamp()):
                    self._look()
                    news = True
            file.unlink()
        return news

    # --- Stopping ---

    def _stop(self, times: int) -> None:
        if times > 1:
            self._screen.say("killed")
            self._pods.kill()
            return
        self._stopping = time.monotonic()
        self._screen.say("stopping: the training saves its state, if it has checkpoints (again: kill it)")

    def _press_on(self) -> None:
        """Ask whoever is next to end, while the run is stopping, or when nobody else will."""
        if self._stopping is None:
            if self._left_over():
                self._pods.terminate()
            return
        self._pods.terminate()
        if time.monotonic() > self._stopping + STOP_SECONDS:
            self._pods.kill()

    def _left_over(self) -> bool:
        """Whether the job is over and nobody will tell those who are left: they would look for the next chief.

        A chief that ends with a word has told them, and they need a moment. A cluster waits longer (`core.cleanup`).
        """
        phase = self.state.fact.phase
        chiefs = [pod for pod in self._pods.facts if pod.role == names.ROLE_CHIEF]
        if phase is None or not phase.finished or not all(pod.finished for pod in chiefs):
            return False
        self._over_since = self._over_since or time.monotonic()
        told = any(pod.report is not None and pod.report.final for pod in chiefs)
        return not told or time.monotonic() > self._over_since + FAREWELL_SECONDS

    @contextlib.contextmanager
    def _signals_taken(self) -> Iterator[None]:
        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)

        before = {number: signal.signal(number, note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
