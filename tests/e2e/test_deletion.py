"""A job that is deleted leaves nothing, and a pod that is deleted by hand gets its next."""

import time

import pytest

from tests.e2e.notes import note
from tests.e2e.programs import STEADY, job, node_key
from tests.e2e.world import World

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
def test_a_pod_lost_while_it_trains_is_replaced_and_the_rest_stays(world: World, member: str) -> None:
    world.apply(job("torn", STEADY, workers=2))
    world.until_reported("torn")
    deleted = time.monotonic()
    world.kubectl("delete", "pod", f"torn-{member}", "--wait=false")
    world.until("torn", lambda s: s.get("training", {}).get("generation") == 2 or None, "the second generation")
    status = world.until_reported("torn")
    note(f"{member} deleted: the next generation reports {time.monotonic() - deleted:.1f} s later")
    assert status["restarts"] == {"total": 1, "counted": 0, "free": 1}
    alive = {name: pod for name, pod in world.pods.objects.items() if pod["status"]["phase"] == "Running"}
    others = {f"torn-{name}" for name in ("chief-0", "worker-0", "worker-1")} - {f"torn-{member}"}
    assert others | {f"torn-{member}-2"} <= set(alive), "one new pod, and no other"
    assert not [seen.name for seen in world.pods.history if seen.name in {f"{name}-2" for name in others}]
    world.go(*others, f"torn-{member}-2")
    status = world.until_phase("torn", "Succeeded")
    assert "Restarting" in world.phases("torn")
    incarnations = {item["name"]: item["incarnation"] for item in status["members"]["items"]}
    assert incarnations == {name: 1 + (name == member) for name in ("chief-0", "worker-0", "worker-1")}
