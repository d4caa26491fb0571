"""Data that comes with the trainer image: real digits, and a line with noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.source import Arrays, Source
from trainingjob_trainer.errors import nearest

NAMES = ("mnist", "linear-regression")


def open_source(options: Mapping[str, Any], *, seed: int, field: str, **_: Any) -> Source:
    """Open a built-in data set by its name."""
    from trainingjob import datasets

    name = options.get("name")
    if name == "mnist":
        part = options.get("part") or "train"
        if part not in ("train", "test"):
            raise DataError(f"{field}.part", f"is {part!r}; write train or test")
        train, test = datasets.mnist()
        x, y = train if part == "train" else test
        return Arrays(field, x[..., None], y)
    if name == "linear-regression":
        given = {
            key: options[key] for key in ("examples", "slope", "intercept", "noise") if options.get(key) is not None
        }
        try:
            return Arrays(field, *datasets.linear_regression(**given, seed=seed))
        except ValueError as error:
            raise DataError(field, str(error)) from None
    hint = nearest(str(name), NAMES)
    raise DataError(f"{field}.name", f"is {name!r}; write one of {', '.join(NAMES)}.{hint}")
