"""Write docs/reference.md: every field of a TrainingJob, from the models that the CRD comes from.

One section for each object, wherever it occurs; a table of its fields; its rules, in the sentences with which a wrong
job is answered; an example. The same models give the same page.

    PYTHONPATH=operator python docs/hack/reference.py            # rewrite
    PYTHONPATH=operator python docs/hack/reference.py --check    # fail when it is out of date
"""

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from reference_examples import EXAMPLES
from reference_words import described, limited, messages, shown, typed

from trainingjob_operator.api import names
from trainingjob_operator.api.rules import IMMUTABLE
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.api.types import Model
from trainingjob_operator.api.v1alpha1 import OBJECT_RULES, TrainingJobSpec

PAGE = Path(__file__).resolve().parents[1] / "reference.md"
_INTRODUCTION = f"""\
<!-- Generated from the models in operator/trainingjob_operator/api by docs/hack/reference.py. Do not edit: change the
     models and run `make generate`. -->
# Field reference

Every field of a `{names.KIND}` ({names.API_VERSION}), as `kubectl explain {names.SHORT_NAME}.spec --recursive` has it
too. [Guides](README.md) show how they go together.

A type that is a link has a section of its own. A *Keras object* is a name that Keras has, like `adam`, or that name
with parameters, like `{{Adam: {{learning_rate: 0.001}}}}` ([notation](guides/declarative.md#keras-objects)). *Any
object* belongs to another API and is taken as it is. A default stands in the stored job, too; where there is none the
field is absent, and its text says what happens then.
"""


def page() -> str:
    """Return the whole page."""
    spec, status = _Schema(TrainingJobSpec, "spec"), _Schema(TrainingJobStatus, "status")
    parts = [
        _INTRODUCTION,
        "## At a glance\n",
        "```text\n" + "\n".join(_tree(spec)) + "\n```\n",
        "## metadata\n",
        "\n".join(f"- `{rule.field_path.removeprefix('.')}` {_sentence(rule.message)}" for rule in OBJECT_RULES)
        + "\n",
        *_part(spec, "## spec\n", _changeable(spec)),
        *_part(status, "## status\n", "The operator writes it; nobody else does. [Reading it](status.md).\n"),
    ]
    return "\n".join(parts)


class _Schema:
    """The JSON schema of a model: each object that lies in it, by the name of its class."""

    def __init__(self, model: type[Model], root: str) -> None:
        raw = model.model_json_schema(by_alias=True)
        self.root, self.top = root, model.__name__
        definitions = raw.get("$defs", {})
        words = {name: definition for name, definition in definitions.items() if "properties" not in definition}
        raw = _without_references(raw, words)
        self.objects: dict[str, dict[str, Any]] = {self.top: raw, **raw.get("$defs", {})}
        self.models = {cls.__name__: cls for cls in _classes(Model)}
        self.places: dict[str, list[str]] = {}
        self._find()

    def text(self, name: str, field: str) -> str:
        """Return what a field's documentation says."""
        for own, info in self.models[name].model_fields.items():
            if (info.alias or own) == field:
                return described(info.description or "")
        return ""

    def fields(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the fields of an object, by their names."""
        fields: dict[str, dict[str, Any]] = self.objects[name].get("properties", {})
        return fields

    def _find(self) -> None:
        """Find where each object occurs, the shortest way first; what lies in an object is told below that place."""
        waiting = [(self.top, self.root, "")]
        children: dict[str, list[str]] = {}
        while waiting:
            name, path, holder = waiting.pop(0)
            first = name not in self.places
            self.places.setdefault(name, []).append(path)
            if not first:
                continue
            children.setdefault(holder, []).append(name)
            for field, node in self.fields(name).items():
                target, suffix = referenced(node)
                if target is not None:
                    waiting.append((target, f"{path}.{field}{suffix}", name))
        self.order = list(_depth_first(children, self.top))


def _without_references(node: Any, words: dict[str, Any]) -> Any:
    """Return a schema with the definitions that are no objects, sets of words, in the places that name them."""
    if isinstance(node, list):
        return [_without_references(item, words) for item in node]
    if not isinstance(node, dict):
        return node
    definition = words.get(str(node.get("$ref")).removeprefix("#/$defs/"), {})
    kept = {key: _without_references(item, words) for key, item in node.items() if not (definition and key == "$ref")}
    return {**definition, **kept}


def _depth_first(children: dict[str, list[str]], name: str) -> Iterator[str]:
    yield name
    for child in children.get(name, ()):
        yield from _depth_first(children, child)


def referenced(schema: dict[str, Any]) -> tuple[str | None, str]:
    """Return (the object that a field holds, `[]` or `.*` when it holds many)."""
    for option in (schema, *schema.get("anyOf", ())):
        if "$ref" in option:
            return str(option["$ref"]).removeprefix("#/$defs/"), ""
        for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
            inner = option.get(keyword)
            if isinstance(inner, dict) and "$ref" in inner:
                return str(inner["$ref"]).removeprefix("#/$defs/"), suffix
    return None, ""


def _classes(model: type[Model]) -> Iterator[type[Model]]:
    for cls in model.__subclasses__():
        yield cls
        yield from _classes(cls)


def _part(schema: _Schema, heading: str, introduction: str) -> Iterator[str]:
    yield heading
    yield introduction
    yield from _object(schema, schema.top)
    for name in schema.order:
        if name != schema.top:
            yield f"### {name}\n"
            where = ", ".join(f"`{place}`" for place in schema.places[name])
            yield f"{_own_words(schema, name)} {where}\n"
            yield from _object(schema, name)


def _own_words(schema: _Schema, name: str) -> str:
    return described(schema.objects[name].get("description", "")).replace("\n\n", " ")


def _object(schema: _Schema, name: str) -> Iterator[str]:
    """Yield the table of an object's fields, its rules and its example."""
    required = schema.objects[name].get("required", ())
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    rules: list[str] = []
    for field, node in schema.fields(name).items():
        default = "required" if field in required else shown(node.get("default"))
        text = " ".join(filter(None, (schema.text(name, field), limited(node))))
        rows.append(f"| `{field}` | {typed(node)} | {default} | {_cell(text)} |")
        rules += [f"`{field}` {message}" for message in messages(node) if message != IMMUTABLE.message]
    yield "\n".join(rows) + "\n"
    rules += [
        f"`{rule.field_path.removeprefix('.')}` {rule.message}" if rule.field_path else rule.message
        for rule in schema.models[name].object_rules
        if rule.holds is not None
    ]
    if rules:
        yield "What breaks a rule is answered with it:\n"
        yield "\n".join(f"- {_sentence(rule)}" for rule in rules) + "\n"
    if name in EXAMPLES:
        yield f"```yaml\n{EXAMPLES[name].strip()}\n```\n"


def _changeable(schema: _Schema) -> str:
    free = [
        f"`spec.{field}`"
        for field, node in schema.fields(schema.top).items()
        if IMMUTABLE.message not in messages(node)
    ]
    return f"After creation only {' and '.join(free)} can be changed. Any other field {IMMUTABLE.message}.\n"


def _sentence(message: str) -> str:
    return message if message.endswith(".") else message + "."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _tree(schema: _Schema) -> Iterator[str]:
    """Yield the fields of the spec and of the objects in it, two levels deep, with their types."""
    yield f"{schema.root}:"
    for field, node in schema.fields(schema.top).items():
        target, suffix = referenced(node)
        if target is None:
            yield f"  {field + ':':24} {typed(node, links=False)}"
            continue
        yield f"  {field}:{' # a list' if suffix == '[]' else ''}"
        for inner, inside in schema.fields(target).items():
            yield f"    {inner + ':':22} {typed(inside, links=False)}"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or say what is out of date; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = page()
    if not parser.parse_args(arguments).check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    difference = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), str(PAGE), "the models", lineterm="", n=1
    )
    sys.stderr.writelines(f"{line}\n" for line in difference)
    return int(found != wanted)


if __name__ == "__main__":
    sys.exit(main())
