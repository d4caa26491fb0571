"""docs/reference.md says what the models say: it is up to date, it is whole, and its examples are right."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from trainingjob_operator.api.crd import object_schema
from trainingjob_operator.api.types import Model
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec

HACK = Path(__file__).resolve().parents[2] / "docs" / "hack"


def load(name: str) -> ModuleType:
    """The script is no part of a package: it is loaded from its path."""
    spec = importlib.util.spec_from_file_location(name, HACK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    path = list(sys.path)
    yield load("reference")
    sys.path[:] = path
    for name in ("reference_words", "reference_examples"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def page(reference: ModuleType) -> str:
    return str(reference.page())


def test_the_page_is_up_to_date(reference: ModuleType, page: str) -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == page, "the models have changed: run `make generate`"


def test_the_same_models_give_the_same_page(reference: ModuleType, page: str) -> None:
    assert reference.page() == page


def sections(page: str) -> dict[str, str]:
    parts = re.split(r"^#{2,3} (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_field_of_the_crd_has_a_row_with_words(page: str) -> None:
    def rows(schema: dict[str, Any]) -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from rows(inner)
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                yield from rows(schema[keyword])

    crd = object_schema()["properties"]
    for part in ("spec", "status"):
        for field in set(rows(crd[part])):
            found = re.findall(rf"^\| `{field}` \| [^|]+ \| [^|]*\| (.*) \|$", page, re.MULTILINE)
            assert found, f"{field} has no row"
            assert all(text.strip() for text in found), f"{field} has a row without words"


def test_every_link_leads_to_a_section(page: str) -> None:
    anchors = {name.lower() for name in sections(page)}
    assert [link for link in re.findall(r"\]\(#([a-z]+)\)", page) if link not in anchors] == []


def test_every_rule_is_there_in_the_words_of_the_answer(page: str) -> None:
    def classes(model: type[Model]) -> Iterator[type[Model]]:
        for cls in model.__subclasses__():
            if cls.__module__.startswith("trainingjob_operator.api"):
                yield cls
            yield from classes(cls)

    told = sections(page)
    missing = [
        f"{cls.__name__}: {rule.message}"
        for cls in classes(Model)
        for rule in cls.object_rules
        if rule.holds is not None and cls.__name__ in told and rule.message not in told[cls.__name__]
    ]
    assert missing == []
    assert "must have exactly one of program, training" in told["spec"]


def test_what_can_change_after_creation_is_said(page: str) -> None:
    line = next(line for line in page.splitlines() if line.startswith("After creation only"))
    assert "`spec.reporting`" in line
    assert "`spec.image`" not in line
    assert set(re.findall(r"`spec\.(\w+)`", line)) <= {info.alias for info in TrainingJobSpec.model_fields.values()}


def test_every_example_is_right(page: str) -> None:
    """An example is one field, as it is written where the object stands; its model takes it."""
    models = {cls.__name__: cls for cls in _all(Model)}
    checked = 0
    for name, text in sections(page).items():
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
            (value,) = yaml.safe_load(block).values()
            for item in value if isinstance(value, list) else [value]:
                models[name].model_validate(item, strict=True, by_name=False, by_alias=True)
                checked += 1
    assert checked > 20


def _all(model: type[Model]) -> Iterator[type[Model]]:
    for cls in model.__subclasses__():
        yield cls
        yield from _all(cls)
