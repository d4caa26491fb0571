"""What the fields of a TrainingJob accept, as far as a TFJob can hold more: what does not fit goes another way.

The operator's models are the source; this package does not depend on them, so a test holds both together.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_NAME = 52
MAX_WORKERS = 999
MAX_ITEM = 4096
MAX_COMMAND = 64
MAX_ARGS = 256
MAX_ENV_VALUE = 32768
MAX_ENV = 256
MAX_ENV_FROM = 32
MAX_PULL_SECRETS = 16
MAX_VOLUMES = 32
MAX_TOLERATIONS = 32
MAX_SELECTOR = 32
MAX_SPREAD = 8
MAX_RESOURCES = 16
MAX_METADATA = 64
MAX_ACCELERATORS = 64
#: The container that trains, and the group of labels that are the operator's.
CONTAINER = "trainer"
OWN_LABELS = "trainingjob.dev/"
RESERVED_PATHS = ("/workspace", "/tmp", "/dev/shm", "/var/run/trainingjob")  # noqa: S108
#: Names that the operator gives to volumes of its pods.
OWN_VOLUMES = re.compile(
    r"(workspace|tmp|shm|report-token|program|launcher|source|checkpoints?|output|volume-[0-9]+)\Z"
)
#: Fields of a pod that carry the gang.
OWN_POD_FIELDS = (
    "restartPolicy", "hostname", "subdomain", "setHostnameAsFQDN", "nodeName", "activeDeadlineSeconds",
)  # fmt: skip
#: Fields of a pod's spec that must be lists of objects.
POD_LISTS = (
    "containers", "initContainers", "volumes", "tolerations", "imagePullSecrets", "hostAliases",
    "topologySpreadConstraints", "resourceClaims", "schedulingGates",
)  # fmt: skip

_SEGMENT = r"[.]?[^/:.][^/:]*"
_QUANTITY = re.compile(
    r"[+]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?", re.ASCII
)
_EXTENDED = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


def _fits(pattern: "re.Pattern[str] | str", value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and re.fullmatch(pattern, value) is not None


def dns_name(value: Any) -> bool:
    """Whether a value can be the name of an object."""
    return _fits(_DNS_NAME, value, 253)


def label_value(value: Any) -> bool:
    """Whether a value can be a label's."""
    return _fits(_LABEL_VALUE, value, 63)


def extended_resource(value: Any) -> bool:
    """Whether a name is that of a device plugin's resource."""
    return _fits(_EXTENDED, value, 253)


def resource_name(value: str) -> bool:
    """Whether `spec.resources` takes a resource of this name."""
    return value in ("cpu", "memory", "ephemeral-storage") or value.startswith("hugepages-") or "/" in value


def quantity(value: Any) -> "int | str | None":
    """Return a quantity as a TrainingJob takes it, or None; YAML's 0.5 becomes a text."""
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return value if _fits(_QUANTITY, value, 32) else None


def absolute_path(value: Any) -> bool:
    """Whether a value is a path that a TrainingJob takes, like /data."""
    return _fits(rf"/|(/{_SEGMENT})+", value, 1024)


def mount_path(value: Any) -> bool:
    """Whether the short form of volumes takes a mount path."""
    return absolute_path(value) and value != "/" and value not in RESERVED_PATHS


def data_path(value: Any) -> bool:
    """Whether a value is a folder on a volume, or where TensorFlow reads and writes, like gs://bucket/run."""
    return _fits(r"(/|[a-z][a-z0-9+.-]*://)[^\s]*", value, 1024)


def relative_path(value: Any) -> bool:
    """Whether a value is a path within a volume that a TrainingJob takes."""
    return _fits(rf"{_SEGMENT}(/{_SEGMENT})*", value, 1024)


def short_text(value: Any, most: int = 253) -> bool:
    """Whether a value is a text of at most so many characters."""
    return isinstance(value, str) and len(value) <= most


def env_name(value: Any) -> bool:
    """Whether a TrainingJob takes an environment variable of this name."""
    return _fits(r"[A-Za-z_][A-Za-z0-9_.-]*", value, 253) and not own_env(value)


def own_env(name: Any) -> bool:
    """Whether an environment variable is the launcher's."""
    return isinstance(name, str) and (name == "TF_CONFIG" or name.startswith("TRAININGJOB_"))


def objects(value: Any) -> bool:
    """Whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
