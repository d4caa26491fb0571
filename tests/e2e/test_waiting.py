"""What keeps members from starting is said in the conditions, with its reason, soon; and mending it is enough."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.kube import Json
from tests.e2e.programs import QUICK, job
from tests.e2e.world import World, condition

#: The promise: from apply to the reason in the conditions.
SOON = 15.0

_numbers = itertools.count(1)
IMPOSSIBLE = "e2e.trainingjob.dev/there-is-no-such-node"


def said(world: World, name: str, reason: str, *words: str) -> Json:
    """Wait until MembersReady is false for a reason, and then until its message has these words; return it.

    The reason comes at once. Who else waits may come later: counts and names are written every ten seconds at most.
    """
    world.until_condition(name, "MembersReady", "False", reason, SOON)

    def complete(status: Json) -> Json | None:
        found = condition(status, "MembersReady")
        assert (status["phase"], found["reason"]) == ("Pending", reason)
        return found if all(word in found["message"] for word in words) else None

    found = world.until(name, complete, f"{words} in the condition's message", SOON)
    world.check_told_once(name, reason)
    return found


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        # nothing listens there: no request leaves the node
        ({"image": "127.0.0.1:9/nobody/nothing:1"}, ["chief-0, worker-0: ", "127.0.0.1:9/nobody/nothing:1"]),
        (
            {"image": "localhost/nothing:1", "imagePullPolicy": "Never"},
            ["localhost/nothing:1"],
        ),
        ({"image": "UPPER/case:1"}, ["UPPER/case:1"]),
    ],
    ids=["registry out of reach", "not on the node", "no image name"],
)
def test_an_image_that_cannot_be_pulled(shared_world: World, spec: Json, words: list[str]) -> None:
    name = f"image-{next(_numbers)}"
    shared_world.apply(job(name, workers=1, **spec))
    said(shared_world, name, "ImageNotPulled", *words)
    shared_world.kubectl("delete", "tj", name)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"nodePool": {"nodeSelector": {IMPOSSIBLE: "x"}}}, ["chief-0, worker-0: ", "node"]),
        ({"resources": {"requests": {"cpu": "1000"}}}, ["Insufficient cpu"]),
        (
            {"volumes": [{"mountPath": "/data", "persistentVolumeClaim": {"claimName": "nope"}}]},
            ["nope", "not found"],
        ),
    ],
    ids=["node selector", "too much cpu", "no such claim"],
)
def test_a_pod_that_cannot_be_scheduled(shared_world: World, spec: Json, words: list[str]) -> None:
    name = f"place-{next(_numbers)}"
    shared_world.apply(job(name, workers=1, **spec))
    said(shared_world, name, "Unschedulable", *words)
    shared_world.kubectl("delete", "tj", name)


def test_a_quota_that_refuses_and_then_allows(world: World) -> None:
    quota: Callable[[int], Json] = lambda pods: {  # noqa: E731
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"pods": str(pods)}},
    }
    world.apply(quota(1))
    world.kubectl("wait", "--for=jsonpath={.status.hard.pods}=1", "resourcequota/few", "--timeout=30s")
    world.apply(job("hungry", workers=2))
    found = said(world, "hungry", "QuotaExceeded", "exceeded quota: few")
    assert "worker" in found["message"].partition(":")[0], "the members that lack a pod are named"
    world.apply(quota(3))
    status = world.until_phase("hungry", "Succeeded")
    assert [item["incarnation"] for item in status["members"]["items"]] == [1, 1, 1]


def test_a_missing_secret_that_comes(world: World) -> None:
    body = job("secretive", "import os; print(f\"the word is {os.environ['WORD']}\")")
    body["spec"]["program"]["env"] = [
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "later", "key": "word"}}}
    ]
    world.apply(body)
    said(world, "secretive", "ContainerConfigError", "chief-0", 'secret "later" not found')
    world.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "stringData": {"word": "abracadabra"}}
    )
    world.until_phase("secretive", "Succeeded")
    assert "the word is abracadabra" in world.kubectl("logs", "secretive-chief-0")


def test_a_namespace_that_is_restricted_runs_jobs(restricted_world: World) -> None:
    world = restricted_world
    world.apply(job("modest", QUICK, workers=2))
    world.until_phase("modest", "Succeeded")
    world.check_reasons("modest", "PodsCreated", "Running", "Succeeded")
    assert len(world.pods.objects) == 3


def test_a_namespace_that_is_restricted_refuses_host_paths(restricted_world: World) -> None:
    world = restricted_world
    world.apply(job("nosy", workers=1, volumes=[{"mountPath": "/host", "hostPath": {"path": "/"}}]))
    found = said(world, "nosy", "PodSecurityViolation", "chief-0", "violates PodSecurity", "hostPath")
    assert condition(world.status("nosy"), "Failed")["status"] == "False"
    assert found["observedGeneration"] == 1
    assert world.pods.objects == {}


def test_a_service_of_somebody_else_is_not_taken_over(world: World) -> None:
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "twofold-chief"},
        "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
    }
    world.apply(service)
    world.apply(job("twofold", workers=1))
    said(world, "twofold", "ServiceConflict", "twofold-chief", "belongs to somebody else")
    assert world.pods.history == [], "no member starts that could never find its chief"
    world.kubectl("delete", "service", "twofold-chief")
    world.until_phase("twofold", "Succeeded")
