"""`helm upgrade` while a job trains: the operator's pods are replaced, the training never notices."""

from pathlib import Path

from tests.e2e.installation import Installation
from tests.e2e.programs import STEADY, job
from tests.e2e.world import World


def test_an_upgrade_while_a_job_trains(world: World, operator: Installation, tmp_path: Path) -> None:
    world.apply(job("steady", STEADY, workers=1))
    before = world.until_reported("steady")
    pods = {name: pod["metadata"]["uid"] for name, pod in world.pods.objects.items()}
    replicas = {pod["metadata"]["uid"] for pod in operator.pods()}
    secret = operator.kube.get("-n", "trainingjob-system", "secret", "trainingjob-operator-intake")["data"]
    values = operator.values()
    try:
        operator.upgrade({**values, "logLevel": "DEBUG"}, tmp_path)
        now = [pod for pod in operator.pods() if "deletionTimestamp" not in pod["metadata"]]
        assert not replicas & {pod["metadata"]["uid"] for pod in now}, "changed values replace the operator's pods"
        assert len(now) == len(replicas)
        after = operator.kube.get("-n", "trainingjob-system", "secret", "trainingjob-operator-intake")["data"]
        assert after == secret, "its keys are as old as the installation: running members trust them"
        # reports arrive as before, at replicas that the chief has never heard of
        world.until(
            "steady",
            lambda s: s["training"]["sequence"] > before["training"]["sequence"] + 1,
            "reports to the new replicas",
        )
        assert {name: pod["metadata"]["uid"] for name, pod in world.pods.objects.items()} == pods
        world.go("steady-chief-0", "steady-worker-0")
        status = world.until_phase("steady", "Succeeded")
    finally:
        operator.upgrade(values, tmp_path)
    assert world.phases("steady") == ["Pending", "Starting", "Running", "Succeeded"]
    world.check_reasons("steady", "PodsCreated", "Running", "Succeeded")
    assert status["training"]["metrics"] == {"loss": 0.0625, "accuracy": 0.9375}
