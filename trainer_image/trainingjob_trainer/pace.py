"""Calling the compiled steps: as many in one call as fill a third of a second, the same number on every member."""

from __future__ import annotations

import time
from typing import Any

from trainingjob_trainer.batches import Batches
from trainingjob_trainer.control import SIZE, Control
from trainingjob_trainer.schedule import steps_per_call


class Caller:
    """One compiled function over one feed's batches, at a pace that the chief's clock sets for all."""

    def __init__(self, function: Any, batches: Batches, *, is_chief: bool) -> None:
        self._function, self._batches, self._is_chief = function, batches, is_chief
        self._wish = 1
        #: Steps that the next call may have, equal on all members.
        self.steps = 1

    def begin(self, first: int, last: int) -> None:
        """Make ready for the steps first … last - 1."""
        self._batches.begin(first, last)

    def call(self, step: int, steps: int, *, stop: bool) -> tuple[Any, Control]:
        """Take `steps` steps from `step` on; return the sums over all members (numpy, float64) and what they told."""
        import tensorflow as tf

        control = Control(int(stop), self._wish).vector(is_chief=self._is_chief)
        started = time.monotonic()
        with tf.device("CPU:0"):
            numbers, told = tf.constant([step, step + steps], tf.int64), tf.constant(control, tf.float64)
        vector = self._function(self._batches.iterator, numbers, told).numpy()
        self._wish = steps_per_call(steps, time.monotonic() - started)
        answer = Control.of(vector[-SIZE:])
        self.steps = max(1, answer.steps_per_call)
        return vector[:-SIZE], answer
