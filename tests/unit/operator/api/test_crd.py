"""The generated files: complete, documented, the same each time, and safe to run through Helm."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from trainingjob_operator.api import crd
from trainingjob_operator.api.bounds import Schema

ROOT = Path(__file__).resolve().parents[4]


def nodes(schema: Schema, path: str = "") -> list[tuple[str, Schema]]:
    """Return every node of a schema with its path."""
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += nodes(inner, f"{path}.{name}".strip("."))
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            found += nodes(schema[keyword], path + suffix)
    return found


def test_the_chart_has_what_the_models_say() -> None:
    assert crd.check(ROOT / crd.CHART_TEMPLATE) == []


def test_the_yaml_is_the_object() -> None:
    assert yaml.safe_load(crd.render_yaml()) == crd.custom_resource_definition()
    assert crd.render_yaml() == crd.render_yaml()
    assert crd.render_yaml().startswith("# Generated from the models")
    assert crd.REGENERATE in crd.render_yaml()


def test_no_text_is_a_boolean_for_kubectl() -> None:
    """Its YAML takes a bare y or n for true or false; as a field's name that can't even be mended by who writes a job."""
    fields = {path.rpartition(".")[2] for path, _ in nodes(crd.object_schema())}
    assert not fields & {"y", "n", "yes", "no", "on", "off"}
    assert "default: 'y'\n" in crd.render_yaml()


def test_every_field_is_documented() -> None:
    for path, schema in nodes(crd.object_schema()):
        if path and not path.endswith(("[]", "*")) and not path.startswith("metadata"):
            description = schema.get("description", "")
            assert description.endswith("."), f"{path}: {description!r}"
            assert "\n" not in description.replace("\n\n", ""), path


def test_every_default_is_valid_where_it_stands() -> None:
    found = {path: schema["default"] for path, schema in nodes(crd.object_schema()) if "default" in schema}
    for path, schema in nodes(crd.object_schema()):
        if path in found:
            jsonschema.Draft4Validator(schema).validate(found[path])
    assert found["spec.workers"] == {"replicas": 0}
    assert found["spec.workers.replicas"] == 0
    assert found["spec.reporting"] == {"intervalSeconds": 5, "history": 100, "tensorboard": False}


def test_status_is_optional_and_a_subresource() -> None:
    assert crd.object_schema()["required"] == ["spec"]
    (version,) = crd.custom_resource_definition()["spec"]["versions"]
    assert version["subresources"] == {"status": {}}


def test_printer_columns_show_fields_that_are_there() -> None:
    paths = {path for path, _ in nodes(crd.object_schema())}
    (version,) = crd.custom_resource_definition()["spec"]["versions"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".")
        assert path in paths or path == "metadata.creationTimestamp", column


def render(template: str, *, install: bool, keep: bool) -> Any:
    """Do what Helm does with the few words of template that the file has."""
    lines, open_blocks = [], [True]
    for line in template.replace('{{ "{{" }}', "\0").splitlines():
        word = line.strip()
        if word == "{{- if .Values.crds.install }}":
            open_blocks.append(install)
        elif word == "{{- if .Values.crds.keep }}":
            open_blocks.append(keep)
        elif word == "{{- end }}":
            open_blocks.pop()
        else:
            assert "{{" not in line, line
            lines += [line] if all(open_blocks) else []
    assert open_blocks == [True]
    return yaml.safe_load("\n".join(lines).replace("\0", "{{"))


def test_the_template_renders_to_the_crd() -> None:
    definition = crd.custom_resource_definition()
    assert render(crd.render_chart_template(), install=True, keep=False) == definition
    assert render(crd.render_chart_template(), install=False, keep=True) is None
    kept = render(crd.render_chart_template(), install=True, keep=True)
    assert kept["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert kept == definition


def test_braces_in_descriptions_are_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = crd.custom_resource_definition()
    definition["spec"]["names"]["kind"] = "Use {{ .Values.evil }} and {{\n\n{{- end }}"
    monkeypatch.setattr(crd, "custom_resource_definition", lambda: definition)
    assert render(crd.render_chart_template(), install=True, keep=False) == definition


def test_drift_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "crd.yaml"
    assert crd.check(path) == [f"{path}: No such file or directory; run `{crd.REGENERATE}`"]
    path.write_text(crd.render_chart_template().replace("maximum: 999", "maximum: 1000"))
    message, *difference = crd.check(path)
    assert crd.REGENERATE in message
    assert any(line.startswith("-") and line.endswith("maximum: 1000") for line in difference)
    assert any(line.startswith("+") and line.endswith("maximum: 999") for line in difference)
