"""A spec is read, or refused in words that name the field, the value and the remedy."""

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.api.specs import BAD, BAD_NAMES, DECLARATIVE, EVERYTHING, GOOD, GOOD_NAMES, Bad, Good
from trainingjob_operator.api.crd import object_schema
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import (
    MAX_PROBLEMS,
    MAX_VALUE,
    Problem,
    check_metadata,
    parse_node_pool,
    parse_spec,
    shorten,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SPEC_SCHEMA = object_schema()["properties"]["spec"]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.id)
def test_good_specs_are_read(good: Good) -> None:
    spec, problems = parse_spec(good.spec)
    assert problems == []
    assert isinstance(spec, TrainingJobSpec)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_bad_specs_are_refused_with_field_and_remedy(bad: Bad) -> None:
    spec, problems = parse_spec(bad.spec)
    assert spec is None
    assert [problem for problem in problems if problem.field == bad.field and bad.says in str(problem)], problems


@pytest.mark.parametrize(("name", "says"), BAD_NAMES)
def test_bad_names_are_refused(name: str, says: str) -> None:
    (problem,) = check_metadata({"name": name})
    assert problem.field == "metadata.name"
    assert says in problem.message


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names_are_taken(name: str) -> None:
    assert check_metadata({"name": name}) == []


@pytest.mark.parametrize("metadata", [None, {}, {"name": 3}, []])
def test_a_name_is_required(metadata: Any) -> None:
    assert [str(problem) for problem in check_metadata(metadata)] == ["metadata.name: is required"]


def test_everything_is_everything() -> None:
    """The good specs name each field of the API. What is used in several places needs to be named in one."""
    named = set().union(*(_leaves(spec) for spec in (EVERYTHING, *DECLARATIVE.values())))
    alike = {
        "training.validation.dataset.": "training.dataset.",
        "training.source.": "program.source.",
        "evaluator.nodePool.": "nodePool.",
        "evaluator.resources.": "resources.",
        "checkpoint.volume.": "volumes.",
        "output.volume.": "volumes.",
    }
    wanted = {_at_home(path, alike) for path in _schema_leaves(SPEC_SCHEMA)}
    assert wanted <= {_at_home(path, alike) for path in named}


def test_a_problem_reads_as_a_sentence() -> None:
    _, problems = parse_spec({"program": {}, "workers": {"replicas": -2}})
    assert [str(problem) for problem in problems] == ["spec.workers.replicas: must be at least 0 (it is -2)"]
    _, problems = parse_spec({"program": {"source": {"configMap": {}}}})
    assert [str(problem) for problem in problems] == [
        "spec.program.source.configMap.name: is required: Name of the ConfigMap, in the job's namespace"
    ]
    _, problems = parse_spec([])
    assert problems == [Problem("spec", "an empty list", "must be an object")]


def test_problems_are_capped() -> None:
    _, problems = parse_spec({f"unknown{n}": n for n in range(100)})
    assert len(problems) == MAX_PROBLEMS


def test_problems_of_a_profile_are_named_like_the_profile() -> None:
    pool, problems = parse_node_pool({"accelerator": {"count": 0}}, "nodePools.a100")
    assert pool is None
    assert [problem.field for problem in problems] == ["nodePools.a100.accelerator.count"]
    pool, problems = parse_node_pool({"nodeSelector": {"pool": "a100"}}, "nodePools.a100")
    assert not problems
    assert pool is not None
    assert pool.node_selector == {"pool": "a100"}


def test_deep_values_are_no_trouble() -> None:
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    _, problems = parse_spec({"program": {"command": deep}, "image": deep})
    assert {problem.field for problem in problems} == {"spec.program.command[0]", "spec.image"}


@given(JSON)
def test_shortened_values_are_short(value: Any) -> None:
    assert len(shorten(value)) <= MAX_VALUE


@given(JSON)
def test_no_json_makes_it_raise(value: Any) -> None:
    spec, problems = parse_spec(value)
    assert (spec is None) == bool(problems)


@settings(max_examples=400)
@given(st.data())
def test_one_changed_value_never_raises_and_agrees_with_the_schema(data: st.DataObject) -> None:
    """Put any JSON anywhere into a good spec: what Python accepts the structural schema accepts too."""
    spec = copy.deepcopy(EVERYTHING)
    path = data.draw(st.sampled_from(sorted(_paths(spec), key=str)))
    parent: Any = spec
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = data.draw(JSON | st.sampled_from(["", "a", "/a", "1Gi", 0, 1, -1, True]))
    parsed, problems = parse_spec(spec)
    assert (parsed is None) == bool(problems)
    if parsed is not None:
        stored = parsed.model_dump(mode="json", by_alias=True, exclude_none=True)
        jsonschema.Draft4Validator(SPEC_SCHEMA).validate(json.loads(json.dumps(stored)))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    here = [path] if path else []
    return here + [inner for key, item in items for inner in _paths(item, (*path, key))]


def _at_home(path: str, alike: dict[str, str]) -> str:
    for here, home in alike.items():
        if path.startswith(here):
            return home + path.removeprefix(here)
    return path


def _leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path} | {leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}".strip("."))}
    if isinstance(value, list):
        return {path} | {leaf for item in value for leaf in _leaves(item, path)}
    return {path}


def _schema_leaves(schema: Any, path: str = "") -> set[str]:
    if "properties" in schema:
        pairs = schema["properties"].items()
        return {leaf for name, inner in pairs for leaf in _schema_leaves(inner, f"{path}.{name}".strip("."))}
    return _schema_leaves(schema["items"], path) if "items" in schema else {path}
