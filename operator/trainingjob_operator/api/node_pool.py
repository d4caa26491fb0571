"""Where members run and what they may use."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from trainingjob_operator.api.program import EnvVar
from trainingjob_operator.api.rules import Rule, Unique
from trainingjob_operator.api.types import (
    DnsLabel,
    DnsName,
    ExtendedResource,
    LabelValue,
    Model,
    Passthrough,
    Quantity,
    ShortText,
)


class Accelerator(Model):
    """What each member asks the node for, and gets whole."""

    resource: ExtendedResource = "nvidia.com/gpu"
    """The extended resource that the node's device plugin offers."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many of it each member gets. All of them join the training."""


class Toleration(Model):
    """A taint that the members tolerate, as in a pod."""

    object_rules: ClassVar = (
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
    env: Annotated[list[EnvVar], Field(max_length=64), Unique("name")] | None = None
    """Environment variables of the members that the pool's network needs, like NCCL_SOCKET_IFNAME. Variables of the
    job's program win."""


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
