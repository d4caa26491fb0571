"""Validation: the whole validation set, each example once, shared by all members."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import trainingjob
from trainingjob_trainer.errors import SpecError, one_line
from trainingjob_trainer.job import VALIDATION, Job, batch_specs, make_feed, validation_dataset


class Validation:
    """The validation set of a job. It is opened beside the training, so that the first step does not wait for it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._feed: Any = None
        self._caller: Any = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to open the validation set, in a thread."""
        if self._thread is None and self._job.plan.validate:
            self._thread = threading.Thread(target=self._open, name="open-validation", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Raise what opening it has found wrong so far."""
        if self._error is not None:
            raise self._error

    def measure(self, stop: Any) -> dict[str, float] | None:
        """Evaluate the model; all members call it at the same step.

        Args:
            stop: returns whether this member was asked to end.

        Returns:
            `val_loss` and `val_<metric>`; None when a member was asked to end meanwhile.
        """
        with trainingjob.busy("evaluation"):
            return self._measure(stop)

    def _measure(self, stop: Any) -> dict[str, float] | None:
        self.open()
        assert self._thread is not None
        self._thread.join()
        self.check()
        step, last = 0, self._feed.steps_per_epoch
        self._caller.begin(step, last)
        sums: Any = 0.0
        while step < last:
            steps = min(last - step, self._caller.steps)
            part, told = self._caller.call(step, steps, stop=stop())
            sums, step = sums + part, step + steps
            if told.stop and step < last:
                return None
        return {f"val_{name}": value for name, value in results(self._job, sums).items()}

    def _open(self) -> None:
        try:
            job, training = self._job, self._job.document.training
            source = job.validation_source
            if source is None:
                source = _open_dataset(validation_dataset(training.validation), training.seed, job.classes)
            feed = make_feed(source, training, job.cluster, training=False)
            self._refuse_other_shapes(feed)
            self._feed, self._caller = feed, job.caller("evaluate", feed)
        except BaseException as error:  # raised in the main thread
            self._error = error

    def _refuse_other_shapes(self, feed: Any) -> None:
        ours, theirs = batch_specs(self._job.feed), batch_specs(feed)
        if ours != theirs:
            shown = " and ".join(f"{x} and {y}" for x, y in (theirs, ours))
            raise SpecError(f"{VALIDATION}.dataset", f"has other shapes than the training data: {one_line(shown)}")


def results(job: Job, sums: Any) -> dict[str, float]:
    """Return loss and metrics of summed numbers: [metric sums …, loss times examples, examples]."""
    loss, examples = float(sums[-2]), float(sums[-1])
    return {"loss": loss / examples if examples else float("nan"), **job.metrics.results(sums[:-2])}


def _open_dataset(dataset: Mapping[str, Any] | None, seed: int, classes: tuple[str, ...]) -> Any:
    from trainingjob_trainer.data import open_source

    assert dataset is not None
    return open_source(dataset, seed=seed, field=f"{VALIDATION}.dataset", classes=classes)
