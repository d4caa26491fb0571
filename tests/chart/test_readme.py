"""README.md of the chart tells what is there."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.chart import helm
from tests.chart.test_rbac import ISSUER, JOBS, OWN

README = (helm.CHART / "README.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its two head lines."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value by its path; an empty object is a value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value and prefix + name != "resources":
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def test_the_table_of_values_is_that_of_the_chart() -> None:
    documented = {name.strip("`"): default.strip("`") for name, default, _ in rows("Values")}
    defaults = leaves(yaml.safe_load(helm.run("show", "values", str(helm.CHART))))
    assert documented == {name: json.dumps(value) for name, value in defaults.items()}


def test_every_value_has_a_comment_in_the_values_file() -> None:
    text = (helm.CHART / "values.yaml").read_text()
    undocumented = []
    for path in leaves(yaml.safe_load(text)):
        name = path.rpartition(".")[2]
        indent = "  " * path.count(".")
        if not re.search(rf"^{indent}# -- .*\n(?:{indent}#.*\n)*{indent}{name}:", text, re.MULTILINE):
            undocumented.append(path)
    assert undocumented == []


def test_the_table_of_rights_is_that_of_the_templates() -> None:
    documented = {
        (what.strip("`"), frozenset(verbs.split(", "))) for what, verbs, _ in rows("Rights of the operator")
    }
    assert documented == {
        (f"{resource}.{group}" if group else resource, verbs) for group, resource, _, verbs in JOBS | OWN | ISSUER
    }


def notes(values: helm.Values, folder: Path) -> str:
    """Return what `helm install` would print; without a cluster helm shows the notes only to another template."""
    chart = shutil.copytree(helm.CHART, folder / "chart")
    (chart / "templates" / "shown.yaml").write_text(
        "kind: Notes\nmetadata: {name: notes}\n"
        'text: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}\n'
    )
    manifests = helm.render(values, "--show-only", "templates/shown.yaml", chart=str(chart))
    return str(helm.pick(manifests, "Notes")["text"])


def commands(said: str) -> list[str]:
    """Return the commands in the notes, without their comments."""
    return [" ".join(line.split("#")[0].split()) for line in said.splitlines() if line.startswith("  kubectl")]


def test_notes_say_what_to_do_next(tmp_path: Path) -> None:
    said = notes({"trainer": {"gpu": {"repository": "a/gpu"}}}, tmp_path)
    assert commands(said) == [
        "kubectl -n trainingjob-system rollout status deployment/trainingjob-operator",
        "kubectl apply -f your-trainingjob.yaml",
        "kubectl get tj -w",
    ]
    assert "all namespaces" in said
    assert "GPU" not in said


def test_notes_name_the_namespace_and_what_is_missing(tmp_path: Path) -> None:
    said = notes({"watchNamespaces": ["team-a", "team-b"], "crds": {"install": False}}, tmp_path)
    assert commands(said)[1:] == ["kubectl apply -f your-trainingjob.yaml -n team-a", "kubectl get tj -w -n team-a"]
    assert "team-a, team-b" in said
    assert "There is no GPU image" in said
    assert "trainingjobs.trainingjob.dev must be there before" in said
