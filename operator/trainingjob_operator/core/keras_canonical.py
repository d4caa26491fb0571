"""One form of a Keras object that was judged: Keras's own class names, every object as {Name: {parameters}}.

The trainer then has nothing to guess. Whole numbers become fractional ones where Keras takes those, because it
refuses `learning_rate: 1`. Metrics get the name that they are reported under. Standard library only, as
`keras_judge.py`.
"""

from typing import Any

from trainingjob_operator.core import keras_catalog as catalog
from trainingjob_operator.core.keras_judge import notation
from trainingjob_operator.core.keras_types import Type


def canonical(value: Any, kind: str) -> Any:
    """Return an object in its one form. Activations, which have no parameters, are their name alone.

    Raises:
        ValueError: it was not judged, or judged wrong.
    """
    read = notation(value)
    known = catalog.kind(kind)
    name = known.find(read[0]) if read else None
    if read is None or name is None:
        raise ValueError(f"{value!r} is not {kind}")
    if kind == "activation":
        return name
    parameters = known.parameters(name)
    types = {key: parameters[key].type for key in read[1]}
    given = {key: _canonical(read[1][key], of) for key, of in types.items() if of is not None}
    if kind == "metric":
        given = {"name": metric_name(value), **{key: item for key, item in given.items() if key != "name"}}
    return {name: given}


def metric_name(value: Any) -> str:
    """Return the name that a metric is reported under: its `name`, the alias that was written, or Keras's default."""
    written, given = notation(value) or ("", {})
    known = catalog.kind("metric")
    name = known.find(written)
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        return str(given["name"])
    if name is None or name in known.automatic:
        return written
    if isinstance(value, str) and name != written:
        return written  # as Keras's compile(): mse is reported as mse
    default = known.parameters(name)["name"].default
    snake = (alias for alias, of in known.aliases.items() if of == name and "_" in alias)
    return str(default or next(snake, name.lower()))


def _canonical(value: Any, expected: Type | None) -> Any:
    if expected is None:
        return value
    if isinstance(value, str | dict) and expected.kind is not None:
        return canonical(value, expected.kind)
    if isinstance(value, int) and not isinstance(value, bool) and expected.fractional:
        return float(value)
    if isinstance(value, list):
        item = next((of for of in expected.items if all(of.fits(below) for below in value)), None)
        return [_canonical(below, item) for below in value]
    return value
