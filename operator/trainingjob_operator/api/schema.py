"""A pydantic model becomes the structural schema of a CRD, or the build fails.

`model_json_schema()` speaks JSON Schema 2020-12; a CRD takes a part of OpenAPI v3, and an API server silently drops
or refuses the rest. So every keyword is looked at: known ones are rewritten, any other is a SchemaError that names
the field and the keyword. A mistake in a model is found by whoever makes it, not by who installs the CRD.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from trainingjob_operator.api.bounds import Schema, SchemaError, check_rules

#: Keywords that mean the same in both. Their values are copied.
_COPIED: Final = frozenset(
    {
        "type", "format", "enum", "pattern", "multipleOf", "minimum", "maximum", "minLength", "maxLength", "minItems",
        "maxItems", "minProperties", "maxProperties", "required", "description",
        "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
    }
)  # fmt: skip
_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean")
_FORMATS: Final = frozenset({"int32", "int64", "float", "double", "byte", "date", "date-time"})
_RULE: Final = ("rule", "message", "reason", "fieldPath")
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
#: How deep a schema may be; deeper ones are a mistake, and kubectl explain is no fun there.
_MAX_DEPTH: Final = 16


def structural_schema(model: type[BaseModel], path: str) -> Schema:
    """Return the structural schema of a model; `path` is what errors call its root.

    Raises:
        SchemaError: names the field, and the keyword that can't be expressed.
    """
    _refuse_factories(model, path, frozenset())
    raw = model.model_json_schema(by_alias=True)
    schema = _Converter(raw.get("$defs", {})).convert(raw, path, ())
    check_rules(schema, path)
    return schema


class _Converter:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, raw: Schema, path: str, within: tuple[str, ...]) -> Schema:
        """Return the structural form of one node; `within` are the definitions that it lies in."""
        raw, within = self._without_null(raw, path, within)
        raw, within = self._inlined(raw, path, within)
        if len(within) > _MAX_DEPTH:
            raise SchemaError(path, f"lies more than {_MAX_DEPTH} models deep")
        schema: Schema = {}
        for keyword, value in raw.items():
            match keyword:
                case "title" | "$defs":
                    pass
                case "properties":
                    schema[keyword] = {
                        name: self.convert(inner, f"{path}.{name}", within) for name, inner in value.items()
                    }
                case "items":
                    schema[keyword] = self.convert(value, f"{path}[]", within)
                case "additionalProperties" if value is False:
                    pass  # forbidden beside properties: unknown fields are pruned, or refused by strict validation
                case "additionalProperties":
                    schema[keyword] = self.convert({} if value is True else value, f"{path}.*", within)
                case "const":
                    schema["enum"] = [value]
                case "exclusiveMinimum" | "exclusiveMaximum":
                    schema |= {keyword.removeprefix("exclusive").lower(): value, keyword: True}
                case "default":
                    schema |= {} if value is None else {keyword: _without_nulls(value)}
                case "anyOf" if value == _INT_OR_STRING:
                    schema[keyword] = value
                case "x-kubernetes-validations":
                    schema[keyword] = [{key: rule[key] for key in _RULE if key in rule} for rule in value]
                case _ if keyword in _COPIED:
                    schema[keyword] = value
                case _:
                    raise SchemaError(path, f"a CRD has no keyword {keyword}: {value!r}")
        self._check(schema, path)
        return _ordered(schema)

    def _without_null(self, raw: Schema, path: str, within: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Make `T | None` an optional T: absence is how Kubernetes says nothing."""
        if "anyOf" not in raw or raw.get("x-kubernetes-int-or-string"):
            return raw, within
        options = [option for option in raw["anyOf"] if option != {"type": "null"}]
        if len(options) != 1:
            kinds = " | ".join(str(option.get("type", option.get("$ref", "?"))) for option in options)
            raise SchemaError(path, f"a CRD has no unions, but anyOf says {kinds}: make it fields of their own")
        outer = {key: value for key, value in raw.items() if key != "anyOf"}
        return _merged(options[0], outer), within

    def _inlined(self, raw: Schema, path: str, within: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Put what `$ref` names in its place; what stands beside it is said of this place."""
        if "$ref" not in raw:
            return raw, within
        name = str(raw["$ref"]).removeprefix("#/$defs/")
        if name in within:
            raise SchemaError(path, f"{name} contains itself: a CRD can't recurse ($ref)")
        outer = {key: value for key, value in raw.items() if key != "$ref"}
        return _merged(self._definitions[name], outer), (*within, name)

    def _check(self, schema: Schema, path: str) -> None:
        untyped = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
        if "type" not in schema and not untyped:
            raise SchemaError(path, "has no type: say what it holds, or use Passthrough")
        if "type" in schema and schema["type"] not in _TYPES:
            raise SchemaError(path, f"a CRD has no type {schema['type']}")
        if "properties" in schema and "additionalProperties" in schema:
            raise SchemaError(path, "properties and additionalProperties exclude each other")
        if "format" in schema and schema["format"] not in _FORMATS:
            raise SchemaError(path, f"an API server does not check format {schema['format']}: use a pattern")
        if schema.get("type") == "array" and "items" not in schema:
            raise SchemaError(path, "items is missing: say what the list holds")


_ORDER: Final = ("description", "type", "format", "default", "enum")
_LAST: Final = ("required", "properties", "items", "additionalProperties")


def _ordered(schema: Schema) -> Schema:
    """Return the same schema in the order in which a person reads it."""
    if "description" in schema:
        schema["description"] = _paragraphs(schema["description"])
    middle = sorted(schema.keys() - {*_ORDER, *_LAST})
    return {keyword: schema[keyword] for keyword in (*_ORDER, *middle, *_LAST) if keyword in schema}


def _merged(inner: Schema, outer: Schema) -> Schema:
    """Return a type's schema with what is said beside it.

    Rules are added. The field's documentation replaces the first paragraph of its type's, and the rest stays:
    a field says what it is for, a type how it works.
    """
    merged = {**inner, **outer}
    rules = [*inner.get("x-kubernetes-validations", ()), *outer.get("x-kubernetes-validations", ())]
    if rules:
        merged["x-kubernetes-validations"] = rules
    _, _, details = _paragraphs(inner.get("description", "")).partition("\n\n")
    if details and "description" in outer:
        merged["description"] = f"{outer['description']}\n\n{details}"
    return merged


def _paragraphs(text: str) -> str:
    """Return a docstring with one line for each paragraph: who shows it breaks lines as the screen needs."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _refuse_factories(model: type[BaseModel], path: str, seen: frozenset[type[BaseModel]]) -> None:
    """Refuse defaults that a JSON schema does not show, here and in the models of the fields."""
    for name, info in model.model_fields.items():
        here = f"{path}.{info.alias or name}"
        if info.default_factory is not None:
            raise SchemaError(here, "default_factory is not shown in the schema: write the default itself")
        for inner in _models(info.annotation):
            if inner not in seen:
                _refuse_factories(inner, here, seen | {model})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
