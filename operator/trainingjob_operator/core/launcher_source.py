"""The launcher in foreign images: a file of the operator's own, brought by one ConfigMap per namespace.

The ConfigMap is named by its content and immutable, so it is made once, never changed, and good for all jobs of its
namespace. The operator may create ConfigMaps and may not read any: what it finds under the name it can't look at.
So the pods look themselves. Their command holds the digest, and a file of another content is not run.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec

FILE = "launcher.pyz"
FOLDER = "/var/run/trainingjob/launcher"
VOLUME = "launcher"
#: The launcher of the image itself.
BUILT_IN = ("python3", "-m", "trainingjob_launcher", "--")
#: Runs FILE if it has the digest. Every Python 3 can read it; the launcher itself says which are too old.
_BOOTSTRAP = """\
import sys
sys.path = [entry for entry in sys.path if entry]  # not the image's working directory
import hashlib, runpy
path, digest, name = sys.argv[1:4]
del sys.argv[1:4]
try:
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
except (IOError, OSError):
    found = ""
if found != digest:
    sys.stderr.write("trainingjob: ConfigMap %s does not hold this operator's launcher: " % name)
    sys.stderr.write("delete it, and apply the job again\\n")
    sys.exit(2)
runpy.run_path(path, run_name="__main__")
"""


@dataclass(frozen=True)
class LauncherArchive:
    """The zipapp. `data` is the whole file."""

    data: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def config_map_name(self) -> str:
        """Name of the ConfigMap that holds it, in every namespace the same."""
        return f"trainingjob-launcher-{self.digest[:12]}"

    def config_map(self, namespace: str) -> dict[str, Any]:
        """Return the ConfigMap. It belongs to no job: others may mount it."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.config_map_name,
                "namespace": namespace,
                "labels": {
                    names.LABEL_APP_NAME: names.APP_NAME,
                    names.LABEL_APP_COMPONENT: "launcher",
                    names.LABEL_APP_MANAGED_BY: names.MANAGER,
                },
            },
            "immutable": True,
            "binaryData": {FILE: b64encode(self.data).decode()},
        }

    def command(self) -> list[str]:
        """Return the command of a container that runs it; the program's own command follows as arguments."""
        return ["python3", "-c", _BOOTSTRAP, f"{FOLDER}/{FILE}", self.digest, self.config_map_name, "--"]

    def volume(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (volume, mount). Mounted as one file, it stays the file that was checked."""
        volume = {"name": VOLUME, "configMap": {"name": self.config_map_name}}
        mount = {"name": VOLUME, "mountPath": f"{FOLDER}/{FILE}", "subPath": FILE, "readOnly": True}
        return volume, mount


def is_injected(spec: TrainingJobSpec) -> bool:
    """Whether the pods of a job bring the launcher with them.

    The installation's trainer image has it. So has an image for declarative training, which is made from that one.
    Any other image needs it, unless the job says that it is there.
    """
    if spec.program is None:
        return False
    if spec.program.inject_launcher is not None:
        return spec.program.inject_launcher
    return spec.image is not None
