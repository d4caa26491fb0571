"""Write the part of values.schema.json that the operator's models decide: a node pool profile.

`values.schema.json` is written by hand but for `$defs/nodePool`, which this makes from the pydantic model that reads
the profiles. So Helm refuses a profile that the operator would refuse, before anything is installed.

    python hack/values_schema.py            # rewrite
    python hack/values_schema.py --check    # fail when it is out of date
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

CHART = Path(__file__).resolve().parents[1]
SCHEMA = CHART / "values.schema.json"
REPOSITORY = CHART.parents[1]

# Words of JSON Schema that are copied. One that is new here is an error, so that nothing is dropped unseen.
COPIED = {
    "type", "description", "enum", "pattern", "default", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip


def node_pool() -> dict[str, Any]:
    """Return the JSON schema of a profile: `spec.nodePool` without `name`, which would name another profile."""
    from trainingjob_operator.api.v1alpha1 import NodePool

    model = NodePool.model_json_schema(by_alias=True)
    schema = convert(model, model.get("$defs", {}), "nodePool")
    del schema["properties"]["name"]
    schema["description"] = "A profile of nodes that jobs name in spec.nodePool.name. Fields as in spec.nodePool."
    return schema


def convert(node: dict[str, Any], defs: dict[str, Any], path: str) -> dict[str, Any]:
    """Inline references, drop `null` and titles: in Helm's values an absent field is one that is not written.

    Raises:
        ValueError: a keyword that this doesn't know, with the path of the field that has it.
    """
    if "$ref" in node:
        node = {**defs[node["$ref"].removeprefix("#/$defs/")], **{k: v for k, v in node.items() if k != "$ref"}}
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return convert({**choices[0], **{k: v for k, v in node.items() if k != "anyOf"}}, defs, path)
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("title", "$defs") or key.startswith("x-kubernetes-") or (key == "default" and value is None):
            continue
        if key == "properties":
            result[key] = {name: convert(child, defs, f"{path}.{name}") for name, child in value.items()}
        elif key == "items":
            result[key] = convert(value, defs, f"{path}[]")
        elif key == "additionalProperties":
            result[key] = convert(value, defs, f"{path}{{}}") if isinstance(value, dict) else value
        elif key == "required" or key in COPIED:
            result[key] = value
        else:
            raise ValueError(
                f"{path}: keyword {key!r} is unknown here; teach {Path(__file__).name} what to do with it"
            )
    return result


def render(schema: dict[str, Any]) -> str:
    """Return the text of the file, the same for the same schema."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Rewrite the file, or with --check compare it; exit status 1 says that it differs."""
    parser = argparse.ArgumentParser(description="keep values.schema.json in step with the operator's models")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is out of date")
    check: bool = parser.parse_args().check
    sys.path.insert(0, str(REPOSITORY / "operator"))
    current = SCHEMA.read_text()
    schema = json.loads(current)
    schema["$defs"]["nodePool"] = node_pool()
    wanted = render(schema)
    if wanted == current:
        return 0
    if check:
        print(f"{SCHEMA} is out of date: run python {Path(__file__).relative_to(REPOSITORY)}", file=sys.stderr)
        return 1
    SCHEMA.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
