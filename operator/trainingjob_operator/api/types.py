"""The building blocks of the models: the base class, and types that a CRD schema has a word of its own for."""

import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError

from trainingjob_operator.api.rules import Fault, Rule, refuse


class Model(BaseModel):
    """Base of all models: camelCase in YAML, unknown fields refused, immutable once read."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    object_rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules on the object as a whole."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """Take null for absent, as an API server does with every field that is not nullable (here: all)."""
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data

    @model_validator(mode="after")
    def _judge(self) -> Self:
        faults: list[Fault] = [
            (tuple(rule.field_path.split(".")[1:]), rule.message, self)
            for rule in self.object_rules
            if rule.holds is not None and not rule.holds(self)
        ]
        if faults:
            raise refuse(type(self).__name__, faults)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler(schema)
        if rules := [rule.schema() for rule in cls.object_rules if rule.cel]:
            handler.resolve_ref_schema(json_schema)["x-kubernetes-validations"] = rules
        return json_schema


#: An object that belongs to another API (affinity, a pod's spec): carried as it is.
Passthrough = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]

QUANTITY_PATTERN = r"^[+]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$"
MAX_QUANTITY = 32


def _quantity(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if (
        isinstance(value, str)
        and len(value) <= MAX_QUANTITY
        and re.fullmatch(QUANTITY_PATTERN[1:-1], value, re.ASCII)
    ):
        return value
    raise PydanticCustomError("quantity", "must be a quantity of at least 0, like 2, 500m or 1Gi")


#: A Kubernetes quantity, `2`, `500m` or `1Gi`.
Quantity = Annotated[
    int | str,
    PlainValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY_PATTERN,
            "maxLength": MAX_QUANTITY,
            "minimum": 0,
        }
    ),
]

#: A finite number, or one of the texts NaN, Infinity, -Infinity, which JSON has no numbers for.
MetricValue = Annotated[float | str, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
#: A name that a program may report a metric by; the contract with the launcher has the same pattern.
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$", max_length=63)]

# A path's segment is never "." or "..": what a path looks like is where it leads.
_SEGMENT = r"[.]?[^/:.][^/:]*"
ABSOLUTE_PATH_PATTERN = rf"^(/|(/{_SEGMENT})+)$"
MOUNT_PATH_PATTERN = rf"^(/{_SEGMENT})+$"
RELATIVE_PATH_PATTERN = rf"^{_SEGMENT}(/{_SEGMENT})*$"

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
AbsolutePath = Annotated[str, StringConstraints(pattern=ABSOLUTE_PATH_PATTERN, max_length=1024)]
MountPath = Annotated[str, StringConstraints(pattern=MOUNT_PATH_PATTERN, max_length=1024)]
RelativePath = Annotated[str, StringConstraints(pattern=RELATIVE_PATH_PATTERN, max_length=1024)]
EXTENDED_RESOURCE_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
#: A resource of a device plugin: always with a domain, like nvidia.com/gpu.
ExtendedResource = Annotated[str, StringConstraints(pattern=EXTENDED_RESOURCE_PATTERN, max_length=253)]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]
Text = Annotated[str, StringConstraints(max_length=4096)]
ShortText = Annotated[str, StringConstraints(max_length=253)]
