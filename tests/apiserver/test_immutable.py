"""What can't change after creation, down to the last field of objects that the schema doesn't know.

CEL can't look into `x-kubernetes-preserve-unknown-fields`, but it compares such an object as a whole, deeply. That
is not written in the API's documentation, so it is tested here, field by field.
"""

import copy
from typing import Any

import pytest
import yaml

from tests.apiserver.api import Api, RefusedError
from tests.apiserver.server import ApiServer
from tests.apiserver.test_specs import job
from tests.unit.operator.api.specs import DECLARATIVE, EVERYTHING
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec

PATHS: dict[str, tuple[Any, Any]] = {
    "managedBy": ("managedBy", "trainingjob.dev/operator"),
    "elastic": ("elastic.waitSeconds", 31),
    "failurePolicy": ("failurePolicy.rules.1.action", "Fail"),
    "image": ("image", "other"),
    "imagePullPolicy": ("imagePullPolicy", "Always"),
    "imagePullSecrets": ("imagePullSecrets.0", "other"),
    "workers": ("workers.replicas", 4),
    "nodePool": ("nodePool.accelerator.count", 4),
    "nodePool.affinity": (
        "nodePool.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.0",
        {"matchFields": []},
    ),
    "resources": ("resources.limits.cpu", 3),
    "evaluator": ("evaluator.resources.limits.memory", "3Gi"),
    "communication": ("communication", "nccl"),
    "checkpoint": ("checkpoint.everySteps", 501),
    "output": ("output.format", "keras"),
    "stopWhen": ("stopWhen.reaches", 0.98),
    "volumes": ("volumes.0.readOnly", False),
    "volumes.csi": ("volumes.7.csi.volumeAttributes.a", "c"),
    "volumes.ephemeral": ("volumes.8.ephemeral.volumeClaimTemplate.spec.accessModes.0", "ReadWriteMany"),
    "podTemplate": ("podTemplate.metadata.labels.team", "audio"),
    "podTemplate.spec": ("podTemplate.spec.containers.0.securityContext.capabilities.add.0", "SYS_ADMIN"),
    "program": ("program.source.inline.files.main.py", "print('ho')\n"),
    "program.env": ("program.env.1.valueFrom.secretKeyRef.key", "other"),
    "program.envFrom": ("program.envFrom.0.configMapRef.name", "other"),
}
#: What may change while the job runs, and after it.
MUTABLE = {"suspend", "runPolicy", "reporting"}
TRAINING = DECLARATIVE["builtin"]


def changed(spec: Any, path: str, value: Any) -> Any:
    """Return a copy of a spec with another value at a path."""
    spec = copy.deepcopy(spec)
    here, steps = spec, path.replace("main.py", "main/py").split(".")
    for step in steps[:-1]:
        here = here[int(step)] if isinstance(here, list) else here[step]
    last = steps[-1].replace("/", ".")
    here[int(last) if isinstance(here, list) else last] = value
    assert spec != EVERYTHING
    return spec


def refused_fields(api: Api, path: str, spec: Any) -> list[str]:
    """Return the fields for which the API server refuses to change a job to this spec."""
    body = api.get(path)
    with pytest.raises(RefusedError) as refusal:
        api.request("PUT", path, {**body, "spec": spec})
    assert all("is immutable: delete the job" in message for _, message in refusal.value.causes), refusal.value
    return refusal.value.fields


@pytest.fixture
def everything(api: Api, jobs: str) -> str:
    """A job with every field set."""
    api.create(jobs, job(EVERYTHING))
    return f"{jobs}/job"


@pytest.mark.parametrize("name", PATHS)
def test_values_do_not_change(api: Api, everything: str, name: str) -> None:
    path, value = PATHS[name]
    assert refused_fields(api, everything, changed(EVERYTHING, path, value)) == [f"spec.{name.split('.')[0]}"]


@pytest.mark.parametrize("name", sorted(EVERYTHING.keys() - MUTABLE - {"workers", "program"}))
def test_fields_are_not_removed(api: Api, everything: str, name: str) -> None:
    # what evaluates checkpoints, and what lies beside them, goes with them
    gone = {name, "evaluator"} if name == "checkpoint" else {name}
    spec = {key: value for key, value in EVERYTHING.items() if key not in gone}
    if name == "checkpoint":
        spec["reporting"] = {**EVERYTHING["reporting"], "tensorboard": False}
    assert sorted(refused_fields(api, everything, spec)) == sorted(f"spec.{field}" for field in gone)


@pytest.mark.parametrize("name", sorted(EVERYTHING.keys() - MUTABLE - {"program"}))
def test_fields_are_not_added(api: Api, jobs: str, name: str) -> None:
    least = {"program": EVERYTHING["program"]}
    if name == "evaluator":  # needs one
        least["checkpoint"] = EVERYTHING["checkpoint"]
    if name == "elastic":
        least["workers"] = EVERYTHING["workers"]
    api.create(jobs, job(least))
    assert refused_fields(api, f"{jobs}/job", {**least, name: EVERYTHING[name]}) == [f"spec.{name}"]


def test_training_does_not_change(api: Api, jobs: str) -> None:
    api.create(jobs, job(TRAINING))
    other = changed(TRAINING, "training.model.layers.1.Dense.units", 11)
    assert refused_fields(api, f"{jobs}/job", other) == ["spec.training"]
    assert refused_fields(api, f"{jobs}/job", {"program": {}}) == ["spec.program", "spec.training"]


def test_the_order_of_what_has_none_may_change(api: Api, everything: str) -> None:
    """Volumes are told apart by mountPath, variables by name: another order is the same spec."""
    spec = copy.deepcopy(EVERYTHING)
    spec["volumes"].reverse()
    spec["imagePullSecrets"].reverse()
    api.request("PUT", everything, {**api.get(everything), "spec": spec})


@pytest.mark.parametrize(
    "change",
    [
        {"reporting": {"intervalSeconds": 3}},
        {"suspend": False},
        {"runPolicy": {"ttlSecondsAfterFinished": 60}},
        {"runPolicy": {"activeDeadlineSeconds": None, "cleanPodPolicy": "None"}},
        {"suspend": None, "runPolicy": None, "reporting": None},
    ],
    ids=lambda change: "-".join(change),
)
def test_these_may_change(api: Api, everything: str, change: Any) -> None:
    assert api.merge(everything, {"spec": change})["metadata"]["generation"] == 2


@pytest.mark.parametrize("options", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_applying_the_same_manifest_again_changes_nothing(
    server: ApiServer, api: Api, namespace: str, jobs: str, options: list[str]
) -> None:
    """Although the stored object has defaults that the manifest has not."""
    manifest = yaml.safe_dump(job(EVERYTHING))
    versions = set()
    for _ in range(2):
        server.kubectl("-n", namespace, "apply", *options, "-f", "-", stdin=manifest)
        versions.add(api.get(f"{jobs}/job")["metadata"]["resourceVersion"])
    assert len(versions) == 1


def test_the_table_names_every_field_of_the_spec() -> None:
    fields = {str(info.alias) for info in TrainingJobSpec.model_fields.values()}
    assert {name.split(".")[0] for name in PATHS} | {"training"} | MUTABLE == fields
