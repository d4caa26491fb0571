"""Every piece of YAML in the pages is right: jobs are taken by the operator, parts of jobs by their models."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from tests.unit.operator.core.builders import platform, profile
from trainingjob_operator.api.types import Model
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import check_metadata, parse_spec
from trainingjob_operator.core.validation import judge

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(
            re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        ):
            yield pytest.param(yaml.safe_load(block), id=f"{page.relative_to(ROOT).as_posix()}-{number}")


BLOCKS = list(blocks())
JOBS = [block for block in BLOCKS if block.values[0].get("kind") == "TrainingJob"]
PARTS = [block for block in BLOCKS if "kind" not in block.values[0]]


def test_there_is_something_to_look_at() -> None:
    assert len(JOBS) >= 8
    assert len(PARTS) >= 20
    guides = {path.stem for path in (ROOT / "docs/guides").glob("*.md")} - {"limits", "monitoring", "kubectl-plugin"}
    assert {guide for guide in guides if any(f"guides/{guide}.md" in str(job.id) for job in JOBS)} == guides


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_one_that_the_operator_runs(job: dict[str, Any]) -> None:
    assert job["apiVersion"] == "trainingjob.dev/v1alpha1"
    assert check_metadata(job["metadata"]) == []
    spec, problems = parse_spec(job["spec"])
    assert problems == []
    assert spec is not None
    pools = platform(node_pools={"a100": profile(accelerator={"count": 1})})
    assert [str(problem) for problem in judge(spec, pools)] == []


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_job_fits_somewhere_in_a_job(part: dict[str, Any]) -> None:
    """Its keys are fields of one object of the API, and each value is one that the field takes."""
    refusals = []
    for model in models(Model):
        fields = {info.alias: info for info in model.model_fields.values()}
        if not part.keys() <= fields.keys():
            continue
        try:
            for name, value in part.items():
                TypeAdapter(fields[name].rebuild_annotation()).validate_python(
                    value, strict=True, by_name=False, by_alias=True
                )
        except ValidationError as error:
            refusals.append(f"{model.__name__}: {error}")
        else:
            return
    pytest.fail("\n".join(refusals) or f"no object has the fields {', '.join(part)}")


def models(base: type[Model]) -> Iterator[type[Model]]:
    for model in base.__subclasses__():
        if model.__module__.startswith(TrainingJobSpec.__module__.rpartition(".")[0]):
            yield model
        yield from models(model)


@pytest.mark.parametrize("job", [job for job in JOBS if "program" in job.values[0]["spec"]])
def test_python_in_a_job_is_python(job: dict[str, Any]) -> None:
    for name, text in job["spec"]["program"].get("source", {}).get("inline", {}).get("files", {}).items():
        compile(text, name, "exec")
