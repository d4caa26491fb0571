"""The example that a user sees first: well-formed, and its program at least compiles without TensorFlow."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

EXAMPLE = Path(__file__).parents[3] / "examples" / "mnist-cnn.yaml"


def test_the_example_is_a_job_of_three_members_with_a_program_that_compiles() -> None:
    job = yaml.safe_load(EXAMPLE.read_text())
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == (
        "trainingjob.dev/v1alpha1",
        "TrainingJob",
        "mnist-cnn",
    )
    assert job["spec"]["workers"] == {"replicas": 2}
    program = job["spec"]["program"]
    assert program["command"] == ["python", "main.py"]
    source = program["source"]["inline"]["files"]["main.py"]
    assert max(map(len, EXAMPLE.read_text().splitlines())) <= 118
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert "trainingjob" in names


def test_the_global_batch_is_shared_evenly_by_one_two_and_three_members() -> None:
    source = yaml.safe_load(EXAMPLE.read_text())["spec"]["program"]["source"]["inline"]["files"]["main.py"]
    constants = {
        node.targets[0].id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int)
    }
    assert [constants["GLOBAL_BATCH"] % members for members in (1, 2, 3)] == [0, 0, 0]
    assert constants["EPOCHS"] == 10
