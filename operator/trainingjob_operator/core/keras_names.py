"""The one notation for everything that Keras has a name for: judged in words for people, and brought to one form.

adam        {Adam: {learning_rate: 0.001}}        {Conv2D: {filters: 32, kernel_size: 3, activation: relu}}
"""

from collections.abc import Iterator
from typing import Any

from trainingjob_operator.api.validation import Problem, shorten
from trainingjob_operator.core.keras_canonical import canonical, metric_name
from trainingjob_operator.core.keras_judge import faults, notation

__all__ = ["canonical", "judge_object", "metric_name", "notation"]


def judge_object(value: Any, kind: str, field: str) -> Iterator[Problem]:
    """Yield what is wrong with a Keras object that stands at a field.

    `kind` is one of optimizer, schedule, loss, metric, layer, cell, initializer, regularizer, constraint, activation,
    preset.
    """
    for fault in faults(value, kind, field):
        yield Problem(fault.field, "" if fault.value == "" else shorten(fault.value), fault.message)
