"""What holds for every TFJob: conversion never raises, forgets nothing, and gives what the operator can run."""

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.client import strategies
from tests.unit.operator.core.builders import UID, platform
from trainingjob_client import Conversion, Level, convert
from trainingjob_operator.api.validation import check_metadata, parse_spec
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.observe import observe_job
from trainingjob_operator.core.validation import judge

CHECKPOINT = st.sampled_from([None, "/ckpt/run", "/elsewhere", "gs://bucket/run"])
COMMAND = st.sampled_from([None, ["python", "/main.py"]])
COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
#: Names that tie parts of a pod together and mean nothing beyond; and what only says which API it is.
TIES = ("volumes", "volumeMounts", "volumeDevices", "containers")


def leaves(value: Any, path: tuple[frozenset[str], ...] = ()) -> Iterator[tuple[tuple[frozenset[str], ...], Any]]:
    """Yield (path, value) of all that is not an object or a list; each step is all the ways that it can be called."""
    if isinstance(value, dict):
        for key, item in value.items():
            role = {".*"} if path and ".tfReplicaSpecs" in path[-1] else set()
            yield from leaves(item, (*path, frozenset({f".{key}", *role})))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            own = {
                f"[{item[key]}]"
                for key in ("name", "mountPath", "containerPort", "key")
                if isinstance(item, dict) and key in item
            }
            yield from leaves(item, (*path, frozenset({f"[{index}]", *own})))
    elif value is not None and value != "":
        yield path, value


def named(path: tuple[frozenset[str], ...], fields: set[str]) -> bool:
    """Whether a note speaks of the value at a path, or of what it lies in."""
    return any(
        "".join(steps).removeprefix(".") in fields
        for length in range(1, len(path) + 1)
        for steps in itertools.product(*path[:length])
    )


def tie(path: tuple[frozenset[str], ...]) -> bool:
    last, holder = path[-1], path[-3] if len(path) > 2 else frozenset()
    return ".name" in last and any(f".{name}" in holder for name in TIES)


def forgotten(job: dict[str, Any], result: Conversion) -> list[str]:
    """Return the values of a TFJob that are neither in the TrainingJob nor named in a note."""
    if result.job is None:
        assert any(note.level is Level.TODO for note in result.notes), "refused without a word"
        return []
    # the members share one template: a note on one role's field speaks for the same field of the others
    fields = {
        re.sub(r"^(spec.tfReplicaSpecs)[.]\w+[.]template", r"\1.*.template", note.field) for note in result.notes
    }
    fields |= {note.field for note in result.notes}
    kept = {str(value) for _, value in leaves(result.job)}
    kept |= {str(key) for key in all_keys(result.job)}
    out = []
    for path, value in leaves(job):
        where = "".join(max(step) for step in path)
        exempt = where in (".apiVersion", ".kind") or where.endswith(".replicas") or tie(path)
        if str(value) not in kept and not exempt and not named(path, fields):
            out.append(f"{where}: {value}")
    return out


def all_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from all_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from all_keys(item)


@COMMON
@given(strategies.tfjobs(), COMMAND, CHECKPOINT)
def test_nothing_is_forgotten(job: dict[str, Any], command: Any, checkpoint: Any) -> None:
    """Every value of the TFJob is in the TrainingJob, or a note names it. Its texts are unlike each other."""
    before = copy.deepcopy(job)
    result = convert(job, command=command, checkpoint=checkpoint)
    assert job == before, "conversion changed what it was given"
    assert forgotten(job, result) == []


@COMMON
@given(strategies.tfjobs(), COMMAND, CHECKPOINT)
def test_the_operator_takes_what_comes_out(job: dict[str, Any], command: Any, checkpoint: Any) -> None:
    result = convert(job, command=command, checkpoint=checkpoint)
    if result.job is None:
        return
    assert check_metadata(result.job["metadata"]) == []
    spec, problems = parse_spec(result.job["spec"])
    assert problems == []
    assert spec is not None
    open_ = {f"spec.program.{note.field.rsplit('.', 1)[-1]}" for note in result.notes if note.level is Level.TODO}
    unannounced = [str(problem) for problem in judge(spec, platform()) if problem.field not in open_]
    assert unannounced == []


@COMMON
@given(strategies.tfjobs())
def test_the_pods_hang_together(job: dict[str, Any]) -> None:
    """Each mount has its volume, each volume one source, each path one mount, each container one name."""
    result = convert(job, command=["python", "/main.py"])
    if result.job is None:
        return
    body = {**result.job, "metadata": {"namespace": "ml", "uid": UID, "generation": 1, **result.job["metadata"]}}
    pod = build_pod(observe_job(body), "chief", 0, 1, platform())["spec"]
    volumes = {volume["name"]: volume.keys() - {"name"} for volume in pod["volumes"]}
    assert len(volumes) == len(pod["volumes"])
    assert [name for name, sources in volumes.items() if len(sources) != 1] == []
    containers = [*pod["containers"], *pod.get("initContainers", ())]
    assert len({container["name"] for container in containers}) == len(containers)
    for container in containers:
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        assert len(set(paths)) == len(paths)
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes.keys()
    trainer = pod["containers"][0]
    assert trainer["name"] == "trainer"
    security = {**pod["securityContext"], **trainer["securityContext"]}
    assert not (security.get("runAsUser") == 0 and security["runAsNonRoot"]), "no kubelet starts that"
    assert not (security.get("privileged") and not security["allowPrivilegeEscalation"]), "no API server takes that"


@COMMON
@given(strategies.tfjobs())
def test_the_gang_has_as_many_members_as_the_tfjob_had_pods_that_train(job: dict[str, Any]) -> None:
    roles = job["spec"]["tfReplicaSpecs"]
    chief, workers = (roles.get(role, {"replicas": 0}).get("replicas", 1) for role in ("Chief", "Worker"))
    result = convert(job)
    members = min(chief, 1) + workers
    assert (result.job is None) == (members == 0)
    if result.job is not None:
        assert result.job["spec"]["workers"]["replicas"] + 1 == members


@settings(COMMON, max_examples=150)
@given(strategies.spoiled(), COMMAND, CHECKPOINT)
def test_what_is_no_tfjob_is_answered_and_not_thrown(job: dict[str, Any], command: Any, checkpoint: Any) -> None:
    result = convert(job, command=command, checkpoint=checkpoint)
    assert forgotten(job, result) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_object_is_answered(anything: Any) -> None:
    result = convert(anything)
    assert result.job is None
    assert result.notes


def test_a_yaml_anchor_that_contains_itself_is_answered() -> None:
    pod: dict[str, Any] = {"containers": [{"name": "tensorflow", "image": "i", "command": ["a"]}]}
    pod["affinity"] = pod
    result = convert(
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "metadata": {"name": "a"},
            "spec": {"tfReplicaSpecs": {"Worker": {"template": {"spec": pod}}}},
        }
    )
    assert any("levels deep" in note.advice for note in result.notes)
