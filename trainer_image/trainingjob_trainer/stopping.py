"""`spec.stopWhen` as a pure rule: fed with a metric's observations in turn, it says when training is over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainingjob_trainer.document import StopWhen
from trainingjob_trainer.errors import SpecError, nearest

#: Parts of names of which more is better; of everything else less is.
MAXIMIZED = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "similarity", "correlation",
    "sensitivity", "specificity", "top_k", "true_positives", "true_negatives",
)  # fmt: skip


class Stopping:
    """Holds the best value so far. Every member feeds it the same numbers, so all come to the same end."""

    def __init__(self, rule: StopWhen | None, directions: Mapping[str, str] | None = None) -> None:
        """Take the rule, and `directions`: metric name → `up` or `down`, where the metric itself knows."""
        self._rule = rule
        self._up = rule is not None and _is_up(rule, directions or {})
        self.best: float | None = None
        self.best_step: int | None = None
        self._worse = 0
        self.reason: str | None = None

    def observe(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Take what was measured after `step`; return whether it is the best so far.

        Metrics without the rule's one are no observation: a val_ metric is only there after a validation.
        """
        rule = self._rule
        if rule is None or rule.metric not in metrics or self.reason is not None:
            return False
        value = metrics[rule.metric]
        better = self._is_better(value)
        if better:
            self.best, self.best_step, self._worse = value, step, 0
        else:
            self._worse += 1
        if rule.reaches is not None and (value >= rule.reaches if self._up else value <= rule.reaches):
            self.reason = f"{rule.metric} {value:.6g} reached {rule.reaches:g}"
        elif rule.patience is not None and self._worse >= rule.patience:
            best = "never was a number" if self.best is None else f"best {self.best:.6g} after step {self.best_step}"
            self.reason = f"{rule.metric} did not improve {self._worse} times in a row ({best})"
        return better

    def check_known(self, names: Any) -> None:
        """Raise SpecError if the rule waits for a metric that will never be there."""
        if self._rule is not None and self._rule.metric not in names:
            listed = ", ".join(sorted(names))
            hint = nearest(self._rule.metric, names)
            raise SpecError("spec.stopWhen.metric", f"is {self._rule.metric!r}; this job has {listed}.{hint}")

    def state(self) -> dict[str, Any]:
        """What a resumed training needs, as plain JSON."""
        return {"best": self.best, "bestStep": self.best_step, "worse": self._worse, "reason": self.reason}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self.best, self.best_step = state.get("best"), state.get("bestStep")
        self._worse, self.reason = int(state.get("worse", 0)), state.get("reason")

    def _is_better(self, value: float) -> bool:
        assert self._rule is not None
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value > self.best + self._rule.min_delta if self._up else value < self.best - self._rule.min_delta


def _is_up(rule: StopWhen, directions: Mapping[str, str]) -> bool:
    if rule.mode != "auto":
        return rule.mode == "max"
    name = rule.metric.removeprefix("val_")
    if name in directions:
        return directions[name] == "up"
    return name != "loss" and any(part in name.lower() for part in MAXIMIZED)
