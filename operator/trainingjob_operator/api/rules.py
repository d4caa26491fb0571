"""Rules that a type can't express, each written once for two judges.

The API server judges by CEL and list types before it stores an object; Python judges wherever a spec is read, since
a job may come from elsewhere than an API server. A test holds both against one table of bad specs.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

#: One thing wrong below the value that is judged: (path within it, message, the wrong part).
Fault = tuple[tuple[str | int, ...], str, Any]


def refuse(title: str, faults: Sequence[Fault]) -> ValidationError:
    """Return one error with all faults; raised in a validator, pydantic puts the path to the value before theirs."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(type=PydanticCustomError("rule", "{text}", {"text": text}), loc=loc, input=value)
            for loc, text, value in faults
        ],
    )


@dataclass(frozen=True)
class Rule:
    """A rule on a field (as an annotation of its type) or on an object (in `Model.object_rules`).

    `holds` is what `cel` says, in Python. Rules that compare with the stored object (`oldSelf`) have none.
    Where `cel` is empty, the API server can't see what the rule reads (a field without a type): Python alone judges.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    field_path: str = ""
    """Where below the value the API server should point, like `.image`."""
    reason: str = ""
    """A Kubernetes field error: FieldValueInvalid (when empty), FieldValueForbidden, ..."""

    def schema(self) -> dict[str, str]:
        """Return the rule as one item of x-kubernetes-validations."""
        extras = {"fieldPath": self.field_path, "reason": self.reason}
        return {"rule": self.cel, "message": self.message} | {name: text for name, text in extras.items() if text}

    def _check(self, value: Any) -> Any:
        if self.holds is not None and not self.holds(value):
            raise refuse("Rule", [((), self.message, value)])
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler(schema)
        json_schema["x-kubernetes-validations"] = [*json_schema.get("x-kubernetes-validations", ()), self.schema()]
        return json_schema


class Unique:
    """Annotation of a list whose items differ by these fields (API names), or as a whole when none is named.

    For server-side apply that makes it a map, or a set: two owners can each keep their own items.
    """

    def __init__(self, *fields: str) -> None:
        self.fields = fields

    def _key(self, item: Any) -> Hashable:
        return tuple(getattr(item, to_snake(name)) for name in self.fields) if self.fields else item

    def _check(self, items: list[Any]) -> list[Any]:
        seen: set[Hashable] = set()
        faults: list[Fault] = []
        for index, item in enumerate(items):
            key = self._key(item)
            if key in seen:
                named = ", ".join(self.fields)
                what = f"{named} is that of an earlier item: each needs its own" if named else "is there twice"
                faults.append(((index,), what, key[0] if isinstance(key, tuple) and len(key) == 1 else item))
            seen.add(key)
        if faults:
            raise refuse("Unique", faults)
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler(schema)
        json_schema["x-kubernetes-list-type"] = "map" if self.fields else "set"
        if self.fields:
            json_schema["x-kubernetes-list-map-keys"] = list(self.fields)
        return json_schema


def exactly_one(*names: str) -> Rule:
    """Return the rule that exactly one of these fields (API names) is given."""
    return Rule(
        "[" + ", ".join(f"has(self.{name})" for name in names) + "].filter(given, given).size() == 1",
        "must have exactly one of " + ", ".join(names),
        lambda value: sum(getattr(value, to_snake(name)) is not None for name in names) == 1,
    )


IMMUTABLE = Rule(
    "self == oldSelf",
    "is immutable: delete the job and apply it again, or apply it under another name",
    reason="FieldValueForbidden",
)


def immutable_presence(name: str) -> Rule:
    """Return the object's rule that an optional field (API name) can be neither added nor removed.

    IMMUTABLE on the field alone would not be asked then: it is there only once.
    """
    return Rule(
        f"has(self.{name}) == has(oldSelf.{name})",
        IMMUTABLE.message,
        field_path=f".{name}",
        reason=IMMUTABLE.reason,
    )
