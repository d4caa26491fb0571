"""What the chief's launcher tells: the operator in reports, TensorBoard in event files, the kubelet at the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from typing import Callable, Mapping, Optional, Tuple

from trainingjob_launcher import gang
from trainingjob_launcher.contract import Assignment, Failure, Report, Telemetry, Training
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import TERMINATED
from trainingjob_launcher.reporter import Answer, Reporter, door
from trainingjob_launcher.tensorboard import EventFiles
from trainingjob_launcher.termination import write_termination_message

#: What an intake says to a chief whose place another one has taken (409).
REPLACED = "replaced"


class Reporting:
    """Makes reports of the gang's state, and hears what the operator answers. For the event loop's thread.

    `training` and `telemetry` bring what else there is to say. `feed` takes the machine's events that follow from
    answers.
    """

    def __init__(
        self,
        assignment: Assignment,
        training: Callable[[], Training],
        telemetry: Callable[[float], Optional[Telemetry]],
        feed: Callable[[gang.Event], None],
    ) -> None:
        self._assignment = assignment
        self._training = training
        self._telemetry = telemetry
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._sequence = itertools.count(1)
        #: Why the last generation ended, while the operator has not had the log lines: reports may be skipped.
        self._untold: Optional[Failure] = None
        self._question: Optional[Tuple[int, int]] = None  # the sequence of the report that asks, and the generation
        self._reporter: Optional[Reporter] = None
        if assignment.report_url:
            post = door(assignment.report_url, assignment.report_ca, assignment.report_token_file)
            self._reporter = Reporter(post, assignment.report_interval_seconds, heard=self._heard)
        self._board = EventFiles(assignment.tensorboard_dir) if assignment.tensorboard_dir else None

    @property
    def wanted(self) -> bool:
        """Whether anybody takes reports."""
        return self._reporter is not None

    def failed(self, failure: Failure) -> None:
        """Take note of why a generation has ended."""
        self._untold = failure

    def tell(self, state: gang.State) -> None:
        """Offer what is true now to the operator, and to TensorBoard. How it ends only the last word says."""
        if not isinstance(state, (gang.Waiting, gang.Running, gang.Clearing)):
            return
        report = self._report(state)
        if self._reporter is not None:
            self._reporter.offer(report)
        if self._board is not None and report.training is not None and isinstance(state, gang.Running):
            self._board.offer(report.generation, report.training)

    def ask(self, state: gang.State, generation: int) -> None:
        """Ask the operator whether this is still the chief: it says so by taking a report that was made now."""
        if self._reporter is None:
            self._loop.call_soon(self._feed, gang.Confirmed(generation))
            return
        report = self._report(state)
        if self._question is None:
            self._question = (report.sequence, generation)
        self._reporter.offer(report, urgent=True)

    def finish(self, state: gang.State, finish: gang.Finish, env: Mapping[str, str], patience: float) -> None:
        """Say the last word everywhere; what takes longer than `patience` seconds is left."""
        report = Report(
            member=gang.CHIEF,
            incarnation=self._assignment.incarnation,
            generation=gang.generation_of(state),
            sequence=next(self._sequence),
            state=finish.outcome,
            final=finish.outcome != TERMINATED,
            training=self._training(),
            failure=finish.failure,
            ledger=gang.ledger_of(state),
        )
        # First the backup: it needs nobody else.
        write_termination_message(report, env)
        if self._board is not None and report.training is not None:
            self._board.offer(report.generation, report.training)
        if self._reporter is not None and not self._reporter.finish(report, patience):
            say("the last report did not reach the operator; it is in the termination message")
        if self._board is not None:
            self._board.close(patience)

    def _report(self, state: gang.State) -> Report:
        now = time.monotonic()
        phase = gang.phase_of(state)
        running = phase == "Running"
        return Report(
            member=gang.CHIEF,
            incarnation=self._assignment.incarnation,
            generation=gang.generation_of(state),
            sequence=next(self._sequence),
            state=phase,
            training=self._training(),
            failure=self._why(gang.cause_of(state)) if running else gang.cause_of(state),
            # Of the moment: nobody shall take the last one for live when the training is over.
            telemetry=self._telemetry(now) if running else None,
            ledger=gang.ledger_of(state),
            size=gang.size_of(state) if running else None,
            unreachable=tuple(gang.unreachable(state)),
            stalled=gang.stalled_for(state, now),
        )

    def _why(self, cause: Optional[Failure]) -> Optional[Failure]:
        """Return why the last generation ended, which all reports of the next one say.

        An operator that was away may have missed all others. The log lines go until they have arrived.
        """
        if cause is None or cause is self._untold:
            return cause
        return dataclasses.replace(cause, last_log_lines=())

    def _heard(self, report: Report, answer: Answer) -> None:
        """Hear an answer, in the reporter's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is over
            self._loop.call_soon_threadsafe(self._answered, report, answer)

    def _answered(self, report: Report, answer: Answer) -> None:
        if answer.taken:
            if report.failure is self._untold:
                self._untold = None
            if self._question is not None and report.sequence >= self._question[0]:
                (_, generation), self._question = self._question, None
                self._feed(gang.Confirmed(generation))
        elif answer.status == 409 and REPLACED in answer.said:
            self._feed(gang.Replaced(answer.said))
