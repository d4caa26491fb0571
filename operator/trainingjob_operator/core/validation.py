"""What only Python can judge about a spec: rules that need the installation, arithmetic, or objects of other APIs.

The schema and its CEL rules refuse the rest before a job is stored. What is found here ends in `phase: Invalid`,
before any pod is made, with the field, its value and what to write instead.
"""

import difflib
from collections.abc import Iterator

from trainingjob_operator.api import names
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.quantity import parse_quantity

#: Inline files travel in one environment variable; Linux takes 128 KiB for one.
MAX_INLINE_BYTES = 96 * 1024
#: Fields of a pod that carry the gang; a template that changes them breaks it.
OWNED_POD_FIELDS = (
    "restartPolicy",
    "hostname",
    "subdomain",
    "setHostnameAsFQDN",
    "nodeName",
    "activeDeadlineSeconds",
)
_PASSTHROUGH_LISTS = (
    "containers", "initContainers", "volumes", "tolerations", "imagePullSecrets", "hostAliases",
    "topologySpreadConstraints", "resourceClaims", "schedulingGates",
)  # fmt: skip


def judge(spec: TrainingJobSpec, platform: Platform) -> tuple[Problem, ...]:
    """Return everything that is wrong with a spec that the schema let through; empty when nothing is."""
    return tuple(
        problem
        for rule in (_training, _node_pool, _image, _program, _resources, _pod_template)
        for problem in rule(spec, platform)
    )


def _training(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    if spec.training is not None:
        yield Problem(
            "spec.training",
            "{...}",
            "declarative training is not in this version of the operator: write the training as a program under "
            "spec.program, as examples/mnist-cnn.yaml does",
        )


def _node_pool(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    name = spec.node_pool.name if spec.node_pool else None
    if name is None or name in platform.node_pools:
        return
    if not platform.node_pools:
        remedy = "this installation has no node pool profiles: leave name out and write the fields inline"
    else:
        near = difflib.get_close_matches(name, platform.node_pools, n=1)
        known = ", ".join(sorted(platform.node_pools))
        remedy = f"no such profile; did you mean {near[0]}?" if near else f"no such profile; there are: {known}"
    yield Problem("spec.nodePool.name", name, remedy)


def _image(spec: TrainingJobSpec, platform: Platform) -> Iterator[Problem]:
    if spec.image is not None:
        return
    accelerated = resolve(spec.node_pool, platform.node_pools).accelerator is not None
    if accelerated and not platform.gpu_image:
        yield Problem(
            "spec.image",
            "",
            "is not set, and this installation has no trainer image for accelerators: name an image here, or have "
            "trainer.gpu set in the Helm values",
        )


def _program(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    program = spec.program
    if program is None:
        return
    inline = program.source.inline.files if program.source and program.source.inline else {}
    from_config_map = program.source is not None and program.source.config_map is not None
    if program.command is None and not from_config_map and "main.py" not in inline:
        yield Problem(
            "spec.program.command", "", "is needed, unless the source has a main.py: write [python, your_script.py]"
        )
    if len({name.casefold() for name in inline}) < len(inline):
        yield Problem("spec.program.source.inline.files", ", ".join(inline), "names must differ by more than case")
    folders = {"/".join(name.split("/")[:depth]) for name in inline for depth in range(1, name.count("/") + 1)}
    for name in sorted(folders & set(inline)):
        yield Problem("spec.program.source.inline.files", name, "is both a file and a folder: rename one of them")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in inline.items())
    if size > MAX_INLINE_BYTES:
        yield Problem(
            "spec.program.source.inline.files",
            f"{size} bytes",
            f"all files together may have {MAX_INLINE_BYTES} bytes: put the program into a ConfigMap "
            "(source.configMap) or into the image",
        )
    for index, variable in enumerate(program.env or ()):
        if variable.value is not None and variable.value_from is not None:
            yield Problem(f"spec.program.env[{index}]", variable.name, "has both value and valueFrom: keep one")


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


def _pod_template(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    template = spec.pod_template
    if template is None:
        return
    for name in (template.metadata.labels or {}) if template.metadata else ():
        if name.startswith(names.GROUP + "/"):
            yield Problem(
                f"spec.podTemplate.metadata.labels.{name}", name, "belongs to the operator: use another name"
            )
    pod = template.spec or {}
    for field in OWNED_POD_FIELDS:
        if field in pod:
            yield Problem(f"spec.podTemplate.spec.{field}", str(pod[field]), "belongs to the operator: remove it")
    for field in _PASSTHROUGH_LISTS:
        items = pod.get(field)
        if items is not None and not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
            yield Problem(f"spec.podTemplate.spec.{field}", str(items)[:60], "must be a list of objects, as in a pod")
            return
    for index, container in enumerate(pod.get("containers") or ()):
        field = f"spec.podTemplate.spec.containers[{index}]"
        if not isinstance(container.get("name"), str):
            yield Problem(f"{field}.name", "", f"is needed; {names.CONTAINER} is the one that trains")
        elif container["name"] == names.CONTAINER:
            for owned in ("command", "args"):
                if owned in container:
                    yield Problem(f"{field}.{owned}", "", f"starts the launcher: set spec.program.{owned} instead")
        elif not container.get("image"):
            near = f"; did you mean {names.CONTAINER}?" if len(pod["containers"]) == 1 else ""
            yield Problem(
                f"{field}.image", container["name"], f"a container besides {names.CONTAINER} needs one{near}"
            )
