"""What a job's pod template may not touch, and what must be whole in it."""

from collections.abc import Iterator

from trainingjob_operator.api import names
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.platform import Platform

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


def judge_pod_template(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    """Yield what is wrong with the pod template."""
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
