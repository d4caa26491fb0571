"""Whether a value of a spec is a Keras object: its name, its parameters, and the objects inside them.

Standard library only, so that the tests with Keras can hold it against Keras itself.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trainingjob_operator.core import keras_catalog as catalog
from trainingjob_operator.core.keras_catalog import Kind, Parameter, fold
from trainingjob_operator.core.keras_rules import judge_together
from trainingjob_operator.core.keras_types import Type, with_article

#: Objects inside objects: {Bidirectional: {layer: {LSTM: {kernel_regularizer: …}}}} are three.
MAX_DEPTH = 12
_EXAMPLES = {
    "optimizer": "{Adam: {learning_rate: 0.001}}",
    "layer": "{Dense: {units: 10}}",
    "metric": "{F1Score: {average: macro}}",
    "schedule": "{CosineDecay: {initial_learning_rate: 0.1, decay_steps: 1000}}",
    "loss": "{Huber: {delta: 2}}",
    "preset": "{CNN: {filters: [32, 64]}}",
    "initializer": "{RandomNormal: {stddev: 0.1}}",
    "regularizer": "{L2: {l2: 0.001}}",
    "constraint": "{MaxNorm: {max_value: 2}}",
    "cell": "{LSTMCell: {units: 8}}",
    "activation": "relu",
}


class Fault(NamedTuple):
    """One thing wrong with a Keras object."""

    field: str
    value: Any
    message: str


def faults(value: Any, kind: str, field: str, depth: int = 0) -> Iterator[Fault]:
    """Yield everything wrong with an object of one kind that stands at a field; nothing in here raises."""
    if depth > MAX_DEPTH:
        yield Fault(field, value, f"is nested deeper than {MAX_DEPTH} objects: write it as code, with model.builder")
        return
    read = notation(value)
    if read is None:
        yield Fault(field, value, _form(value, kind))
        return
    written, parameters = read
    known = catalog.kind(kind)
    name = known.find(written)
    if name is None or name in known.refused:
        yield Fault(field, written, _unknown(written, name, known))
        return
    where = f"{field}.{written}"
    if not isinstance(parameters, dict):
        yield Fault(where, parameters, f"must be an object of parameters, as in {_EXAMPLES[kind]}")
        return
    yield from _parameters(known, name, parameters, where, depth)


def notation(value: Any) -> tuple[str, Any] | None:
    """Return the name and the parameters of `adam` and `{Adam: {...}}`, as written, or None for what is neither."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        name, parameters = next(iter(value.items()))
        if isinstance(name, str):
            return name, {} if parameters is None else parameters
    return None


def _form(value: Any, kind: str) -> str:
    if isinstance(value, dict) and len(value) > 1:
        return (
            f"must have one key, the name of {with_article(kind)}, with the parameters below it, "
            f"as in {_EXAMPLES[kind]}: it has {', '.join(map(str, list(value)[:4]))}"
        )
    return f"must be the name of {with_article(kind)}, or one name with its parameters, as in {_EXAMPLES[kind]}"


def _unknown(written: str, name: str | None, kind: Kind) -> str:
    why_not = kind.refused.get(name or written)
    if why_not:
        return f"is not for YAML: {why_not}"
    where = "of keras.applications" if kind.name == "preset" else "of Keras"
    text = f"is not {with_article(kind.name)} {where}"
    near = kind.nearest(written)
    if near is not None and fold(near) == fold(written):
        return f"{text}; did you mean {near}?"
    for other in catalog.kinds():
        found = catalog.kind(other).find(written) if other != kind.name else None
        if found is not None:
            belongs = " and goes into RNN, as in {RNN: {cell: LSTMCell}}" if other == "cell" else ""
            return f"{text}: {found} is {with_article(other)}{belongs}" + (f"; did you mean {near}?" if near else "")
    return f"{text}; did you mean {near}?" if near else f"{text}: the names are Keras's, as in {_EXAMPLES[kind.name]}"


def _parameters(kind: Kind, name: str, given: dict[str, Any], where: str, depth: int) -> Iterator[Fault]:
    known = kind.parameters(name)
    wrong = False
    for key, value in given.items():
        parameter = known.get(key)
        if parameter is None:
            yield Fault(f"{where}.{key}", value, _unknown_parameter(str(key), name, known))
            wrong = True
            continue
        for fault in _value(parameter, value, f"{where}.{key}", depth):
            yield fault
            wrong = True
    for key, parameter in known.items():
        if parameter.required and key not in given:
            assert parameter.type is not None  # what is required can be given
            yield Fault(f"{where}.{key}", "", f"is required by {name}: {parameter.type.words()}")
            wrong = True
    if not wrong:
        for key, message in judge_together(kind.name, name, given):
            yield Fault(f"{where}.{key}", given.get(key), message)


def _unknown_parameter(key: str, name: str, known: Mapping[str, Parameter]) -> str:
    usable = [parameter for parameter, about in known.items() if not about.why_not]
    if not usable:
        return f"{name} takes no parameters: remove it"
    folded = {fold(parameter): parameter for parameter in usable}
    near = difflib.get_close_matches(fold(key), folded, n=1, cutoff=0.6)
    if near:
        return f"is not a parameter of {name}; did you mean {folded[near[0]]}?"
    return f"is not a parameter of {name}; there are: {', '.join(usable)}"


def _value(parameter: Parameter, value: Any, field: str, depth: int) -> Iterator[Fault]:
    if parameter.type is None:
        if value is not None:  # null is absent, as everywhere in this API
            yield Fault(field, value, parameter.why_not)
    else:
        yield from _of_type(parameter.type, value, field, depth)


def _of_type(expected: Type, value: Any, field: str, depth: int) -> Iterator[Fault]:
    kind = expected.kind
    if kind is not None and isinstance(value, str | dict):
        if isinstance(value, str) and expected.others and catalog.kind(kind).find(value) is None:
            near = catalog.kind(kind).nearest(value)
            yield Fault(field, value, f"must be {expected.words()}{f'; did you mean {near}?' if near else ''}")
            return
        yield from faults(value, kind, field, depth + 1)
        return
    if not expected.fits(value):
        yield Fault(field, value, f"must be {expected.words()}{_near_word(expected, value)}")
        return
    for item in expected.items if isinstance(value, list) else ():
        if item.kind is not None:
            for index, below in enumerate(value):
                yield from _of_type(item, below, f"{field}[{index}]", depth)


def _near_word(expected: Type, value: Any) -> str:
    near = difflib.get_close_matches(value.lower(), expected.texts, n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""
