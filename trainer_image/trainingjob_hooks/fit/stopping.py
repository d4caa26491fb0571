"""`spec.stopWhen` in `fit`: ends training after an epoch that was good enough, or after some without a better one."""

from __future__ import annotations

import math
from typing import Any, List, Mapping, Optional

from trainingjob_hooks.log import say

#: Parts of names of which more is better; of everything else less is.
MAXIMIZED = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "similarity", "correlation",
    "sensitivity", "specificity", "top_k", "true_positives", "true_negatives",
)  # fmt: skip


class StopWhen:
    """A callback; mixed into the `Callback` class of the Keras at hand. Its attributes are saved like others'."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self.metric: str = rule["metric"]
        self.reaches: Optional[float] = rule.get("reaches")
        self.patience: Optional[int] = rule.get("patience")
        self.min_delta = float(rule.get("minDelta", 0) or 0)
        self.restore_best = bool(rule.get("restoreBest", False))
        self.is_up = _is_up(self.metric, rule.get("mode", "auto"))
        self.best: Optional[float] = None
        self.best_epoch = 0
        self.best_weights: Optional[List[Any]] = None
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Look at the metric of this epoch; all members see the same number, so all end together."""
        logs = logs or {}
        if self.metric not in logs:
            if not self.metric.startswith("val_"):  # validation may come every few epochs only
                say(f"spec.stopWhen.metric is {self.metric!r}, but fit has only {', '.join(sorted(logs)) or 'none'}")
            return
        value = float(logs[self.metric])
        if self._is_better(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best:
                self.best_weights = self.model.get_weights()  # type: ignore[attr-defined]
        else:
            self.wait += 1
        if self.reaches is not None and (value >= self.reaches if self.is_up else value <= self.reaches):
            self._stop(f"{self.metric} {value:.6g} reached {self.reaches:g}")
        elif self.patience is not None and self.wait >= self.patience:
            best = (
                "never was a number" if self.best is None else f"best {self.best:.6g} in epoch {self.best_epoch + 1}"
            )
            self._stop(f"{self.metric} did not improve {self.wait} times in a row ({best})")

    def on_train_end(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Take the best weights, if the job asks for it."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)  # type: ignore[attr-defined]

    def _stop(self, reason: str) -> None:
        self.model.stop_training = True  # type: ignore[attr-defined]
        say(f"spec.stopWhen ends training: {reason}")

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value > self.best + self.min_delta if self.is_up else value < self.best - self.min_delta


def _is_up(metric: str, mode: str) -> bool:
    if mode != "auto":
        return mode == "max"
    name = metric[4:] if metric.startswith("val_") else metric
    return not name.endswith("loss") and any(part in name.lower() for part in MAXIMIZED)
