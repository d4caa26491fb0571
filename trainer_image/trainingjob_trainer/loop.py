"""The training loop: calls of k steps between the points where something is due, the same on every member.

What members know of each other comes from the summed vector of each call; so they stop, validate and end alike. Only
the chief writes.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import trainingjob
from trainingjob._progress import note_resumed
from trainingjob_trainer.best import Best, NoBest
from trainingjob_trainer.evaluate import Validation, results
from trainingjob_trainer.export import export
from trainingjob_trainer.job import Job
from trainingjob_trainer.progress import Progress
from trainingjob_trainer.randomness import tell_members_apart
from trainingjob_trainer.saving import Saving
from trainingjob_trainer.stopping import Stopping

DONE, PREEMPTED = 0, 77


class Loop:
    """One run of the trainer, from the checkpoint that there is to the end or to a SIGTERM."""

    def __init__(self, job: Job) -> None:
        training, member = job.document.training, job.cluster.member
        self._job, self._member, self._plan = job, member, job.plan
        self._progress = Progress(job.plan, training.global_batch, is_chief=member.is_chief, members=member.members)
        self._validation = Validation(job)
        self._stopping = Stopping(job.document.stop_when, job.metrics.directions)
        self._caller = job.caller("train", job.feed)
        self._saving = Saving(job.document.checkpoint, is_chief=member.is_chief)
        self._stop_asked = False
        self._best = Best(job) if job.document.stop_when and job.document.stop_when.restore_best else NoBest()
        self._step = self._settled = 0
        self._sums: Any = job.zero_sums()
        self._last: dict[str, float] = {}

    def run(self) -> int:
        """Train; return the exit code: 0 at training's end, 77 when a member was told to stop and all is saved."""
        signal.signal(signal.SIGTERM, self._on_sigterm)  # TensorFlow takes the signal when a strategy is made
        self._refuse_unknown_stop_metric()
        self._resume()
        self._progress.start(self._step, self._job.model, self._job.examples)
        if self._settled < self._step and not self._settle():
            return self._preempted()
        if not self._is_over():
            self._saving.begin()
            self._caller.begin(self._step, self._plan.total_steps)
        first_step: Any = trainingjob.busy("starting")  # it is traced and compiled
        while not self._is_over():
            steps = self._plan.next_call(self._step, self._caller.steps)
            with first_step:
                sums, told = self._caller.call(self._step, steps, stop=self._stop_asked)
            first_step = contextlib.nullcontext()
            self._step, self._sums = self._step + steps, self._sums + sums
            self._validation.open()
            self._validation.check()
            if told.stop or not self._settle():
                return self._preempted()
            self._saving.write_if_due(self._step, self._plan.checkpoint_due(self._step), self._state)
        return self._finish()

    def _is_over(self) -> bool:
        return self._step >= self._plan.total_steps or self._stopping.reason is not None

    def _settle(self) -> bool:
        """Do what is due after this step: report, validate, judge, end the epoch.

        Returns False when a member was asked to end during the validation; a resumed training then does it again.
        """
        step, ends = self._step, self._plan.epoch_ends(self._step)
        validation = self._plan.validation_due(step)
        measured = results(self._job, self._sums) if ends or self._member.is_chief else {}
        self._progress.report(step, measured)
        if validation:
            found = self._validation.measure(lambda: self._stop_asked)
            if found is None:
                return False
            measured = {**measured, **found} if ends else found
            self._progress.report(step, found)
        if ends:
            self._progress.epoch(step, measured)
            self._sums = self._job.zero_sums()
        elif validation:
            self._progress.validated(step, measured)
        if ends or validation:
            self._last.update(measured)
            if self._stopping.observe(step, measured):
                self._best.keep(self._job.model)
        self._settled = step
        return True

    def _resume(self) -> None:
        position = self._saving.restore(
            {**self._job.variables(), **self._best.variables()}, self._job.cluster.strategy
        )
        tell_members_apart(self._job.model, self._job.cluster.first_replica)
        if position is None:
            return
        self._step, self._settled = int(position["step"]), int(position["settled"])
        note_resumed(self._step)
        self._last = dict(position["last"])
        self._stopping.restore(position["stopping"])
        if len(position["sums"]) == len(
            self._sums
        ):  # metrics that were changed meanwhile begin with this epoch's rest
            self._sums = self._sums + position["sums"]

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Variables and position: all that `_resume` needs."""
        position = {
            "step": self._step,
            "settled": self._settled,
            "sums": [float(value) for value in self._sums],
            "stopping": self._stopping.state(),
            "last": self._last,
        }
        return {**self._job.variables(), **self._best.variables()}, position

    def _preempted(self) -> int:
        self._saving.write(self._step, self._state)
        self._saving.wait()
        self._progress.say(f"stopped by SIGTERM after step {self._step}; {self._saving.said}")
        self._job.steps.leave_together()
        return PREEMPTED

    def _finish(self) -> int:
        with trainingjob.busy("checkpoint"):  # also for those who wait for the chief to write
            return self._write_results()

    def _write_results(self) -> int:
        self._saving.write(self._step, self._state)
        if self._stopping.reason is not None:
            self._progress.say(f"stopWhen: {self._stopping.reason}")
        optimizer = getattr(self._job.optimizer, "inner_optimizer", self._job.optimizer)
        optimizer.finalize_variable_values(self._job.model.trainable_variables)
        if self._stopping.best_step is not None:
            self._best.restore(self._job.model)
        if self._member.is_chief:
            if self._job.document.output is not None:
                self._progress.say(f"model: {export(self._job.model, self._job.document.output)}")
            self._saving.complete(self._step)
        self._progress.done(self._step, self._last, self._job.model)
        self._job.steps.wait_for_all()
        return DONE

    def _refuse_unknown_stop_metric(self) -> None:
        names = list(results(self._job, self._job.zero_sums()))
        if self._plan.validate:
            names += [f"val_{name}" for name in names]
        self._stopping.check_known(names)

    def _on_sigterm(self, *_: Any) -> None:
        self._stop_asked = True
