"""CEL rules need limits: an API server estimates a rule's cost from the greatest sizes, and refuses a CRD over it.

It says so when somebody installs the CRD. This says it when the CRD is made, and is a little stricter: whatever a
rule reads must be limited, down to the last text in it.
"""

import re
from typing import Any, Final

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A model says something that a CRD can't express."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


_PRESENCE: Final = re.compile(r"has\(\s*(?:self|oldSelf)(?:\.\w+)*\s*\)")
_REFERENCE: Final = re.compile(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]\w*\b(?!\())*)")


def check_rules(schema: Schema, path: str, *, bounded: bool = True) -> None:
    """Refuse CEL rules over things of any size, and names that are not there.

    `bounded`: all lists and maps around this node have a limit.

    Raises:
        SchemaError: names the node without a limit, and the rule.
    """
    for rule in schema.get("x-kubernetes-validations", ()):
        if not bounded:
            raise SchemaError(path, f"rule {rule['rule']!r} lies in a list or map without maxItems or maxProperties")
        for reference in _REFERENCE.findall(_PRESENCE.sub("", rule["rule"])):
            steps = reference.split(".")[1:]
            node, at = schema, path
            for step in steps:
                node, at = node.get("properties", {}).get(step), f"{at}.{step}"
                if node is None:
                    raise SchemaError(path, f"rule {rule['rule']!r} names {at}, which is not there")
            _check_bounds(node, at, rule["rule"])
    for name, inner in schema.get("properties", {}).items():
        check_rules(inner, f"{path}.{name}", bounded=bounded)
    if "items" in schema:
        check_rules(schema["items"], f"{path}[]", bounded=bounded and "maxItems" in schema)
    if "additionalProperties" in schema:
        check_rules(schema["additionalProperties"], f"{path}.*", bounded=bounded and "maxProperties" in schema)


def _check_bounds(schema: Schema, path: str, rule: str) -> None:
    limits = {"string": "maxLength", "array": "maxItems"}
    needed = "maxProperties" if "additionalProperties" in schema else limits.get(str(schema.get("type")))
    if needed and needed not in schema and "enum" not in schema and "format" not in schema:
        raise SchemaError(path, f"needs {needed}, because rule {rule!r} reads it")
    for name, inner in schema.get("properties", {}).items():
        _check_bounds(inner, f"{path}.{name}", rule)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            _check_bounds(schema[keyword], path + suffix, rule)
