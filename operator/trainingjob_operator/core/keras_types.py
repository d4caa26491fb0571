"""What a parameter of Keras takes, as the catalog writes it, and the words for it.

int>=1|[int>=1]*2|null = null

int, number      a whole number; a number. Bounds follow: >=0, >0, <=1, <1
bool, text       true or false; any text. `name` is a text without a slash, as Keras wants names
'same', -1, null this very value
@initializer     a Keras object of that kind
[T], [T]+, [T]*2 a list of T; with at least one; with exactly two. A `<` at the end: in ascending order
padding          a word for a type of the catalog's `types`
T|U              either
"""

import itertools
import json
import math
import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"'(?P<text>[^']*)'|@(?P<kind>\w+)|(?P<open>\[)|(?P<constant>-?\d+)|(?P<word>\w+)")
_BOUND = re.compile(r"(>=|<=|>|<)(-?[\d.]+)")
_LENGTH = re.compile(r"(\+|\*(\d+))?(<?)")
_WORDS = {">=": "of at least", ">": "of more than", "<=": "of at most", "<": "of less than"}
_HOLDS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_LARGEST = 2**63


@dataclass(frozen=True)
class Number:
    """A number, whole or not, in its bounds."""

    whole: bool
    bounds: tuple[tuple[str, float], ...] = ()

    def fits(self, value: Any) -> bool:
        """Return whether a value is one; true and false are none."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if (isinstance(value, int) and not -_LARGEST <= value < _LARGEST) or not math.isfinite(value):
            return False
        return all(_HOLDS[sign](value, limit) for sign, limit in self.bounds)

    def words(self) -> str:
        """Return what it is called."""
        limits = [f"{_WORDS[sign]} {limit:g}" for sign, limit in self.bounds]
        if [sign for sign, _ in self.bounds] == [">=", "<="]:
            limits = [f"from {self.bounds[0][1]:g} to {self.bounds[1][1]:g}"]
        return " ".join(["a whole number" if self.whole else "a number", " and ".join(limits)]).rstrip()


@dataclass(frozen=True)
class Plain:
    """`bool`, `text` or `name`."""

    of: str

    def fits(self, value: Any) -> bool:
        """Return whether a value is one."""
        if self.of == "bool":
            return isinstance(value, bool)
        return isinstance(value, str) and value != "" and (self.of == "text" or "/" not in value)

    def words(self) -> str:
        """Return what it is called."""
        return {"bool": "true or false", "text": "a text", "name": "a text without /"}[self.of]


@dataclass(frozen=True)
class Constant:
    """One value."""

    value: Any

    def fits(self, value: Any) -> bool:
        """Return whether it is that value, of that type."""
        return type(value) is type(self.value) and bool(value == self.value)

    def words(self) -> str:
        """Return it as YAML has it."""
        return json.dumps(self.value)


@dataclass(frozen=True)
class KerasKind:
    """A Keras object of one kind; whether a value is one, the catalog says."""

    kind: str

    def fits(self, value: Any) -> bool:
        """Return whether a value could be one."""
        return isinstance(value, str | dict)

    def words(self) -> str:
        """Return what it is called."""
        return with_article(self.kind)


@dataclass(frozen=True)
class Listed:
    """A list of one type."""

    item: "Type"
    length: int | None = None
    some: bool = False
    ascending: bool = False

    def fits(self, value: Any) -> bool:
        """Return whether a value is such a list."""
        return (
            isinstance(value, list)
            and (self.length is None or len(value) == self.length)
            and not (self.some and not value)
            and all(self.item.fits(item) for item in value)
            and not (self.ascending and any(a > b for a, b in itertools.pairwise(value)))
        )

    def words(self) -> str:
        """Return what it is called."""
        length = f" of {self.length}" if self.length is not None else ""
        order = ", the smaller one first" if self.ascending else ""
        return f"a list{length}, each {self.item.words()}{order}"


@dataclass(frozen=True)
class Type:
    """One of several."""

    options: tuple[Number | Plain | Constant | KerasKind | Listed, ...]

    def fits(self, value: Any) -> bool:
        """Return whether a value is one of them; Keras objects inside are not looked into."""
        return any(option.fits(value) for option in self.options)

    def words(self) -> str:
        """Return what they are called: `one of same, valid`, `a number or a schedule`; null goes unsaid."""
        texts = [str(o.value) for o in self.options if isinstance(o, Constant) and isinstance(o.value, str)]
        words = [f"one of {', '.join(texts)}"] if len(texts) > 1 else texts
        words += [
            o.words() for o in self.options if not (isinstance(o, Constant) and isinstance(o.value, str | None))
        ]
        return " or ".join(words) if words else "null: leave it out"

    @property
    def texts(self) -> list[str]:
        """Return the words that fit."""
        return [o.value for o in self.options if isinstance(o, Constant) and isinstance(o.value, str)]

    @property
    def kind(self) -> str | None:
        """Return the kind of Keras object that fits, if one does."""
        return next((o.kind for o in self.options if isinstance(o, KerasKind)), None)

    @property
    def others(self) -> bool:
        """Return whether something else than a Keras object or null fits."""
        return any(not isinstance(o, KerasKind) and o != Constant(None) for o in self.options)

    @property
    def items(self) -> Iterator["Type"]:
        """Return the types of a list's items, for each list that fits."""
        return (o.item for o in self.options if isinstance(o, Listed))

    @property
    def fractional(self) -> bool:
        """Return whether it takes numbers, and not whole ones only."""
        return any(isinstance(o, Number) and not o.whole for o in self.options)


def with_article(kind: str) -> str:
    """Return `an optimizer`, `a loss`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def parse(expression: str, types: Mapping[str, str]) -> Type:
    """Return the type that an expression says; `types` are the catalog's.

    Raises:
        ValueError: the catalog is broken.
    """
    parsed, end = _union(expression, 0, types)
    if end != len(expression):
        raise ValueError(f"{expression!r} is no type from character {end} on")
    return parsed


def _union(text: str, at: int, types: Mapping[str, str]) -> tuple[Type, int]:
    options: list[Any] = []
    while True:
        found, at = _option(text, at, types)
        options += found
        if text[at : at + 1] != "|":
            return Type(tuple(options)), at
        at += 1


def _option(text: str, at: int, types: Mapping[str, str]) -> tuple[list[Any], int]:
    token = _TOKEN.match(text, at)
    if token is None:
        raise ValueError(f"{text!r} is no type from character {at} on")
    at = token.end()
    if token["text"] is not None:
        return [Constant(token["text"])], at
    if token["kind"]:
        return [KerasKind(token["kind"])], at
    if token["constant"]:
        return [Constant(int(token["constant"]))], at
    if token["open"]:
        item, at = _union(text, at, types)
        length = _LENGTH.match(text, at + 1)
        assert length is not None  # it matches the empty text
        return [Listed(item, int(length[2]) if length[2] else None, length[1] == "+", length[3] == "<")], length.end()
    word = token["word"]
    if word in ("int", "number"):
        bounds = []
        while limit := _BOUND.match(text, at):
            bounds.append((limit[1], float(limit[2])))
            at = limit.end()
        return [Number(word == "int", tuple(bounds))], at
    if word in ("bool", "text", "name"):
        return [Plain(word)], at
    if word in ("null", "true", "false"):
        return [Constant({"null": None, "true": True, "false": False}[word])], at
    return list(parse(types[word], types).options), at
