"""`spec` of a TrainingJob: the one source of the CRD, of validation and of the reference docs.

A field's docstring is what `kubectl explain` prints. Cross-field rules are CEL, so that the API server refuses a
wrong object before it is stored; what CEL can't judge is in `core/validation.py` and ends in `phase: Invalid`.
"""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from trainingjob_operator.api.names import MAX_JOB_NAME, MAX_WORKERS
from trainingjob_operator.api.node_pool import NodePool, Resources
from trainingjob_operator.api.policy import Elastic, FailurePolicy, RunPolicy
from trainingjob_operator.api.program import Program
from trainingjob_operator.api.rules import IMMUTABLE, Rule, Unique, exactly_one, immutable_presence
from trainingjob_operator.api.training import Checkpoint, Output, StopWhen, Training
from trainingjob_operator.api.types import DnsName, LabelValue, MetricName, Model, Passthrough, Text
from trainingjob_operator.api.volumes import VOLUME_SOURCES, Volume


class Workers(Model):
    """The members besides the chief."""

    replicas: Annotated[int, Field(ge=0, le=MAX_WORKERS)] = 0
    """How many workers train beside the chief. 0, the default, trains on the chief alone, without TF_CONFIG."""


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


class Evaluator(Model):
    """A pod beside the gang that evaluates each new checkpoint and reports its val_ metrics."""

    resources: Resources | None = None
    """Its CPU and memory. Default: the members'."""
    node_pool: NodePool | None = None
    """Where it runs. Default: the members' node pool."""


class Reporting(Model):
    """How the training reports to the status."""

    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    """At most one report in this time; the first and the last always."""
    history: Annotated[int, Field(ge=0, le=500)] = 100
    """Points of the metrics' history in the status, thinned evenly over the whole run."""
    metric: MetricName | None = None
    """The metric that kubectl get shows beside the loss. Default: val_accuracy, accuracy, or the first there is."""
    best: Annotated[dict[str, Literal["min", "max"]], Field(max_length=64)] | None = None
    """Which way metrics get better, by name. Default: by the usual names; a loss by min, an accuracy by max."""
    tensorboard: bool = False
    """Whether event files for TensorBoard are written beside the checkpoints, to tensorboard/ in their folder."""


_IMMUTABLE_OPTIONAL = (
    "image", "imagePullPolicy", "imagePullSecrets", "evaluator", "nodePool", "resources", "volumes", "podTemplate",
    "program", "training", "checkpoint", "output", "stopWhen", "managedBy", "elastic",
)  # fmt: skip


class TrainingJobSpec(Model):
    """What to train, with how many members, and where."""

    object_rules: ClassVar = (
        exactly_one("program", "training"),
        Rule(
            "!has(self.evaluator) || has(self.checkpoint)",
            "evaluates checkpoints: set spec.checkpoint too, on a volume that it can read",
            lambda self: self.evaluator is None or self.checkpoint is not None,
            field_path=".evaluator",
        ),
        Rule(
            "!has(self.reporting.tensorboard) || !self.reporting.tensorboard || has(self.checkpoint)",
            "writes event files beside the checkpoints: set spec.checkpoint too, on a volume",
            lambda self: not self.reporting.tensorboard or self.checkpoint is not None,
            field_path=".reporting.tensorboard",
        ),
        Rule(
            "!has(self.elastic) || self.elastic.minWorkers <= self.workers.replicas",
            "must not be more than workers.replicas",
            lambda self: self.elastic is None or self.elastic.min_workers <= self.workers.replicas,
            field_path=".elastic.minWorkers",
        ),
        *(immutable_presence(name) for name in _IMMUTABLE_OPTIONAL),
    )

    suspend: bool = False
    """true saves and takes the pods away, false goes on from there. A job may be made suspended."""
    managed_by: (
        Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^\S+/\S+$"), IMMUTABLE] | None
    ) = None
    """Who runs this job: any value but trainingjob.dev/operator, like kueue.x-k8s.io/multikueue, makes this operator
    leave it alone. Default: trainingjob.dev/operator."""
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^\S+$"), IMMUTABLE] | None = None
    """The members' image. Default: the installation's trainer image, for GPU or CPU by the node pool."""
    image_pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"], IMMUTABLE] | None = None
    """When the image is pulled. Default: as in a pod."""
    image_pull_secrets: Annotated[list[DnsName], Field(max_length=16), Unique(), IMMUTABLE] | None = None
    """Names of Secrets of the job's namespace that hold registry credentials."""
    workers: Annotated[Workers, IMMUTABLE] = Workers()
    """The members besides the chief."""
    evaluator: Annotated[Evaluator, IMMUTABLE] | None = None
    """A pod beside the gang that evaluates each new checkpoint and reports its val_ metrics. It is no member:
    training neither waits for it nor fails with it."""
    communication: Annotated[Literal["auto", "ring", "nccl"], IMMUTABLE] = "auto"
    """How the members exchange gradients: nccl between NVIDIA GPUs, ring over the network, auto by what there is."""
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
    training: Annotated[Training, IMMUTABLE] | None = None
    """Training without a program: data, model, optimizer, loss and metrics by name. Exactly one of program and
    training."""
    checkpoint: Annotated[Checkpoint, IMMUTABLE] | None = None
    """Where and when the training saves its state, and from where it resumes."""
    output: Annotated[Output, IMMUTABLE] | None = None
    """Where the trained model goes. Declarative training writes it; a program writes its own."""
    stop_when: Annotated[StopWhen, IMMUTABLE] | None = None
    """When training is good enough, or gets no better. For declarative training and Keras fit."""
    elastic: Annotated[Elastic, IMMUTABLE] | None = None
    """Training with fewer workers while the others can't come. The global batch stays as it is."""
    run_policy: RunPolicy = RunPolicy()
    """Deadlines, and what becomes of a job that is over."""
    failure_policy: Annotated[FailurePolicy, IMMUTABLE] = FailurePolicy()
    """What restarts, what ends the job, and when somebody is taken for lost or stuck."""
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

__all__ = [
    "Elastic", "Evaluator", "FailurePolicy", "NodePool", "OBJECT_RULES", "PodMetadata", "PodTemplate", "Program",
    "Reporting", "Resources", "RunPolicy", "TrainingJobSpec", "VOLUME_SOURCES", "Volume", "Workers",
]  # fmt: skip
