"""What can be wrong with declarative training, judged before any pod starts.

One rule set per file: names and parameters of Keras (`training_keras`), data and pipeline (`training_data`), whether
model, loss and labels fit together (`training_fit`), paths (`training_paths`). Only what is certain is refused here;
what depends on the data, the trainer finds in its first seconds.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from trainingjob_operator.api.v1alpha1 import NodePool, TrainingJobSpec
from trainingjob_operator.api.validation import MAX_PROBLEMS, Problem
from trainingjob_operator.core.keras_canonical import canonical
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.training_data import judge_data
from trainingjob_operator.core.training_fit import judge_fit
from trainingjob_operator.core.training_keras import judge_keras, metric_names
from trainingjob_operator.core.training_paths import judge_paths
from trainingjob_operator.core.training_stop import judge_stop


def judge_training(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    """Yield what is wrong with `spec.training`, and with checkpoint, output, evaluator and stopWhen beside it."""
    yield from itertools.islice(_all(spec, platform), MAX_PROBLEMS)


def _all(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    yield from judge_paths(spec)
    training = spec.training
    if training is None:
        return
    yield from _precision(spec, platform)
    yield from _evaluator(spec)
    yield from _accumulation(spec)
    yield from judge_data(training)
    names = list(itertools.islice(judge_keras(training), MAX_PROBLEMS))
    yield from names
    if not names:  # the rest reads names and parameters that have to be right
        yield from judge_fit(training)
        yield from judge_stop(spec.stop_when, metric_names(training), validated=training.validation is not None)


def canonical_training(document: dict[str, Any]) -> dict[str, Any]:
    """Return `training` of the document that the trainer gets, with every Keras object in its one form.

    What is no Keras object stays as it is: a job that was refused has a document too.
    """
    done = dict(document)
    for field, kind in (("optimizer", "optimizer"), ("loss", "loss")):
        if field in done:
            done[field] = _canonical(done[field], kind)
    if "metrics" in done:
        done["metrics"] = [_canonical(metric, "metric") for metric in done["metrics"]]
    model = dict(done.get("model", {}))
    if "preset" in model:
        model["preset"] = _canonical(model["preset"], "preset")
    if "layers" in model:
        model["layers"] = [_canonical(layer, "layer") for layer in model["layers"]]
    return done | ({"model": model} if model else {})


def _canonical(value: Any, kind: str) -> Any:
    try:
        return canonical(value, kind)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return value


def _precision(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    if spec.training is None or spec.training.precision != "float16":
        return
    if _on_cpu(spec.node_pool, platform):
        yield Problem(
            "spec.training.precision",
            "float16",
            "CPUs compute it 15 to 20 times slower than float32: write bfloat16, or give the job a node pool with "
            "GPUs (spec.nodePool.accelerator)",
        )
    elif spec.evaluator is not None and spec.evaluator.node_pool and _on_cpu(spec.evaluator.node_pool, platform):
        yield Problem(
            "spec.evaluator.nodePool",
            "",
            "has no accelerator, and the training's precision is float16: leave it out, and the evaluator runs where "
            "the members do, or write precision: bfloat16",
        )


def _on_cpu(pool: NodePool | None, platform: Platform) -> bool:
    unknown = pool is not None and pool.name is not None and pool.name not in platform.node_pools
    return not unknown and resolve(pool, platform.node_pools).accelerator is None


def _evaluator(spec: TrainingJobSpec) -> Iterator[Problem]:
    if spec.evaluator is not None and spec.training is not None and spec.training.validation is None:
        yield Problem(
            "spec.training.validation",
            "",
            "is needed, because the job has an evaluator: write {split: 0.2} or a dataset of its own",
        )


def _accumulation(spec: TrainingJobSpec) -> Iterator[Problem]:
    training = spec.training
    if training is not None and training.gradient_accumulation > training.global_batch_size:
        yield Problem(
            "spec.training.gradientAccumulation",
            str(training.gradient_accumulation),
            f"can't be more than the examples of one step: globalBatchSize is {training.global_batch_size}",
        )
