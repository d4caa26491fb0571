"""The client knows by itself what a TrainingJob's fields accept; here it is held to the operator's models."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.unit.operator.core.builders import job, platform
from trainingjob_client.tfjob import accepted, quantity, scheduling
from trainingjob_operator.api import names, node_pool, program, types, v1alpha1, volumes
from trainingjob_operator.api.data import DataPath
from trainingjob_operator.core import pod_template
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.quantity import parse_quantity

CLIENT = Path(__file__).resolve().parents[3] / "client" / "trainingjob_client"

TEXTS = st.one_of(
    st.text(alphabet="ab0A-_./: \n", max_size=8),
    st.text(max_size=6),
    st.sampled_from(
        [
            "a" * 63,
            "a" * 64,
            "a" * 253,
            "a" * 254,
            "nvidia.com/gpu",
            "/tmp",
            "/data",
            "gs://b/c",
            "/a/../b",
            "/.a",
            "/.",
            "//",
        ]
    ),
)
QUANTITIES = st.one_of(
    TEXTS, st.integers(-2, 5), st.booleans(), st.none(), st.from_regex(r"[0-9.]{1,3}(m|Ki|G|e3|E)?", fullmatch=True)
)


def takes(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (accepted.dns_name, types.DnsName),
        (accepted.label_value, types.LabelValue),
        (accepted.extended_resource, types.ExtendedResource),
        (accepted.absolute_path, types.AbsolutePath),
        (accepted.relative_path, types.RelativePath),
        (accepted.data_path, DataPath),
        (accepted.mount_path, volumes.Volume.model_fields["mount_path"].rebuild_annotation()),
        (accepted.env_name, program.EnvVar.model_fields["name"].rebuild_annotation()),
    ],
)
def test_texts(ours: Any, theirs: Any) -> None:
    @given(TEXTS)
    def same(text: str) -> None:
        assert ours(text) == takes(theirs, text)

    same()


@given(QUANTITIES)
def test_quantities(value: Any) -> None:
    assert (accepted.quantity(value) is not None) == takes(types.Quantity, value)


@given(QUANTITIES)
def test_how_much_a_quantity_is(value: Any) -> None:
    """The operator's own reading decides; the client may read more, never another number."""
    if accepted.quantity(value) is not None and parse_quantity(value) is not None:
        assert quantity.amount(value) == parse_quantity(value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "key": st.sampled_from(["", "a"]),
            "operator": st.sampled_from(["Exists", "Equal", "Gt"]),
            "value": st.sampled_from(["", "b"]),
            "effect": st.sampled_from(["NoSchedule", "NoExecute", "Never"]),
            "tolerationSeconds": st.sampled_from([0, 5, -1, "5"]),
            "other": st.just(1),
        },
    )
)
def test_tolerations(item: dict[str, Any]) -> None:
    assert scheduling._toleration(item) == takes(node_pool.Toleration, item)


def test_limits_and_names() -> None:
    def inner(model: Any, field: str) -> int:
        schema = TypeAdapter(model).json_schema(by_alias=False)["properties"][field]
        options = [schema, *schema.get("anyOf", ())]
        return next(
            option[key] for option in options for key in ("maxItems", "maxProperties", "maxLength") if key in option
        )

    assert accepted.MAX_NAME == names.MAX_JOB_NAME
    assert accepted.MAX_WORKERS == names.MAX_WORKERS
    assert accepted.CONTAINER == names.CONTAINER
    assert accepted.OWN_LABELS == names.GROUP + "/"
    assert accepted.RESERVED_PATHS == volumes.RESERVED_PATHS
    assert set(accepted.OWN_POD_FIELDS) == set(pod_template.OWNED_POD_FIELDS)
    assert set(accepted.POD_LISTS) == set(pod_template._PASSTHROUGH_LISTS)
    assert inner(program.Program, "command") == accepted.MAX_COMMAND
    assert inner(program.Program, "args") == accepted.MAX_ARGS
    assert inner(program.Program, "env") == accepted.MAX_ENV
    assert inner(program.Program, "env_from") == accepted.MAX_ENV_FROM
    assert inner(program.EnvVar, "value") == accepted.MAX_ENV_VALUE
    assert inner(v1alpha1.TrainingJobSpec, "image_pull_secrets") == accepted.MAX_PULL_SECRETS
    assert inner(v1alpha1.TrainingJobSpec, "volumes") == accepted.MAX_VOLUMES
    assert inner(node_pool.NodePool, "node_selector") == accepted.MAX_SELECTOR
    assert inner(node_pool.NodePool, "tolerations") == accepted.MAX_TOLERATIONS
    assert inner(node_pool.NodePool, "topology_spread") == accepted.MAX_SPREAD
    assert inner(node_pool.Resources, "limits") == accepted.MAX_RESOURCES
    assert inner(v1alpha1.PodMetadata, "labels") == accepted.MAX_METADATA


def test_the_names_of_the_operators_own_volumes() -> None:
    """A volume of podTemplate with one of these names would be merged with the operator's."""
    claim = {"persistentVolumeClaim": {"claimName": "c"}}
    spec = {
        "image": "own:1",
        "program": {"command": ["a"], "source": {"configMap": {"name": "c"}}},
        "volumes": [{"mountPath": "/a", **claim}],
        "nodePool": {"accelerator": {}},
        "checkpoint": {"volume": claim},
        "output": {"volume": claim},
    }
    volumes_made = build_pod(job(**spec), "chief", 0, 1, platform())["spec"]["volumes"]
    assert len(volumes_made) == 9
    assert [volume["name"] for volume in volumes_made if not accepted.OWN_VOLUMES.match(volume["name"])] == []


def test_the_client_imports_what_its_package_declares_and_no_operator() -> None:
    """People install it alone. `trainingjob_local`, beside it in the package, is what `run` asks the operator's rules."""
    found = set()
    for path in CLIENT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    project = tomllib.loads((CLIENT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["plot"]]
    names_declared = {re.split(r"[^a-z0-9-]", each)[0].replace("pyyaml", "yaml") for each in declared}
    own = {"trainingjob_client", "trainingjob_local"}
    assert found - sys.stdlib_module_names - own == names_declared
