"""A job that is deleted leaves nothing, and a pod that is deleted by hand is noticed."""

import time

import pytest

from tests.e2e.notes import note
from tests.e2e.programs import STEADY, job, node_key
from tests.e2e.world import World, condition

#: Until everything of a deleted job is gone: the promise, and the pods' grace period.
GONE = 10.0 + 30.0


def test_delete_while_it_trains(world: World) -> None:
    world.apply(job("goner", STEADY, workers=2))
    world.until_reported("goner")
    assert world.kube.find("-n", world.namespace, "service", "goner-chief") is not None
    started = time.monotonic()
    world.kubectl("delete", "tj", "goner")
    world.until_gone(GONE)
    world.kubectl("wait", "--for=delete", "service/goner-chief", "--timeout=10s")
    note(f"everything was gone {time.monotonic() - started:.1f} s after the deletion")
    assert time.monotonic() - started < GONE


def test_the_same_name_again_is_another_job(world: World) -> None:
    world.apply(job("twin", STEADY, workers=1))
    old = world.until_reported("twin")
    uid = world.job("twin")["metadata"]["uid"]
    world.kubectl("delete", "tj", "twin")
    world.apply(job("twin", workers=1))  # while the old pods still have the names
    status = world.until_phase("twin", "Succeeded")
    assert world.job("twin")["metadata"]["uid"] != uid
    assert status["startTime"] >= old["startTime"]
    assert status["training"]["metrics"] == {"loss": 0.25, "accuracy": 0.875}


def test_a_pod_lost_before_the_gang_forms_is_replaced(world: World) -> None:
    key = node_key(world.namespace)
    world.apply(job("patient", workers=1, podTemplate={"spec": {"nodeSelector": {key: "yes"}}}))
    world.until_condition("patient", "MembersReady", "False", "Unschedulable")
    world.kubectl("delete", "pod", "patient-worker-0")
    world.until_pod("patient-worker-0-2", lambda pod: pod, "the second incarnation")
    node = world.kube.get("nodes")["items"][0]["metadata"]["name"]
    world.kube.kubectl("label", "node", node, f"{key}=yes")
    try:
        status = world.until_phase("patient", "Succeeded")
    finally:
        world.kube.kubectl("label", "node", node, f"{key}-")
    incarnations = {item["name"]: item["incarnation"] for item in status["members"]["items"]}
    assert incarnations == {"chief-0": 1, "worker-0": 2}
    pod = world.pods.objects["patient-worker-0-2"]
    assert pod["spec"]["hostname"] == "patient-worker-0"
    assert pod["metadata"]["labels"]["trainingjob.dev/incarnation"] == "2"


@pytest.mark.parametrize("member", ["chief-0", "worker-1"])
def test_a_pod_lost_while_it_trains_fails_the_job(world: World, member: str) -> None:
    world.apply(job("torn", STEADY, workers=2))
    world.until_reported("torn")
    world.kubectl("delete", "pod", f"torn-{member}", "--wait=false")
    status = world.until_phase("torn", "Failed")
    assert status["failure"]["member"] == member
    assert status["failure"]["reason"] in ("MemberLost", "Terminated")
    assert condition(status, "Failed")["reason"] == status["failure"]["reason"]
    assert member in condition(status, "Failed")["message"]
    # the survivors end by themselves, and nobody takes the lost one's place
    world.pods.until(
        lambda: all(p["status"]["phase"] in ("Succeeded", "Failed") for p in world.pods.objects.values()),
        "the survivors have ended",
        60,
    )
    assert not any(seen.name.endswith("-2") for seen in world.pods.history)
