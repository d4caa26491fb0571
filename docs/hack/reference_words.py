"""A field's schema in words for people: its type, its limits, its default."""

import json
import re
from typing import Any

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "any object",
}
#: What patterns of the models mean. One that is missing here is shown as it is.
_PATTERNS = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "A DNS label: lower-case letters, digits, dashes.",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "A DNS name: lower-case letters, digits, dashes, dots.",
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$": "",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$": "With its domain.",
    r"^(/|(/[.]?[^/:.][^/:]*)+)$": "An absolute path.",
    r"^(/[.]?[^/:.][^/:]*)+$": "An absolute path below /.",
    r"^[.]?[^/:.][^/:]*(/[.]?[^/:.][^/:]*)*$": "A relative path.",
    r"^(/|[a-z][a-z0-9+.-]*://)[^\s]*$": "An absolute path, or one like gs://bucket/folder.",
    r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$": "",
    r"^[A-Za-z_][A-Za-z0-9_.-]*$": "Letters, digits, `_`, `.` and `-`.",
    r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$": "Letters, digits, `_`, `.`, `/` and `-`.",
    r"^\S+$": "",
}


def typed(node: dict[str, Any], *, links: bool = True) -> str:
    """Return a field's type, with links to the sections of objects."""
    node = _one(node)
    if "$ref" in node:
        name = str(node["$ref"]).removeprefix("#/$defs/")
        return f"[{name}](#{name.lower()})" if links else name
    if "enum" in node or "const" in node:
        quote = "`" if links else ""
        return ", ".join(f"{quote}{_plain(value)}{quote}" for value in node.get("enum", [node.get("const")]))
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if node.get("type") == "array":
        return f"list of {typed(node['items'], links=links)}"
    if node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map to {typed(node['additionalProperties'], links=links)}"
    if "type" not in node:
        return "Keras object" if node.get("x-kubernetes-preserve-unknown-fields") else "any"
    return _TYPES[node["type"]]


def limited(node: dict[str, Any]) -> str:
    """Return a field's limits in sentences; limits so wide that nobody meets them are not told."""
    node = _one(node)
    sentences = [_range(node), _sizes(node), _PATTERNS.get(node.get("pattern", ""), _pattern(node))]
    items = node.get("items", node.get("additionalProperties"))
    if isinstance(items, dict) and "$ref" not in items:
        inner = _one(items)
        sentences += [each and f"Each: {each[0].lower()}{each[1:]}" for each in (_range(inner),)]
    if node.get("x-kubernetes-list-type") == "map":
        keys = " and ".join(f"`{key}`" for key in node["x-kubernetes-list-map-keys"])
        sentences.append(f"Items differ by {keys}.")
    return " ".join(sentence for sentence in sentences if sentence)


def messages(node: dict[str, Any]) -> list[str]:
    """Return the sentences of a field's own rules."""
    found = [*node.get("x-kubernetes-validations", ()), *_one(node).get("x-kubernetes-validations", ())]
    return list(dict.fromkeys(rule["message"] for rule in found))


def shown(default: Any) -> str:
    """Return a default as it would be written in YAML's short form; empty when there is none."""
    if default is None:
        return ""
    if isinstance(default, dict):
        given = {name: value for name, value in default.items() if value is not None}
        return "`{" + ", ".join(f"{name}: {_plain(value)}" for name, value in given.items()) + "}`"
    return f"`{_plain(default)}`"


def described(text: str) -> str:
    """Return a docstring with one line for each paragraph."""
    return "\n\n".join(" ".join(block.split()) for block in re.split(r"\n\s*\n", text.strip()))


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _one(node: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema without `or null`: absence is how Kubernetes says nothing."""
    if node.get("x-kubernetes-int-or-string"):
        return node
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    return (
        {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}} if len(options) == 1 else node
    )


def _range(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if above is not None:
        least = f"More than {above}"
        return (
            f"{least}, less than {below}."
            if below is not None
            else f"{least}, at most {high:,}."
            if high
            else f"{least}."
        )
    if node.get("x-kubernetes-int-or-string") or (low is None and high is None):
        return ""
    if low is not None and high is not None:
        return f"{low} to {high:,}."
    return f"At least {low}." if low is not None else f"At most {high:,}."


def _sizes(node: dict[str, Any]) -> str:
    if node.get("type") == "array":
        least, most = node.get("minItems", 0), node.get("maxItems")
        if most is None:
            return ""
        return f"Exactly {most}." if least == most else f"{'At least one, at' if least else 'At'} most {most:,}."
    if node.get("type") == "object":
        most = node.get("maxProperties")
        return f"At most {most:,}." if most else ""
    most = node.get("maxLength")
    if node.get("type") != "string" or not most or node.get("enum") or most in (253, 1024):
        return ""
    return "One character." if most == 1 else f"At most {most:,} characters."


def _pattern(node: dict[str, Any]) -> str:
    pattern = node.get("pattern")
    return f"Matches `{pattern}`." if pattern and not node.get("x-kubernetes-int-or-string") else ""
