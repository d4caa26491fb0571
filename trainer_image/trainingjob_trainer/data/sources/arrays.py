"""Arrays of a user, checked: equal lengths, numbers, labels that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.source import Arrays

_NUMBERS = "numbers (integers, floats or booleans)"


def checked(field: str, x: Any, y: Any, weights: Any | None = None, classes: tuple[str, ...] = ()) -> Arrays:
    """Return a source of these arrays: x (n, …), y (n, …), weights (n,) or None.

    Raises:
        DataError: lengths differ, arrays are empty or hold no numbers, labels or weights are NaN.
    """
    x, y = _numbers(x, f"{field}: x"), _numbers(y, f"{field}: y")
    if len(x) != len(y):
        raise DataError(field, f"x has {len(x)} examples and y has {len(y)}; each example needs one label")
    if not len(x):
        raise DataError(field, "has no examples")
    if 0 in x.shape:
        raise DataError(field, f"x has the shape {x.shape}: examples without values")
    _refuse_nan(y, field, "label")
    if weights is not None:
        weights = _numbers(weights, f"{field}: sample weights").astype(np.float32)
        weights = weights[:, 0] if weights.shape == (len(x), 1) else weights
        if weights.shape != (len(x),):
            problem = f"sample weights have the shape {weights.shape}; write one for each of the {len(x)} examples"
            raise DataError(field, problem)
        _refuse_nan(weights, field, "sample weight")
    return Arrays(field, x, y, weights, classes)


def _numbers(array: Any, what: str) -> Any:
    field, _, name = what.partition(": ")
    array = np.asarray(array)
    if array.ndim == 0:
        raise DataError(field, f"{name} is a single value; it needs one row for each example")
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "iufb":
        raise DataError(field, f"{name} holds {array.dtype}; write {_NUMBERS}")
    # numpy's default kind of number, which nobody trains with; half the memory
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _refuse_nan(array: Any, field: str, name: str) -> None:
    if array.dtype.kind != "f":
        return
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if len(bad):
        problem = (
            f"{len(bad)} of {len(array)} examples have a {name} that is no finite number, first example {bad[0]}"
        )
        raise DataError(field, f"{problem}; remove or mend them")
