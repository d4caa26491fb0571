"""Print the status of a TrainingJob (JSON on standard input) as YAML a person reads; the standard library only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

#: What nobody reads at the end of a demonstration.
LEFT_OUT = {"history", "display"}


def lines(value: object, indent: str = "") -> Iterator[str]:
    """Yield the YAML lines of a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in LEFT_OUT:
                continue
            if isinstance(inner, dict | list) and inner:
                yield f"{indent}{key}:"
                yield from lines(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {json.dumps(inner)}"
    elif isinstance(value, list):
        for inner in value:
            first, *rest = list(lines(inner, indent + "  ")) or [f"{indent}  null"]
            yield f"{indent}- {first.strip()}"
            yield from rest
    else:
        yield f"{indent}{json.dumps(value)}"


if __name__ == "__main__":
    for line in lines({"status": json.load(sys.stdin).get("status", {})}):
        print(line)
