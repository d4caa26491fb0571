"""Reports from `fit`: step, epoch and metrics; while batches run as often as `trainingjob.report` sends them.

Logs of a batch are only looked at when they are reported: turning a tensor into a number waits for the device.
Keras 3 turns them into numbers itself, in a thread of its own unless a callback needs them in step; this one does
not (`async_safe`). In tf-keras they stay tensors (`_supports_tf_logs`).
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Mapping, Optional

import trainingjob
from trainingjob._progress import report_passing, spacing


class Report:
    """A callback; mixed into the `Callback` class of the Keras at hand."""

    async_safe = True
    needs_batch_logs = False  # what is there is good enough: see keras3/logs.py

    def __init__(
        self,
        fit: Any,
        report: Callable[..., None] = trainingjob.report,
        passing: Callable[..., None] = report_passing,
    ) -> None:
        """`fit` is the running `wrap.Call`; `passing` gets what an epoch's means are on their way."""
        super().__init__()
        self._supports_tf_logs = True
        self._fit = fit
        self._report = report
        self._passing = passing
        self._clock = time.monotonic
        self._began = self._clock()
        self._next = 0.0
        self._epoch = 0
        self._steps: Optional[int] = None  # of an epoch, where Keras learns it from the first one's end

    def on_train_begin(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Say at once how long it will be; after a resume the step is not 0."""
        self._report(step=self._fit.offset + self._fit.step, batch_size=self._fit.batch_size, **self._totals())

    def on_epoch_begin(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Note the epoch; the first batches are reported at once."""
        self._epoch = epoch
        self._done_before = self._fit.before

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Report, if the last time is long enough ago."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + spacing(now - self._began)
        step = self._fit.offset + self._fit.before + self._fit.framework.batches_done(self, batch)
        metrics = self._fit.framework.batch_metrics(self.model, logs or {})  # type: ignore[attr-defined]
        self._passing(step=step, epoch=self._epoch + 1, **self._totals(), **metrics)

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Report what the whole epoch gave, with validation."""
        self._steps = self._fit.before - self._done_before
        step = self._fit.offset + self._fit.step
        self._report(step=step, epoch=epoch + 1, **self._totals(), **numbers(logs or {}))

    def _totals(self) -> Dict[str, Any]:
        params: Mapping[str, Any] = getattr(self, "params", None) or {}
        epochs, steps = params.get("epochs"), params.get("steps") or self._steps
        total = self._fit.offset + epochs * steps if epochs and steps else None
        return {"epochs": epochs, "total_steps": total}


class TestReport:
    """A callback for `evaluate` outside of `fit`: its results are reported as test_loss, test_accuracy, …"""

    __test__ = False  # not a test of pytest's
    async_safe = True
    needs_batch_logs = False

    def __init__(self, report: Callable[..., None] = trainingjob.report) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._report = report

    def on_test_end(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Report the results."""
        self._report(**{f"test_{name}": value for name, value in numbers(logs or {}).items()})


def numbers(logs: Mapping[str, Any], divisor: int = 1) -> Dict[str, float]:
    """Return the logs that are single numbers, divided by `divisor`; what is none is left out."""
    found = {}
    for name, value in logs.items():
        try:
            found[str(name)] = float(value) / divisor
        except (TypeError, ValueError):
            continue
    return {name: value for name, value in found.items() if name not in RESERVED}


#: Parameters of `trainingjob.report` that are not metrics.
RESERVED = ("step", "total_steps", "epoch", "epochs", "examples_per_second", "batch_size")
