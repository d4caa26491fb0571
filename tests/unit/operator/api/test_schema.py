"""The converter: what a CRD can express comes out right, and everything else is refused by name."""

import string
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from trainingjob_operator.api.bounds import SchemaError
from trainingjob_operator.api.rules import IMMUTABLE, Rule, Unique, exactly_one, immutable_presence
from trainingjob_operator.api.schema import structural_schema
from trainingjob_operator.api.types import Model, Passthrough, Quantity

Short = Annotated[str, Field(max_length=9)]


class Inner(Model):
    """What it is.

    How it works,
    in two lines.
    """

    size: int = 3
    """How large."""


class Node(BaseModel):
    child: Self | None = None


def field(annotation: Any, default: Any = ..., **config: Any) -> Any:
    """Return the schema of a model's field `x` of this type."""
    model = create_model("Probe", __base__=Model, x=(annotation, default))
    return structural_schema(model, "spec")["properties"]["x"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (str, {"type": "string"}),
        (int | None, {"type": "integer"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"], {"type": "string", "enum": ["a"]}),
        (Annotated[int, Field(ge=1, le=3)], {"type": "integer", "minimum": 1, "maximum": 3}),
        (
            Annotated[int, Field(gt=1, lt=3)],
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 3, "exclusiveMaximum": True},
        ),
        (Annotated[str, Field(pattern="^a$", min_length=1, max_length=2)],
         {"type": "string", "pattern": "^a$", "minLength": 1, "maxLength": 2}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Annotated[list[Short], Unique()],
         {"type": "array", "items": {"type": "string", "maxLength": 9}, "x-kubernetes-list-type": "set"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Passthrough, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        (
            Annotated[Passthrough, IMMUTABLE] | None,
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "x-kubernetes-validations": [IMMUTABLE.schema()],
            },
        ),
    ],
)  # fmt: skip
def test_types_are_rewritten(annotation: Any, schema: Any) -> None:
    assert field(annotation) == schema


def test_int_or_string_has_no_type() -> None:
    schema = field(Quantity | None, None)
    assert "type" not in schema
    assert schema["x-kubernetes-int-or-string"] is True
    assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]


def test_models_are_put_in_place_and_say_what_the_field_says() -> None:
    class Outer(Model):
        plain: Inner
        said: Inner
        """What it is here."""
        default: Inner = Inner()
        many: Annotated[list[Inner], Field(max_length=2), Unique("size")] | None = None

    schema = structural_schema(Outer, "spec")
    inner = {"size": {"description": "How large.", "type": "integer", "default": 3}}
    properties = schema["properties"]
    assert properties["plain"] == {
        "description": "What it is.\n\nHow it works, in two lines.",
        "type": "object",
        "properties": inner,
    }
    assert properties["said"]["description"] == "What it is here.\n\nHow it works, in two lines."
    assert properties["default"]["default"] == {"size": 3}, "absent, it gets all defaults"
    assert properties["default"]["properties"] == inner, "empty, it gets each"
    assert properties["many"]["items"]["properties"] == inner
    assert properties["many"]["x-kubernetes-list-type"] == "map"
    assert properties["many"]["x-kubernetes-list-map-keys"] == ["size"]
    assert schema["required"] == ["plain", "said"]


def test_defaults_have_no_nulls() -> None:
    class Optional(Model):
        a: int = 1
        b: int | None = None

    class Outer(Model):
        inner: Optional = Optional()
        none: int | None = None

    properties = structural_schema(Outer, "spec")["properties"]
    assert properties["inner"]["default"] == {"a": 1}
    assert "default" not in properties["none"]


def test_rules_of_class_and_field_are_both_there() -> None:
    class Choice(Model):
        object_rules: ClassVar = (exactly_one("oneName", "other"), immutable_presence("other"))
        one_name: int | None = None
        other: Annotated[int, IMMUTABLE] | None = None

    class Outer(Model):
        choice: Annotated[Choice, IMMUTABLE]

    schema = structural_schema(Outer, "spec")["properties"]["choice"]
    assert [rule["rule"] for rule in schema["x-kubernetes-validations"]] == [
        "[has(self.oneName), has(self.other)].filter(given, given).size() == 1",
        "has(self.other) == has(oldSelf.other)",
        "self == oldSelf",
    ]
    assert schema["properties"]["other"]["x-kubernetes-validations"] == [IMMUTABLE.schema()]


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (int | bool, "anyOf"),
        (int | str | None, "anyOf"),
        (Decimal, "anyOf"),
        (Any, "no type"),
        (dict[str, Any], "Passthrough"),
        (list[Any], r"spec.x\[\]: has no type"),
        (list, r"spec.x\[\]: has no type"),
        (tuple[int, str], "prefixItems"),
        (set[int], "uniqueItems"),
        (bytes, "format binary"),
        (Node, r"spec.x.child: Node contains itself"),
        (Annotated[str, Field(examples=["a"])], "keyword examples"),
        (Annotated[str, Field(deprecated=True)], "keyword deprecated"),
        (Annotated[int, Field(json_schema_extra={"x-other": 1})], "keyword x-other"),
        (None, "no type null"),
    ],
)
def test_what_a_crd_has_no_words_for_is_refused(annotation: Any, names: str) -> None:
    with pytest.raises(SchemaError, match=names) as error:
        field(annotation)
    assert str(error.value).startswith("spec.x")


def test_invisible_defaults_are_refused() -> None:
    class Outer(Model):
        inner: list[Inner] = Field(default_factory=list)

    with pytest.raises(SchemaError, match=r"spec.inner: default_factory"):
        structural_schema(Outer, "spec")

    class Deep(Model):
        outer: dict[str, list[Outer]]

    with pytest.raises(SchemaError, match=r"spec.outer.inner: default_factory"):
        structural_schema(Deep, "spec")


@pytest.mark.parametrize(
    ("annotation", "rule", "names"),
    [
        (str, "self != 'a'", "spec.x: needs maxLength"),
        (list[int], "self.size() < 3", "spec.x: needs maxItems"),
        (dict[str, int], "self.all(k, k != 'a')", "spec.x: needs maxProperties"),
        (Annotated[list[str], Field(max_length=3)], "self == oldSelf", r"spec.x\[\]: needs maxLength"),
        (Inner, "self.sice > 1", "spec.x.sice, which is not there"),
    ],
)
def test_rules_over_things_of_any_size_are_refused(annotation: Any, rule: str, names: str) -> None:
    with pytest.raises(SchemaError, match=names):
        field(Annotated[annotation, Rule(rule, "")])


def test_a_rule_in_a_list_of_any_length_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"spec.x\[\]: rule .* lies in a list or map without maxItems"):
        field(list[Annotated[Short, Rule("self != 'a'", "")]])
    with pytest.raises(SchemaError, match=r"spec.x.\*: rule .* lies in a list or map"):
        field(dict[str, Annotated[Short, Rule("self != 'a'", "")]])


@pytest.mark.parametrize(
    ("annotation", "rule"),
    [
        (Short, "self != 'a'"),
        (Annotated[list[Short], Field(max_length=3)], "self == oldSelf"),
        (Literal["a"], "self == oldSelf"),
        (Passthrough, "self == oldSelf"),
        (Inner, "self.size > 1"),
        (Inner, "has(self.size)"),
    ],
)
def test_rules_over_limited_things_are_taken(annotation: Any, rule: str) -> None:
    assert field(Annotated[annotation, Rule(rule, "")])["x-kubernetes-validations"][-1]["rule"] == rule


def model_of(**kinds: Any) -> type[Model]:
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in kinds.items()}
    return create_model("M", __base__=Model, **fields)


LEAVES = st.sampled_from([int, bool, str, Short, Literal["a", "b"], Annotated[int, Field(ge=0, lt=9)], Passthrough])
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda item: list[item]),  # type: ignore[valid-type]
        inner.map(lambda item: dict[str, item]),  # type: ignore[valid-type]
        inner.map(lambda item: item | None),
        st.dictionaries(st.sampled_from(string.ascii_lowercase), inner, max_size=3).map(
            lambda fields: model_of(**fields)
        ),
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.booleans() | st.integers(-3, 12) | st.sampled_from(["", "a", "abcdefghijk"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=5,
)


@given(TYPES, VALUES)
def test_any_model_of_known_types_converts_and_accepts_what_the_model_accepts(kind: Any, value: Any) -> None:
    model = create_model("Root", __base__=Model, x=(kind, ...))
    schema = structural_schema(model, "spec")
    jsonschema.Draft4Validator.check_schema(schema)
    assert not _forbidden(schema)
    try:
        parsed = model.model_validate({"x": value}, strict=True)
    except ValueError:
        return
    jsonschema.Draft4Validator(schema).validate(parsed.model_dump(mode="json", by_alias=True, exclude_none=True))


def _forbidden(schema: Any) -> set[str]:
    """Return keywords that a structural schema must not have, anywhere."""
    found: set[str] = {"title", "$ref", "$defs", "const", "oneOf", "allOf", "not", "prefixItems"} & schema.keys()
    found |= {"additionalProperties: false"} if schema.get("additionalProperties") is False else set()
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return found.union(*(_forbidden(part) for part in inner if isinstance(part, dict)))
