"""The examples: what a user reads first. Each is a job that the operator takes, and says what it is and will print."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import check_metadata, parse_spec

EXAMPLES = Path(__file__).parents[3] / "examples"
JOBS = ("linear-regression", "mnist-cnn", "gradient-tape")
NAMES = [*JOBS, *(f"{name}-program" for name in JOBS)]


def load(name: str) -> tuple[str, dict[str, Any], TrainingJobSpec]:
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)
    spec, problems = parse_spec(job["spec"])
    assert spec is not None, problems
    return text, job, spec


def program(spec: TrainingJobSpec) -> str:
    assert spec.program is not None
    assert spec.program.source is not None
    assert spec.program.source.inline is not None
    return spec.program.source.inline.files["main.py"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_a_job_of_three_members(name: str) -> None:
    text, job, spec = load(name)
    assert (job["apiVersion"], job["kind"], job["metadata"]) == (
        "trainingjob.dev/v1alpha1", "TrainingJob", {"name": name},
    )  # fmt: skip
    assert check_metadata(job["metadata"]) == []
    assert spec.workers.replicas == 2
    assert (spec.program is None) == (not name.endswith("-program"))
    assert max(map(len, text.splitlines())) <= 118


@pytest.mark.parametrize("name", NAMES)
def test_its_first_lines_say_what_it_does_and_prints(name: str) -> None:
    text, _, _ = load(name)
    head = text.partition("apiVersion:")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert f"#     kubectl apply -f examples/{name}.yaml" in head
    assert any(f"kubectl logs {option}{name}-chief-0" in line for line in head for option in ("", "-f "))
    promised = [line for line in head if line.startswith("#     ") and "kubectl" not in line]
    assert promised, "what the log ends with; tests/trainer/test_examples.py holds it against a real one"


@pytest.mark.parametrize("name", [f"{name}-program" for name in JOBS])
def test_a_program_compiles(name: str) -> None:
    source = program(load(name)[2])
    compile(source, "main.py", "exec", dont_inherit=True)
    assert max(map(len, source.splitlines())) <= 118


@pytest.mark.parametrize("name", ["linear-regression-program", "mnist-cnn-program"])
def test_keras_scripts_know_nothing_of_clusters(name: str) -> None:
    source = program(load(name)[2])
    assert [word for word in ("TF_CONFIG", "strategy", "tensorflow", "report(", "rank") if word in source] == []
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert {"compile", "fit", "evaluate"} <= called


def test_there_are_no_others() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == sorted([*NAMES, "restarts"])
