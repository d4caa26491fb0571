"""`spec` of a TrainingJob: the one source of the CRD, of validation and of the reference docs.

A field's docstring is what `kubectl explain` prints. Cross-field rules are CEL, so that the API server refuses a
wrong object before it is stored; what CEL can't judge is in `core/validation.py` and ends in `phase: Invalid`.
"""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from trainingjob_operator.api.names import MAX_JOB_NAME, MAX_WORKERS
from trainingjob_operator.api.rules import IMMUTABLE, Rule, Unique, exactly_one, immutable_presence
from trainingjob_operator.api.types import (
    AbsolutePath,
    DnsLabel,
    DnsName,
    ExtendedResource,
    LabelValue,
    Model,
    MountPath,
    Passthrough,
    Quantity,
    RelativePath,
    ShortText,
    Text,
)

VOLUME_SOURCES = (
    "persistentVolumeClaim", "emptyDir", "configMap", "secret", "hostPath", "nfs", "csi", "ephemeral",
)  # fmt: skip
#: Where the operator mounts what a member needs; a job's own volumes can't lie there.
RESERVED_PATHS = ("/workspace", "/tmp", "/dev/shm", "/var/run/trainingjob")  # noqa: S108

_FILE_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"
MAX_FILE_NAME = 200


class Workers(Model):
    """The members besides the chief."""

    replicas: Annotated[int, Field(ge=0, le=MAX_WORKERS)] = 0
    """How many workers train beside the chief. 0, the default, trains on the chief alone, without TF_CONFIG."""


class Accelerator(Model):
    """What each member asks the node for, and gets whole."""

    resource: ExtendedResource = "nvidia.com/gpu"
    """The extended resource that the node's device plugin offers."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many of it each member gets. All of them join the training."""


class Toleration(Model):
    """A taint that the members tolerate, as in a pod."""

    rules: ClassVar = (
        Rule(
            "self.operator == 'Exists' || has(self.key) && self.key != ''",
            "needs a key, or operator Exists to tolerate every taint",
            lambda self: self.operator == "Exists" or bool(self.key),
        ),
        Rule(
            "self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "operator Exists takes any value: remove value, or write operator Equal",
            lambda self: self.operator != "Exists" or not self.value,
        ),
        Rule(
            "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            "tolerationSeconds needs effect NoExecute",
            lambda self: self.toleration_seconds is None or self.effect == "NoExecute",
        ),
    )

    key: ShortText | None = None
    """The taint's key. Empty with operator Exists tolerates every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Equal compares `value`; Exists takes any value."""
    value: ShortText | None = None
    """The taint's value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect. Empty tolerates every effect."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """With effect NoExecute: for how long. Empty means for ever."""


class TopologySpread(Model):
    """How the members of the job spread over one level of the topology."""

    topology_key: ShortText
    """The node label of that level, like topology.kubernetes.io/zone or kubernetes.io/hostname."""
    max_skew: Annotated[int, Field(ge=1, le=1000)] = 1
    """By how many members two places of that level may differ."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether a member that would break the rule is placed anyway or waits."""


class NodePool(Model):
    """Where the members run: a named profile of the installation, fields given here, or both.

    Fields given here win over the profile's; selectors are merged, and tolerations are added.
    """

    name: DnsLabel | None = None
    """A profile that the platform team keeps in the Helm values under nodePools."""
    accelerator: Accelerator | None = None
    """What each member asks for. Without it the job trains on CPU."""
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] | None = None
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = None
    """Taints that the members tolerate. Accelerator pools are usually tainted with the resource's name."""
    affinity: Passthrough | None = None
    """Node and pod affinity, as in a pod."""
    topology_spread: (
        Annotated[list[TopologySpread], Field(max_length=8), Unique("topologyKey", "whenUnsatisfiable")] | None
    ) = None
    """How the members spread. The label selector is this job's."""
    priority_class_name: DnsName | None = None
    """PriorityClass of the pods."""
    scheduler_name: DnsName | None = None
    """Scheduler of the pods, when it is not the default one."""
    runtime_class_name: DnsName | None = None
    """RuntimeClass of the pods, like nvidia."""


_RESOURCE_NAMES = Rule(
    "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'] || name.startsWith('hugepages-')"
    " || name.contains('/'))",
    "resources are cpu, memory, ephemeral-storage, hugepages-SIZE, or have a domain like example.com/fpga",
    lambda amounts: all(
        name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-") or "/" in name
        for name in amounts
    ),
)


class Resources(Model):
    """CPU, memory and other resources of each member.

    Accelerators belong into nodePool.accelerator.
    """

    requests: Annotated[dict[str, Quantity], Field(max_length=16), _RESOURCE_NAMES] | None = None
    """What the scheduler keeps free for each member."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16), _RESOURCE_NAMES] | None = None
    """What each member can't exceed. TensorFlow's thread counts follow the CPU limit."""


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


class Volume(Model):
    """A volume and where every member sees it, in one place."""

    rules: ClassVar = (exactly_one(*VOLUME_SOURCES),)

    mount_path: Annotated[
        MountPath,
        Rule(
            "!(self in [" + ", ".join(f"'{path}'" for path in RESERVED_PATHS) + "])",
            "is one of the operator's own: " + ", ".join(RESERVED_PATHS) + "; choose another",
            lambda path: path not in RESERVED_PATHS,
        ),
    ]
    """Where the members see it."""
    sub_path: RelativePath | None = None
    """A folder within the volume to mount instead of its root."""
    read_only: bool = False
    """Whether the members can't write to it."""
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


class PodMetadata(Model):
    """Labels and annotations that are added to the pods."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Added labels. Those under trainingjob.dev/ belong to the operator."""
    annotations: Annotated[dict[str, Text], Field(max_length=64)] | None = None
    """Added annotations."""


class PodTemplate(Model):
    """What is merged over the pods that the operator builds, for what this API has no field for."""

    metadata: PodMetadata | None = None
    """Added labels and annotations."""
    spec: Passthrough | None = None
    """Merged over the pod's spec: maps field by field; containers, volumes and env by name; volumeMounts by
    mountPath; tolerations are added; other lists replace. The launcher's container is named trainer."""


class EnvVar(Model):
    """One environment variable, as in a pod."""

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253),
        Rule(
            "self != 'TF_CONFIG' && !self.startsWith('TRAININGJOB_')",
            "TF_CONFIG and TRAININGJOB_* are set by the launcher; choose another name",
            lambda name: name != "TF_CONFIG" and not name.startswith("TRAININGJOB_"),
        ),
    ]
    """Name of the variable. TF_CONFIG and names that begin with TRAININGJOB_ belong to the launcher."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Its value. $(OTHER) is replaced by the value of OTHER."""
    value_from: Passthrough | None = None
    """Its source: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef, as in a pod."""


class ProgramConfigMap(Model):
    """A ConfigMap whose keys are the program's files."""

    name: DnsName
    """Name of the ConfigMap, in the job's namespace."""


class InlineSource(Model):
    """The program's files, written in the job itself."""

    files: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=65536)]],
        Field(
            min_length=1,
            max_length=32,
        ),
        Rule(
            f"self.all(name, name.matches('^{_FILE_NAME}$') && name.size() <= {MAX_FILE_NAME})",
            "names must be relative paths like main.py or lib/model.py",
            lambda files: all(re.fullmatch(_FILE_NAME, name) and len(name) <= MAX_FILE_NAME for name in files),
        ),
    ]
    """File name, like main.py, to text. All files together have at most 96 KiB."""


class ProgramSource(Model):
    """Where the program's files come from, when they are not in the image.

    They go into the working directory.
    """

    rules: ClassVar = (exactly_one("configMap", "inline"),)

    config_map: ProgramConfigMap | None = None
    """A ConfigMap, one file for each key."""
    inline: InlineSource | None = None
    """Files written here."""


class Program(Model):
    """The user's own training program.

    Every member runs it, with TF_CONFIG set when there are workers.
    """

    command: (
        Annotated[list[Annotated[str, StringConstraints(max_length=4096)]], Field(min_length=1, max_length=64)] | None
    ) = None
    """The program, without a shell. Default: python main.py, when the source has a main.py. $(VAR) is replaced."""
    args: Annotated[list[Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=256)] | None = None
    """Arguments after the command."""
    env: Annotated[list[EnvVar], Field(max_length=256), Unique("name")] | None = None
    """Environment variables."""
    env_from: Annotated[list[Passthrough], Field(max_length=32)] | None = None
    """ConfigMaps and Secrets whose keys become environment variables, as in a pod."""
    working_dir: AbsolutePath | None = None
    """Where the program starts. Default: /workspace, an empty folder that it may write to, when there is a source;
    the image's own working directory otherwise."""
    source: ProgramSource | None = None
    """The program's files, when they are not in the image."""


class Reporting(Model):
    """How the training reports to the status."""

    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    """At most one report in this time; the first and the last always."""


_IMMUTABLE_OPTIONAL = (
    "image", "imagePullPolicy", "imagePullSecrets", "nodePool", "resources", "volumes", "podTemplate",
    "program", "training",
)  # fmt: skip


class TrainingJobSpec(Model):
    """What to train, with how many members, and where."""

    rules: ClassVar = (
        exactly_one("program", "training"),
        *(immutable_presence(name) for name in _IMMUTABLE_OPTIONAL),
    )

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^\S+$"), IMMUTABLE] | None = None
    """The members' image. Default: the installation's trainer image, for GPU or CPU by the node pool."""
    image_pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"], IMMUTABLE] | None = None
    """When the image is pulled. Default: as in a pod."""
    image_pull_secrets: Annotated[list[DnsName], Field(max_length=16), Unique(), IMMUTABLE] | None = None
    """Names of Secrets of the job's namespace that hold registry credentials."""
    workers: Annotated[Workers, IMMUTABLE] = Workers()
    """The members besides the chief."""
    node_pool: Annotated[NodePool, IMMUTABLE] | None = None
    """Where the members run, by a named profile of the installation, inline, or both: accelerators, node selection,
    tolerations, priority, spread."""
    resources: Annotated[Resources, IMMUTABLE] | None = None
    """CPU and memory of each member."""
    volumes: Annotated[list[Volume], Field(max_length=32), Unique("mountPath"), IMMUTABLE] | None = None
    """Volumes and where the members see them: data, checkpoints, results."""
    pod_template: Annotated[PodTemplate, IMMUTABLE] | None = None
    """What is merged over the pods, for what this API has no field for."""
    program: Annotated[Program, IMMUTABLE] | None = None
    """The user's own training program. Exactly one of program and training."""
    training: Annotated[Passthrough, IMMUTABLE] | None = None
    """Declarative training. Not in this version of the operator: such a job is answered with phase Invalid."""
    reporting: Reporting = Reporting()
    """How the training reports to the status."""


_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"

#: Rules on the object as a whole; `holds` takes its name. A pod's hostname, `{name}-worker-{index}`, is a DNS label.
OBJECT_RULES = (
    Rule(
        f"self.metadata.name.size() <= {MAX_JOB_NAME}",
        f"must have at most {MAX_JOB_NAME} characters: pods are named NAME-worker-INDEX",
        lambda name: len(name) <= MAX_JOB_NAME,
        field_path=".metadata.name",
    ),
    Rule(
        f"self.metadata.name.matches('^{_NAME}$')",
        "must be a DNS label that begins with a letter, like mnist-cnn: it becomes host names",
        lambda name: re.fullmatch(_NAME, name) is not None,
        field_path=".metadata.name",
    ),
)
