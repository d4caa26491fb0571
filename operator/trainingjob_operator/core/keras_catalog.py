"""What Keras has a name for, read from `keras_catalog.json`: kinds, their objects, and each object's parameters.

The file is generated from Keras itself (trainer_image/hack/keras_catalog.py) and read when the first declarative job
comes.
"""

import difflib
import functools
import json
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.core.keras_types import Type, parse

#: Longer than every name of Keras; comparing texts without end would take time without end.
MAX_NAME = 64


@dataclass(frozen=True)
class Parameter:
    """One parameter of an object: its type, or why it can't be given."""

    type: Type | None
    required: bool
    default: Any
    why_not: str = ""


class Kind:
    """The objects of one kind: optimizers, layers."""

    def __init__(self, name: str, entry: dict[str, Any], types: dict[str, str]) -> None:
        self.name = name
        self.objects: dict[str, dict[str, str | None]] = entry["objects"]
        self.aliases: dict[str, str] = entry["aliases"]
        self.refused: dict[str, str] = entry["refused"]
        self.automatic: frozenset[str] = frozenset(entry.get("automatic", ()))
        """Names that stand for one of several objects, which the labels decide, like accuracy."""
        self._common: dict[str, str] = entry["common"]
        self._types = types
        self._folded: dict[str, str | None] | None = None
        self._cache: dict[str, dict[str, Parameter]] = {}

    def find(self, name: str) -> str | None:
        """Return Keras's own name of an object, or None; names in `automatic` are their own."""
        if name in self.objects or name in self.automatic:
            return name
        # as Keras's own get(): upper and lower case are alike for optimizers, and for nothing else
        return self.aliases.get(name) or (self.aliases.get(name.lower()) if self.name == "optimizer" else None)

    def nearest(self, name: str) -> str | None:
        """Return the usable object whose name, or other name, is most like this one."""
        if self._folded is None:
            folded = {fold(known): self.find(known) for known in (*self.aliases, *self.objects, *self.automatic)}
            self._folded = {known: found for known, found in folded.items() if found not in self.refused}
        wanted, usable = fold(name)[:MAX_NAME], self._folded
        longer = [known for known in usable if len(wanted) > 1 and known.startswith(wanted)]
        near = difflib.get_close_matches(wanted, usable, n=1, cutoff=0.6) or longer
        return usable[near[0]] if near else None

    def parameters(self, name: str) -> dict[str, Parameter]:
        """Return the parameters of an object, by Keras's own name for it."""
        if name not in self._cache:
            written = (
                {"name": "name|null = null"} if name in self.automatic else {**self._common, **self.objects[name]}
            )
            self._cache[name] = {
                key: self._parameter(text) for key, text in sorted(written.items()) if text is not None
            }
        return self._cache[name]

    def _parameter(self, text: str) -> Parameter:
        if text.startswith("!"):
            return Parameter(None, False, None, text[1:])
        expression, given, default = text.partition(" = ")
        return Parameter(_parse(expression), not given, json.loads(default) if given else None)


@functools.cache
def _document() -> dict[str, Any]:
    data = pkgutil.get_data(__package__, "keras_catalog.json")
    assert data is not None  # part of the package
    document: dict[str, Any] = json.loads(data)
    return document


@functools.cache
def _parse(expression: str) -> Type:
    return parse(expression, _document()["types"])


@functools.cache
def kind(name: str) -> Kind:
    """Return a kind: optimizer, schedule, loss, metric, layer, cell, initializer, …, preset.

    Raises:
        KeyError: there is no such kind.
    """
    return Kind(name, _document()["kinds"][name], _document()["types"])


def kinds() -> Iterable[str]:
    """Return the names of all kinds."""
    names: Iterable[str] = _document()["kinds"]
    return names


def keras_version() -> str:
    """Return the version of Keras that the catalog was made from."""
    return str(_document()["keras"])


def fold(name: str) -> str:
    """Return a name without what people mistake: upper and lower case, underscores, spaces."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
