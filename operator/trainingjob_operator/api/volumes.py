"""Volumes in their short form: what a pod writes in two places (volumes and volumeMounts) is one here."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from trainingjob_operator.api.rules import Rule, exactly_one
from trainingjob_operator.api.types import (
    AbsolutePath,
    DnsName,
    Model,
    MountPath,
    Passthrough,
    Quantity,
    RelativePath,
    ShortText,
)

VOLUME_SOURCES = (
    "persistentVolumeClaim", "emptyDir", "configMap", "secret", "hostPath", "nfs", "csi", "ephemeral",
)  # fmt: skip
#: Where the operator mounts what a member needs; a job's own volumes can't lie there.
RESERVED_PATHS = ("/workspace", "/tmp", "/dev/shm", "/var/run/trainingjob")  # noqa: S108


class KeyToPath(Model):
    """One key of a ConfigMap or Secret, and the file that it becomes."""

    key: ShortText
    """The key."""
    path: RelativePath
    """The file's path below the mount."""
    mode: Annotated[int, Field(ge=0, le=0o777)] | None = None
    """The file's mode bits."""


class ClaimSource(Model):
    """A PersistentVolumeClaim of the job's namespace."""

    claim_name: DnsName
    """Name of the claim."""


class EmptyDirSource(Model):
    """A folder that lives as long as the pod."""

    medium: Literal["", "Memory"] = ""
    """Memory keeps it in RAM, counted against the member's memory limit."""
    size_limit: Quantity | None = None
    """How large it may grow."""


class ConfigMapSource(Model):
    """A ConfigMap of the job's namespace, as files."""

    name: DnsName
    """Name of the ConfigMap."""
    items: Annotated[list[KeyToPath], Field(max_length=64)] | None = None
    """Which keys become files. Empty takes all."""
    optional: bool | None = None
    """Whether the member starts without it."""


class SecretSource(Model):
    """A Secret of the job's namespace, as files."""

    secret_name: DnsName
    """Name of the Secret."""
    items: Annotated[list[KeyToPath], Field(max_length=64)] | None = None
    """Which keys become files. Empty takes all."""
    optional: bool | None = None
    """Whether the member starts without it."""


class HostPathSource(Model):
    """A folder of the node.

    Namespaces under the baseline or restricted Pod Security Standard refuse it.
    """

    path: AbsolutePath
    """The path on the node."""
    type: Literal["", "Directory", "DirectoryOrCreate", "File", "FileOrCreate"] = ""
    """What must be there."""


class NfsSource(Model):
    """A folder of an NFS server."""

    server: ShortText
    """Host name or address."""
    path: AbsolutePath
    """The exported path."""


class VolumeSource(Model):
    """A volume, without the place where members see it."""

    object_rules: ClassVar = (exactly_one(*VOLUME_SOURCES),)

    sub_path: RelativePath | None = None
    """A folder within the volume to mount instead of its root."""
    persistent_volume_claim: ClaimSource | None = None
    """A PersistentVolumeClaim. With several members on several nodes it must be ReadWriteMany or read-only."""
    empty_dir: EmptyDirSource | None = None
    """A folder that lives as long as the pod, one for each member."""
    config_map: ConfigMapSource | None = None
    """A ConfigMap as files."""
    secret: SecretSource | None = None
    """A Secret as files."""
    host_path: HostPathSource | None = None
    """A folder of the node."""
    nfs: NfsSource | None = None
    """A folder of an NFS server."""
    csi: Passthrough | None = None
    """A CSI volume that lives as long as the pod, as in a pod."""
    ephemeral: Passthrough | None = None
    """A claim made for each pod, as in a pod."""


class Volume(VolumeSource):
    """A volume and where every member sees it, in one place."""

    mount_path: Annotated[
        MountPath,
        Rule(
            "!(self in [" + ", ".join(f"'{path}'" for path in RESERVED_PATHS) + "])",
            "is one of the operator's own: " + ", ".join(RESERVED_PATHS) + "; choose another",
            lambda path: path not in RESERVED_PATHS,
        ),
    ]
    """Where the members see it."""
    read_only: bool = False
    """Whether the members can't write to it."""
