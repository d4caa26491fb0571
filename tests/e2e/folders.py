"""A folder of the node that outlives pods: what a checkpoint volume is to a user, where no storage class is needed."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.installation import Installation
from tests.e2e.kube import Json
from tests.e2e.world import World

ROOT = "/var/tmp"


@contextmanager
def node_folder(world: World, installation: Installation) -> Iterator[Json]:
    """Make a folder on the node that every user may write to, and yield it as a volume's source; remove it after.

    All pods of one test that use it run on the one node of the cluster.
    """
    name = f"trainingjob-e2e-{secrets.token_hex(4)}"
    image = installation.trainer_image()
    _run(world, image, "make", f"import os; os.mkdir('/folders/{name}'); os.chmod('/folders/{name}', 0o777)")
    try:
        yield {"hostPath": {"path": f"{ROOT}/{name}", "type": "Directory"}}
    finally:
        _run(world, image, "remove", f"import shutil; shutil.rmtree('/folders/{name}')")


def _run(world: World, image: str, name: str, program: str) -> None:
    """Run a line of Python as root, with the node's folders at /folders."""
    container = {
        "name": "python",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", program],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "folders", "mountPath": "/folders"}],
    }
    world.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": [{"name": "folders", "hostPath": {"path": ROOT, "type": "Directory"}}],
            },
        },
        namespace=world.namespace,
    )
    world.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
    world.kubectl("delete", "pod", name)
