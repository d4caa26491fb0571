"""What is wrong with a user's data, in one line: field, value, remedy. Also when it is found amid a batch.

What happens inside a `tf.data` pipeline reaches the trainer as TensorFlow's own exception, with our sentence
somewhere in a long message. `explain` finds it there.
"""

from __future__ import annotations

import re
from typing import Any

from trainingjob_trainer.errors import SpecError, one_line

_MARKED = re.compile(r"<data-error ([^|>]+)\|(.*?)\|data-error>", re.DOTALL)


class DataError(SpecError):
    """A data set or a pipeline cannot be trained on. `str()` is the one line that the user reads.

    `field` is the path in the resource, such as `spec.training.dataset.npz.path`; `problem` is the rest of the line.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.problem = problem


def marked(field: str, problem: str) -> str:
    """Return a text for an error raised inside a pipeline, which `explain` turns into a DataError again."""
    return f"<data-error {field}|{problem}|data-error>"


def explain(error: BaseException) -> DataError | None:
    """Return what the user has to mend when `error`, raised by a batch, is about the data; otherwise None."""
    if isinstance(error, DataError):
        return error
    found = _MARKED.search(str(error))
    if found:
        return DataError(found[1], one_line(found[2], 1000))
    return None


def check(condition: Any, field: str, problem: str, *values: Any) -> Any:
    """Return a TensorFlow operation that fails with a DataError's text when the condition does not hold.

    Args:
        condition: a scalar bool tensor.
        field: the field that the user can mend.
        problem: the sentence; `{}` stands for the values, in their order.
        values: tensors; they are formatted only when the check fails.
    """
    import tensorflow as tf

    def fail() -> Any:
        text = tf.strings.format(marked(field, problem), values, summarize=8) if values else marked(field, problem)
        with tf.control_dependencies([tf.debugging.Assert(False, [text])]):
            return tf.constant(False)

    return tf.cond(condition, lambda: tf.constant(True), fail)
