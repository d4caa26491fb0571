"""A TrainingJob's spec while it is put together."""

from dataclasses import dataclass, field
from typing import Any

from trainingjob_client.tfjob.accepted import CONTAINER


@dataclass
class Draft:
    """The parts of a spec; empty ones are left out in the end."""

    top: dict[str, Any] = field(default_factory=dict)
    """image, imagePullPolicy, imagePullSecrets."""
    workers: int = 0
    evaluator: "dict[str, Any] | None" = None
    checkpoint: dict[str, Any] = field(default_factory=dict)
    node_pool: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    program: dict[str, Any] = field(default_factory=dict)
    suspend: bool = False
    run_policy: dict[str, Any] = field(default_factory=dict)
    failure_policy: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """podTemplate.metadata."""
    pod: dict[str, Any] = field(default_factory=dict)
    """podTemplate.spec, but for the trainer's container."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """What podTemplate says of the trainer's container."""

    def spec(self) -> dict[str, Any]:
        """Return the spec in the order in which a person reads it."""
        containers = [{"name": CONTAINER, **self.trainer}] if self.trainer else []
        pod = {**self.pod, **({"containers": containers} if containers else {})}
        template = {name: value for name, value in (("metadata", self.metadata), ("spec", pod)) if value}
        parts = {
            "suspend": self.suspend or None,
            **self.top,
            "workers": {"replicas": self.workers},
            "evaluator": self.evaluator,
            "nodePool": self.node_pool or None,
            "resources": self.resources or None,
            "volumes": self.volumes or None,
            "checkpoint": self.checkpoint or None,
            "podTemplate": template or None,
            "runPolicy": self.run_policy or None,
            "failurePolicy": self.failure_policy or None,
        }
        return {name: value for name, value in parts.items() if value is not None} | {"program": self.program}
