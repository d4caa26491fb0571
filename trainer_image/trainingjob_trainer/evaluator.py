"""The evaluator: a pod beside the gang that evaluates every checkpoint, and reports `val_*` with its step.

It is no member: it reads the checkpoint folder, which it must share with the chief, and training never waits for it.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

import trainingjob
from trainingjob._checkpoint import Checkpoints
from trainingjob_trainer.cluster import Cluster
from trainingjob_trainer.document import Document
from trainingjob_trainer.errors import SpecError
from trainingjob_trainer.evaluate import Validation
from trainingjob_trainer.job import VALIDATION, Job, build_job, model_variables
from trainingjob_trainer.progress import listed

#: How often the folder is looked into.
POLL_SECONDS = 1.0


def follow(document: Document, cluster: Cluster) -> int:
    """Evaluate checkpoints until training is complete and its last one is evaluated; return the exit code.

    Raises:
        SpecError: there is nothing to evaluate, or nothing to evaluate on.
    """
    if document.checkpoint is None:
        raise SpecError("spec.evaluator", "needs spec.checkpoint, whose folder it reads")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    job = build_job(document, cluster)
    if not job.plan.validate:
        raise SpecError(VALIDATION, "is missing; the evaluator measures on it")
    evaluator = Evaluator(job, Checkpoints(document.checkpoint.path, document.checkpoint.keep, is_chief=False))
    while not ended.is_set():
        if not evaluator.evaluate_new() and evaluator.is_over():
            break
        ended.wait(POLL_SECONDS)
    return 0


class Evaluator:
    """The checkpoints of one training, each evaluated once, in their order."""

    def __init__(self, job: Job, checkpoints: Any) -> None:
        self._job, self._checkpoints = job, checkpoints
        self._validation = Validation(job)
        self._done: set[int] = set()

    def evaluate_new(self) -> bool:
        """Evaluate what is new in the folder; return whether there was anything."""
        new = [step for step in self._checkpoints.steps() if step not in self._done]
        for step in new:
            self._evaluate(step)
        return bool(new)

    def is_over(self) -> bool:
        """Whether the chief has said that training ended, and what it ended with is evaluated."""
        last = self._checkpoints.completed()
        return last is not None and (last in self._done or (bool(self._done) and max(self._done) > last))

    def _evaluate(self, step: int) -> None:
        found = self._checkpoints.read(step)
        self._done.add(step)
        if found is None:  # not whole, or removed meanwhile: a later one is there or will be
            return
        arrays, _ = found
        for name, variable in model_variables(self._job.model).items():
            if name not in arrays or tuple(arrays[name].shape) != tuple(variable.shape):
                raise SpecError(
                    "spec.checkpoint.path", f"{self._checkpoints.path} holds another model: {name} differs"
                )
            variable.assign(arrays[name])
        metrics = self._validation.measure(lambda: False)
        assert metrics is not None
        trainingjob.report(step=step, **metrics)
        print(f"step {step}: {listed(metrics)}", flush=True)
