"""A training put together: data, model, optimizer, loss, metrics and the compiled steps, from the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_trainer.batches import Batches
from trainingjob_trainer.cluster import Cluster
from trainingjob_trainer.document import Document, Training
from trainingjob_trainer.errors import SpecError
from trainingjob_trainer.losses import PerExample
from trainingjob_trainer.metrics import MetricSet
from trainingjob_trainer.model import build_model, output_shape, set_precision
from trainingjob_trainer.optimizer import build_optimizer
from trainingjob_trainer.pace import Caller
from trainingjob_trainer.schedule import Plan
from trainingjob_trainer.step import Steps

VALIDATION = "spec.training.validation"


@dataclass(frozen=True)
class Job:
    """Everything that does not change while training runs."""

    document: Document
    cluster: Cluster
    feed: Any
    examples: int
    classes: tuple[str, ...]
    model: Any
    optimizer: Any
    metrics: MetricSet
    steps: Steps
    plan: Plan
    validation_source: Any

    def caller(self, kind: str, feed: Any) -> Caller:
        """Return what calls the compiled steps of one kind, `train` or `evaluate`, over this feed."""
        augmented = kind == "train" and bool(self.document.training.pipeline.get("augment"))
        batches = Batches(feed, in_graph=feed.in_memory and not augmented and not self.cluster.on_gpu)
        return Caller(self.steps.function(kind, batches), batches, is_chief=self.cluster.member.is_chief)

    def zero_sums(self) -> Any:
        """The vector of sums of no example: metrics, loss times examples, examples."""
        import numpy as np

        return np.zeros(self.metrics.size + 2)

    def variables(self) -> dict[str, Any]:
        """Name → variable of all that a checkpoint holds of model and optimizer."""
        return {**model_variables(self.model), **_numbered("optimizer", self.optimizer.variables)}


def build_job(document: Document, cluster: Cluster) -> Job:
    """Open the data and build the model; nothing is traced yet.

    Raises:
        SpecError: something in the document does not fit; names the field.
        ProgramError: a builder of the user raised.
    """
    import keras

    from trainingjob_trainer.data import open_source, split

    training = document.training
    set_precision(training.precision, on_gpu=cluster.on_gpu)
    source = open_source(training.dataset, seed=training.seed)
    held_out = None
    fraction = (training.validation or {}).get("split")
    if fraction is not None:
        source, held_out = split(source, float(fraction), training.seed)
    feed = make_feed(source, training, cluster, training=True)
    x_spec, y_spec = batch_specs(feed)
    keras.utils.set_random_seed(training.seed)
    with cluster.strategy.scope():
        model = build_model(training.model, x_spec)
        optimizer = build_optimizer(training, model.trainable_variables)
    outputs, labels = output_shape(model, x_spec), tuple(y_spec.shape)
    metrics = MetricSet(training.metrics, labels, outputs)
    loss = PerExample(training.loss, labels, outputs)
    return Job(
        document=document,
        cluster=cluster,
        feed=feed,
        examples=source.size,
        classes=source.classes,
        model=model,
        optimizer=optimizer,
        metrics=metrics,
        steps=Steps(cluster, model, optimizer, loss, metrics, training.accumulation),
        plan=_plan(document, feed.steps_per_epoch),
        validation_source=held_out,
    )


def make_feed(source: Any, spec: Training, cluster: Cluster, *, training: bool) -> Any:
    """Return the Feed of this member's part of every global batch."""
    from trainingjob_trainer.data import Feed

    return Feed(
        source,
        spec.pipeline,
        global_batch=spec.global_batch,
        parts=cluster.replicas,
        first_part=cluster.first_replica,
        local_parts=cluster.local_replicas,
        seed=spec.seed,
        training=training,
        class_weights=spec.class_weights if training else None,
    )


def batch_specs(feed: Any) -> tuple[Any, Any]:
    """Return the TensorSpecs of this member's batches of x and y, with the batch as first axis."""
    import tensorflow as tf

    def batched(spec: Any) -> Any:
        return tf.TensorSpec([feed.local_batch, *spec.shape], spec.dtype)

    return tf.nest.map_structure(batched, feed.x_spec), tf.nest.map_structure(batched, feed.y_spec)


def validation_dataset(validation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The data set of its own that validation has; None when there is none, or it is a part of the training data."""
    if validation is None or validation.get("dataset") is None:
        return None
    if validation.get("split") is not None:
        raise SpecError(VALIDATION, "has split and dataset; write one of them")
    dataset: Mapping[str, Any] = validation["dataset"]
    return dataset


def model_variables(model: Any) -> dict[str, Any]:
    """Name → variable of the model. Numbered: names may be given twice, and differ between processes."""
    return _numbered("model", model.variables)


def _numbered(kind: str, variables: Any) -> dict[str, Any]:
    return {f"{kind}/{index}": variable for index, variable in enumerate(variables)}


def _plan(document: Document, steps_per_epoch: int) -> Plan:
    training = document.training
    validation = training.validation or {}
    return Plan(
        total_steps=training.steps or (training.epochs or 1) * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        validate=bool(validation.get("split") is not None or validation.get("dataset")),
        validate_every=validation.get("everySteps"),
        checkpoint_every=document.checkpoint.every_steps if document.checkpoint else None,
    )
