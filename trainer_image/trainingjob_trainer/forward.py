"""One pass through the model that changes nothing: what its layers would assign comes back as values.

BatchNormalization's moving averages and the seeds of random layers are variables that layers assign while they are
called, each with a collective of its own under a strategy. Here they are collected, so that the loop can put them
into the one collective of the step.
"""

from __future__ import annotations

from typing import Any


class Forward:
    """The model's forward pass; `states` are the variables that a training pass may change."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.states = [variable for variable in model.non_trainable_variables if _is_number(variable)]

    def initial(self) -> list[Any]:
        """The states' present values, as tensors of this replica."""
        return [variable.value for variable in self.states]

    def __call__(self, x: Any, states: list[Any], *, training: bool) -> tuple[Any, list[Any], Any]:
        """Return (outputs, new states, the sum of what layers add to the loss: regularisation and the like)."""
        import keras
        import tensorflow as tf

        # Weights are there as well, as tensors: regularisation asks the scope for them.
        mapping = [(weight, weight.value) for weight in self._model.trainable_variables]
        mapping += zip(self.states, states, strict=True)
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = self._model(x, training=training)
            losses = [tf.cast(loss, tf.float32) for loss in self._model.losses]
        after = [scope.get_current_value(variable) for variable in self.states]
        return outputs, after, tf.add_n(losses) if losses else tf.zeros([])


def is_averaged(variable: Any) -> bool:
    """Whether a state is averaged over replicas (moving averages) rather than each one's own (seeds, counters)."""
    import keras

    return bool(keras.backend.is_float_dtype(variable.dtype))


def _is_number(variable: Any) -> bool:
    return str(variable.dtype) != "string"
