"""Which examples were decoded last, to name the one that could not be.

TensorFlow's error from the middle of a batch says what is wrong with an image or a record, but not with which. So the
last batches are remembered, and when one fails its examples are decoded again, one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainingjob_trainer.data.errors import DataError, explain
from trainingjob_trainer.data.files import reason

#: More than can be on their way at one time: those that are being made, and those made ahead.
BATCHES = 16


class Recent:
    """The last batches, as whatever is needed to make them again."""

    def __init__(self) -> None:
        self._batches: deque[Any] = deque(maxlen=BATCHES)

    def note(self, *tensors: Any) -> Any:
        """Return the tensors unchanged, as TensorFlow operations that remember them."""
        kept = tf.numpy_function(self.remember, tensors, [tensor.dtype for tensor in tensors])
        for copy, tensor in zip(kept, tensors, strict=True):
            copy.set_shape(tensor.shape)
        return kept

    def remember(self, *arrays: Any) -> Any:
        """Remember the arrays of one batch, and return them."""
        self._batches.append(arrays)
        return arrays

    def blame(self, field: str, make: Callable[..., Any], name: Callable[..., str]) -> DataError | None:
        """Return what is wrong with the first remembered example that cannot be made again, if any.

        Args:
            field: the field that the user can mend.
            make: makes one example, given its row of each tensor; raises when it can't.
            name: says which it is, given the same.
        """
        for batch in list(self._batches):
            for row in zip(*batch, strict=True):
                try:
                    make(*row)
                except (tf.errors.OpError, ValueError) as error:
                    told = explain(error) or DataError(field, reason(error))
                    return DataError(told.field, f"{name(*row)}: {told.problem}")
        return None
