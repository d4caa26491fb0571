"""Reading JSON that may be anything: a field of the wrong type is read as absent."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any


class Fields:
    """The fields of a JSON object; of what is no object, none."""

    def __init__(self, value: Any) -> None:
        self._value: Mapping[str, Any] = value if isinstance(value, Mapping) else {}

    def __bool__(self) -> bool:
        return bool(self._value)

    def text(self, name: str) -> str:
        """Return a text, "" for none."""
        value = self._value.get(name)
        return value if isinstance(value, str) else ""

    def has(self, name: str) -> bool:
        """Return whether an object is there, be it empty."""
        return isinstance(self._value.get(name), Mapping)

    def flag(self, name: str) -> bool:
        """Return whether a field is true."""
        return self._value.get(name) is True

    def number(self, name: str) -> float | None:
        """Return a finite number."""
        value = metric_value(self._value.get(name))
        return value if value is not None and math.isfinite(value) else None

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        value = self._value.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def time(self, name: str) -> datetime | None:
        """Return a time of the API, which has a time zone."""
        return read_time(self._value.get(name))

    def object(self, name: str) -> "Fields":
        """Return an object, without fields when there is none."""
        return Fields(self._value.get(name))

    def objects(self, name: str) -> "list[Fields]":
        """Return the objects of a list."""
        value = self._value.get(name)
        return [Fields(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list."""
        value = self._value.get(name)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield names with their values, as they are."""
        yield from ((str(name), value) for name, value in self._value.items())

    def metrics(self, name: str) -> dict[str, float]:
        """Return metrics by name. NaN and infinities, which JSON does not have, are texts in the API."""
        found = {key: metric_value(value) for key, value in self.object(name).items()}
        return {key: value for key, value in found.items() if value is not None}


_TEXTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def metric_value(value: Any) -> float | None:
    """Return the value of a metric, None for what is none."""
    if isinstance(value, str):
        return _TEXTS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def read_time(value: Any) -> datetime | None:
    """Read an RFC 3339 time; None for what is none, and for a time without a zone."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
