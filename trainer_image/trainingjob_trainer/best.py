"""`stopWhen.restoreBest`: the weights of the best observation, kept beside those in training and in checkpoints."""

from __future__ import annotations

from typing import Any

from trainingjob_trainer.job import Job


class NoBest:
    """What there is when the job does not ask for it."""

    def variables(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def keep(self, model: Any) -> None:
        """Nothing to keep."""

    def restore(self, model: Any) -> None:
        """Nothing to restore."""


class Best(NoBest):
    """A copy of the model's variables in the memory of the processor, on every member."""

    def __init__(self, job: Job) -> None:
        import tensorflow as tf

        with tf.device("CPU:0"):
            self._kept = [
                tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)
                for variable in job.model.variables
            ]

    def variables(self) -> dict[str, Any]:
        """Name → variable, for the checkpoint."""
        return {f"best/{index}": variable for index, variable in enumerate(self._kept)}

    def keep(self, model: Any) -> None:
        """Take the weights as they are now."""
        for kept, variable in zip(self._kept, model.variables, strict=True):
            kept.assign(variable.numpy())

    def restore(self, model: Any) -> None:
        """Give the model the weights that were kept."""
        for kept, variable in zip(self._kept, model.variables, strict=True):
            variable.assign(kept.numpy())
