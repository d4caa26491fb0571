"""Reading the fields of a document of the other side: every reader names the field that is wrong."""

from __future__ import annotations

import math
import re
from typing import Any, Mapping, Optional, Union

MAX_METRICS = 64
METRIC_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$")
MEMBER_NAME = re.compile(r"^(chief|worker|evaluator)-(0|[1-9][0-9]{0,3})$")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class ContractError(ValueError):
    """A document of the other side that breaks the contract. `field` is its path, the text says what to do."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def encode_number(value: float) -> Union[float, str]:
    """Return a number as JSON can carry it: non-finite ones as the strings NaN, Infinity and -Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def decode_number(value: Any, field: str) -> float:
    """Read what `encode_number` wrote."""
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ContractError(field, f"is {short(value)}, must be a number, NaN, Infinity or -Infinity")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return number


def refuse_constant(name: str) -> float:
    """Refuse what Python takes for JSON and nobody else does: NaN and Infinity without quotes."""
    raise ValueError(name)


def short(value: Any) -> str:
    """Return a value for an error message, cut to a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def text(document: Mapping[str, Any], name: str, field: str, empty: bool = False) -> str:
    """Read a text; an empty one only where `empty` says so."""
    value = document.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise ContractError(field, f"is {short(value)}, must be a text")
    return value


def unicode(value: str) -> str:
    """Return a text without lone surrogates: JSON can say them, but UTF-8 and with it the status cannot."""
    return value.encode("utf-8", "replace").decode("utf-8")


def count(document: Mapping[str, Any], name: str, field: str) -> int:
    """Read a whole number from 0 on that a float can hold."""
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ContractError(field, f"is {short(value)}, must be a whole number from 0 on")
    return value


def optional_count(document: Mapping[str, Any], name: str, parent: str) -> Optional[int]:
    """Read a count of `parent`, None if it is missing."""
    return None if document.get(name) is None else count(document, name, f"{parent}.{name}")


def optional_amount(document: Mapping[str, Any], name: str, parent: str, limit: float) -> Optional[float]:
    """Read an amount of `parent` from 0 to `limit`, None if it is missing."""
    if document.get(name) is None:
        return None
    field = f"{parent}.{name}"
    value = decode_number(document[name], field)
    if not 0 <= value <= limit:
        raise ContractError(field, f"is {short(value)}, must be from 0 to {limit:g}")
    return value


def optional_code(document: Mapping[str, Any], name: str, parent: str) -> Optional[int]:
    """Read an exit code or signal of `parent`, None if it is missing."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -256 <= value <= 256:
        raise ContractError(f"{parent}.{name}", f"is {short(value)}, must be a process's exit code or signal")
    return value


def mapping(value: Any, field: str) -> Mapping[str, Any]:
    """Read an object."""
    if not isinstance(value, dict):
        raise ContractError(field, "must be an object")
    return value


def member(document: Mapping[str, Any], name: str, field: str) -> str:
    """Read the name of a member."""
    value = text(document, name, field)
    if not MEMBER_NAME.fullmatch(value):
        raise ContractError(field, f"is {short(value)}, must be like chief-0, worker-3 or evaluator-0")
    return value


def metric_names(value: Any, field: str) -> Mapping[str, Any]:
    """Read an object whose names are metrics', at most `MAX_METRICS` of them."""
    metrics = mapping(value, field)
    if len(metrics) > MAX_METRICS:
        raise ContractError(field, f"has {len(metrics)} names, the limit is {MAX_METRICS}")
    for name in metrics:
        if not METRIC_NAME.fullmatch(name):
            raise ContractError(field, f"name {short(name)} must match {METRIC_NAME.pattern}")
    return metrics
