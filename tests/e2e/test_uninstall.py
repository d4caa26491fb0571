"""`helm uninstall` takes the operator and leaves the CRD, the jobs and their pods; an installation finds them again."""

from pathlib import Path

from tests.e2e.installation import NAMESPACE, RELEASE, SELECTOR, Installation
from tests.e2e.programs import STEADY, job
from tests.e2e.world import World

CRD = "trainingjobs.trainingjob.dev"


def test_uninstall_and_install_again(world: World, operator: Installation, tmp_path: Path) -> None:
    world.apply(job("survivor", STEADY, workers=1), job("done"))
    world.until_reported("survivor")
    world.until_phase("done", "Succeeded")
    pods = {name: pod["metadata"]["uid"] for name, pod in world.pods.objects.items()}
    values = operator.values()
    operator.uninstall()
    try:
        assert operator.kube.find("-n", NAMESPACE, "deployment", RELEASE) is None
        assert operator.kube.get("clusterroles,clusterrolebindings", "-l", SELECTOR)["items"] == []
        crd = operator.kube.get("crd", CRD)
        assert "deletionTimestamp" not in crd["metadata"]
        assert set(world.jobs.objects) == {"survivor", "done"}
        assert {name: pod["metadata"]["uid"] for name, pod in world.pods.objects.items()} == pods
        assert all(
            world.pods.objects[f"survivor-{m}"]["status"]["phase"] == "Running" for m in ("chief-0", "worker-0")
        )
    finally:
        operator.upgrade(values, tmp_path)
        operator.wait_ready()
    # the CRD that stayed belongs to the release again
    assert operator.kube.get("crd", CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"] == RELEASE
    world.go("survivor-chief-0", "survivor-worker-0")
    status = world.until_phase("survivor", "Succeeded")
    assert status["training"]["metrics"] == {"loss": 0.0625, "accuracy": 0.9375}
    assert world.phases("survivor") == ["Pending", "Starting", "Running", "Succeeded"]
    world.apply(job("after"))
    world.until_phase("after", "Succeeded")
    world.check_reasons("done", "PodsCreated", "Running", "Succeeded")
