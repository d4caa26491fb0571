"""Node pools: accelerators, selectors, tolerations, priority and spread reach the pods, and the scheduler heeds them.

The node offers GPUs that are not there: its status is patched, as a device plugin would. The scheduler counts them,
and that is what these tests are about; what a program does with a GPU they can't show.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation
from tests.e2e.kube import Json, Kube
from tests.e2e.programs import QUICK, STEADY, job, node_key
from tests.e2e.world import World, condition

GPUS = 4
POOL = "e2e-pool"
PRIORITY = "e2e-training"
TAINT = "e2e.trainingjob.dev/reserved"


@pytest.fixture(scope="module")
def node(operator: Installation) -> Iterator[str]:
    """A node with four GPUs, a label and a taint that the pool's profile tolerates."""
    kube = operator.kube
    name = str(kube.get("nodes")["items"][0]["metadata"]["name"])
    had = kube.get("node", name)["status"]["capacity"].get("nvidia.com/gpu")
    assert had is None, f"node {name} has {had} real GPUs: these tests would overwrite them"
    try:
        _offer(kube, name, GPUS)
        kube.kubectl("label", "node", name, f"{node_key(POOL)}=a100")
        yield name
    finally:
        kube.kubectl("label", "node", name, f"{node_key(POOL)}-")
        _offer(kube, name, None)


@pytest.fixture(scope="module")
def pool(operator: Installation, node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A profile in the Helm values, as a platform team writes it."""
    kube = operator.kube
    kube.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": PRIORITY},
            "value": 1234,
            "preemptionPolicy": "Never",
        }
    )
    folder: Path = tmp_path_factory.mktemp("helm")
    values = operator.values()
    profile: Json = {
        "accelerator": {"resource": "nvidia.com/gpu", "count": 1},
        "nodeSelector": {node_key(POOL): "a100"},
        "tolerations": [{"key": TAINT, "operator": "Equal", "value": "training", "effect": "NoSchedule"}],
        "priorityClassName": PRIORITY,
        "topologySpread": [
            {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    }
    image, _, tag = operator.trainer_image().rpartition(":")
    trainer = {**values.get("trainer", {}), "gpu": {"repository": image, "tag": tag}}
    try:
        operator.upgrade({**values, "nodePools": {POOL: profile}, "trainer": trainer}, folder)
        yield POOL
    finally:
        operator.upgrade(values, folder)
        kube.kubectl("delete", "priorityclass", PRIORITY)


@pytest.fixture
def tainted(operator: Installation, node: str) -> Iterator[None]:
    """The node takes only what tolerates its taint; pods that run already stay."""
    operator.kube.kubectl("taint", "node", node, f"{TAINT}=training:NoSchedule")
    yield
    operator.kube.kubectl("taint", "node", node, f"{TAINT}-")


def _offer(kube: Kube, node: str, count: int | None) -> None:
    paths = [f"/status/{part}/nvidia.com~1gpu" for part in ("capacity", "allocatable")]
    status = kube.get("node", node)["status"]
    patch: list[Json] = (
        [{"op": "add", "path": path, "value": str(count)} for path in paths]
        if count is not None
        else [
            {"op": "remove", "path": path}
            for path, part in zip(paths, ("capacity", "allocatable"), strict=True)
            if "nvidia.com/gpu" in status[part]
        ]
    )
    kube.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(patch))


def test_a_profile_of_the_helm_values(world: World, pool: str, node: str, tainted: None) -> None:
    world.apply(job("pooled", QUICK, workers=1, nodePool={"name": pool}))
    world.until_phase("pooled", "Succeeded")
    for name in ("pooled-chief-0", "pooled-worker-0"):
        spec = world.pods.objects[name]["spec"]
        trainer = spec["containers"][0]
        assert trainer["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert trainer["resources"]["requests"]["nvidia.com/gpu"] == "1"
        assert spec["nodeSelector"] == {node_key(POOL): "a100"}
        assert spec["nodeName"] == node
        assert {"key": TAINT, "operator": "Equal", "value": "training", "effect": "NoSchedule"} in spec["tolerations"]
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
        assert (spec["priorityClassName"], spec["priority"]) == (PRIORITY, 1234)
        assert spec["topologySpreadConstraints"] == [
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"trainingjob.dev/job": "pooled"}},
            }
        ]
        assert "/dev/shm" in [mount["mountPath"] for mount in trainer["volumeMounts"]]


def test_a_job_adds_to_a_profile_and_wins_over_it(world: World, pool: str, node: str) -> None:
    own = {
        "name": pool,
        "accelerator": {"count": 2},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
    }
    world.apply(job("mixed", QUICK, workers=1, nodePool=own))
    world.until_phase("mixed", "Succeeded")
    spec = world.pods.objects["mixed-worker-0"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec["nodeSelector"] == {node_key(POOL): "a100", "kubernetes.io/os": "linux"}
    assert {"spot", TAINT} <= {toleration.get("key") for toleration in spec["tolerations"]}


def test_more_gpus_than_there_are(world: World, pool: str) -> None:
    """Two members with two GPUs fill the node; the next job waits, says why, and starts when they are free."""
    want = {"nodePool": {"name": pool, "accelerator": {"count": 2}}}
    world.apply(job("first", STEADY, workers=1, **want))
    world.until_reported("first")
    world.apply(job("second", QUICK, workers=0, **want))
    found = world.until_condition("second", "MembersReady", "False", "Unschedulable", 15)
    assert "Insufficient nvidia.com/gpu" in found["message"]
    assert world.status("second")["phase"] == "Pending"
    world.go("first-chief-0", "first-worker-0")
    world.until_phase("first", "Succeeded")
    world.until_phase("second", "Succeeded")


def test_the_same_inline_without_a_profile(world: World, node: str, operator: Installation) -> None:
    pool = {
        "accelerator": {"resource": "nvidia.com/gpu", "count": 3},
        "nodeSelector": {node_key(POOL): "a100"},
        "schedulerName": "default-scheduler",
    }
    world.apply(job("inline", QUICK, nodePool=pool, image=operator.trainer_image()))
    world.until_phase("inline", "Succeeded")
    spec = world.pods.objects["inline-chief-0"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "3"
    assert spec["nodeName"] == node


def test_a_profile_that_is_not_there(world: World, pool: str) -> None:
    world.apply(job("lost", QUICK, nodePool={"name": "e2e-pol"}))
    status = world.until_phase("lost", "Invalid", 15)
    assert f"spec.nodePool.name: no such profile; did you mean {pool}?" in condition(status, "Valid")["message"]
    assert world.pods.objects == {}


def test_without_accelerators_the_job_trains_on_cpu(world: World) -> None:
    world.apply(job("plain", QUICK))
    world.until_phase("plain", "Succeeded")
    pod = world.pods.objects["plain-chief-0"]["spec"]
    assert "nvidia.com/gpu" not in json.dumps(pod)
