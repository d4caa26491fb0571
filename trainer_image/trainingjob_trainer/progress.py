"""What the world sees of a training: reports to the launcher, and the chief's lines in the log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import trainingjob
from trainingjob_trainer.schedule import Plan

#: A model of at most so many numbers shows them at the end.
SMALL_MODEL = 10


class Progress:
    """Only the chief prints; reports are the chief's as well, the launcher of any other member drops them."""

    def __init__(self, plan: Plan, global_batch: int, *, is_chief: bool, members: int) -> None:
        self._plan, self._batch = plan, global_batch
        self._is_chief, self._members = is_chief, members
        self._started = self._epoch_started = time.monotonic()
        self._epoch_step = 0

    def start(self, step: int, model: Any, training_examples: int) -> None:
        """Say what begins, or goes on from a checkpoint."""
        self._epoch_step = step
        self._started = self._epoch_started = time.monotonic()
        steps = f"{self._plan.total_steps} steps, {self._plan.steps_per_epoch} an epoch"
        members = "1 member" if self._members == 1 else f"{self._members} members"
        said = f"{training_examples} examples, {steps}; {model.count_params():,} weights; {members}"
        self._print(f"training: {said}" if step == 0 else f"training goes on after step {step}: {said}")
        trainingjob.report(**self._counts(step))

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report where training is."""
        if self._is_chief:
            trainingjob.report(**self._counts(step), **metrics)

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print the line of an epoch that is over."""
        now = time.monotonic()
        seconds, steps = now - self._epoch_started, step - self._epoch_step
        self._epoch_started, self._epoch_step = now, step
        speed = f"{seconds:.1f} s, {rate(steps * self._batch / max(seconds, 1e-9))} examples/s"
        self._print(f"epoch {self._plan.epoch_of(step)}/{self._plan.epochs}: {listed(metrics)} ({speed})")

    def validated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print what a validation between the epochs' ends has measured."""
        self._print(f"step {step}/{self._plan.total_steps}: {listed(metrics)}")

    def say(self, text: str) -> None:
        """Print a line of another kind."""
        self._print(text)

    def done(self, step: int, metrics: Mapping[str, float], model: Any) -> None:
        """Print the last lines: the weights of a small model, and the summary."""
        if model.count_params() <= SMALL_MODEL:
            self._print(weights_line(model))
        seconds = time.monotonic() - self._started
        members = "1 member" if self._members == 1 else f"{self._members} members"
        self._print(f"done: {step} steps, {listed(metrics)} ({seconds:.1f} s, {members})")

    def _counts(self, step: int) -> dict[str, int]:
        return {
            "step": step,
            "total_steps": self._plan.total_steps,
            "epoch": self._plan.epoch_of(step),
            "epochs": self._plan.epochs,
            "batch_size": self._batch,
        }

    def _print(self, text: str) -> None:
        if self._is_chief:
            print(text, flush=True)


def listed(metrics: Mapping[str, float]) -> str:
    """Return `loss 0.0812, accuracy 0.9757`."""
    return ", ".join(f"{name} {number(value)}" for name, value in metrics.items())


def number(value: float) -> str:
    """Four digits after the point; small and large numbers by their four first digits."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}"
    return f"{value:.4f}" if 1e-2 <= abs(value) < 1e4 else f"{value:.4g}"


def rate(value: float) -> str:
    """Return 6.7k for 6712."""
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


def weights_line(model: Any) -> str:
    """Return the weights of a small model; of a line y = slope·x + intercept under these names."""
    import numpy as np

    values = [np.asarray(value).ravel() for value in model.get_weights()]
    if [value.size for value in values] == [1, 1]:
        return f"slope {float(values[0][0]):.4f}, intercept {float(values[1][0]):.4f}"
    shown = (
        f"{v.path} {' '.join(f'{item:.4f}' for item in value)}"
        for v, value in zip(model.weights, values, strict=True)
    )
    return "weights: " + "; ".join(shown)
