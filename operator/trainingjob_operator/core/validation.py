"""What only Python can judge about a spec: rules that need the installation, arithmetic, or objects of other APIs.

The schema and its CEL rules refuse the rest before a job is stored. What is found here ends in `phase: Invalid`,
before any pod is made, with the field, its value and what to write instead.
"""

import difflib
from collections.abc import Callable, Iterator

from trainingjob_operator.api.contract import MAX_SPEC_BYTES
from trainingjob_operator.api.v1alpha1 import NodePool, TrainingJobSpec
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.document import encode_document
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.pod_template import judge_pod_template
from trainingjob_operator.core.program import judge_program
from trainingjob_operator.core.quantity import parse_quantity
from trainingjob_operator.core.training import judge_training
from trainingjob_operator.core.volumes import CHECKPOINT_DIR, OUTPUT_DIR


def judge(spec: TrainingJobSpec, platform: Platform) -> tuple[Problem, ...]:
    """Return everything that is wrong with a spec that the schema let through; empty when nothing is."""
    return tuple(problem for rule in RULES for problem in rule(spec, platform))


def _node_pool(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    yield from _profile("spec.nodePool.name", spec.node_pool, platform)
    if spec.evaluator is not None:
        yield from _profile("spec.evaluator.nodePool.name", spec.evaluator.node_pool, platform)


def _profile(field: str, pool: NodePool | None, platform: Platform) -> Iterator[Problem]:
    name = pool.name if pool else None
    if name is None or name in platform.node_pools:
        return
    if not platform.node_pools:
        remedy = "this installation has no node pool profiles: leave name out and write the fields inline"
    else:
        near = difflib.get_close_matches(name, platform.node_pools, n=1)
        known = ", ".join(sorted(platform.node_pools))
        remedy = f"no such profile; did you mean {near[0]}?" if near else f"no such profile; there are: {known}"
    yield Problem(field, name, remedy)


def _image(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    if spec.image is not None:
        return
    pools = [spec.node_pool, spec.evaluator.node_pool if spec.evaluator else None]
    accelerated = any(resolve(pool, platform.node_pools).accelerator is not None for pool in pools)
    if accelerated and not platform.gpu_image:
        yield Problem(
            "spec.image",
            "",
            "is not set, and this installation has no trainer image for accelerators: name an image here, or have "
            "trainer.gpu set in the Helm values",
        )


def _document(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    size = len(encode_document(spec).encode())
    if size > MAX_SPEC_BYTES:
        yield Problem(
            "spec.training" if spec.training else "spec",
            f"{size} bytes",
            f"what the trainer is told may have {MAX_SPEC_BYTES} bytes: build large models in Python (model.builder)",
        )


def _volumes(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    taken = {volume.mount_path for volume in spec.volumes or ()}
    for field, part, path in (
        ("spec.checkpoint.volume", spec.checkpoint, CHECKPOINT_DIR),
        ("spec.output.volume", spec.output, OUTPUT_DIR),
    ):
        if part is not None and part.volume is not None and path in taken:
            yield Problem(
                field,
                path,
                f"is mounted at {path}, where spec.volumes has a volume already: say path: {path} instead",
            )


def _tensorboard(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    path = spec.checkpoint.path if spec.checkpoint is not None else None
    if spec.reporting.tensorboard and path is not None and not path.startswith("/"):
        yield Problem(
            "spec.reporting.tensorboard",
            "true",
            f"writes event files beside the checkpoints, into a folder and not to {path.partition('://')[0]}://: "
            "keep the checkpoints on a volume (spec.checkpoint.volume, or a path on one of spec.volumes), or remove "
            "tensorboard",
        )


def _resources(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    resources = spec.resources
    if resources is None:
        return
    for part, amounts in (("requests", resources.requests or {}), ("limits", resources.limits or {})):
        for name, amount in amounts.items():
            if parse_quantity(amount) is None:
                yield Problem(f"spec.resources.{part}.{name}", str(amount), "must be a quantity like 2, 500m or 1Gi")
    for name, amount in (resources.requests or {}).items():
        request, limit = parse_quantity(amount), parse_quantity((resources.limits or {}).get(name, ""))
        if request is not None and limit is not None and request > limit:
            yield Problem(
                f"spec.resources.requests.{name}",
                str(amount),
                f"is more than limits.{name}, {(resources.limits or {})[name]}: lower it or raise the limit",
            )
    accelerator = resolve(spec.node_pool, platform.node_pools).accelerator
    for part, amounts in (("requests", resources.requests or {}), ("limits", resources.limits or {})):
        if accelerator is not None and accelerator.resource in amounts:
            yield Problem(
                f"spec.resources.{part}.{accelerator.resource}",
                str(amounts[accelerator.resource]),
                "the node pool asks for it already: remove it here, or change nodePool.accelerator.count",
            )


RULES: tuple[Callable[[TrainingJobSpec, Platform], Iterator[Problem]], ...] = (
    _node_pool,
    _image,
    judge_program,
    judge_training,
    _document,
    _resources,
    _volumes,
    _tensorboard,
    judge_pod_template,
)
