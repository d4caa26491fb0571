"""A replica's pod template: what becomes fields of a TrainingJob, and what is merged over the pods."""

import copy
from collections.abc import Sequence
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.container import read_container
from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.metadata import template_metadata
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader
from trainingjob_client.tfjob.scheduling import read_scheduling
from trainingjob_client.tfjob.volumes import read_volumes

#: The name that Kubeflow's operator asks of the container that trains.
TENSORFLOW = "tensorflow"
_OWNED = {
    "restartPolicy": (Level.SAME, "the operator restarts; pods don't"),
    "nodeName": (Level.LOST, "the scheduler places members: use spec.nodePool.nodeSelector kubernetes.io/hostname"),
    "activeDeadlineSeconds": (Level.LOST, "is the job's here: write spec.runPolicy.activeDeadlineSeconds"),
    "ephemeralContainers": (Level.LOST, "are for running pods: use kubectl debug"),
}


def read_template(template: Reader, draft: Draft, command: "Sequence[str] | None") -> None:
    """Take a pod template whole: into fields of the TrainingJob, into podTemplate, or into notes."""
    draft.metadata = template_metadata(template.child("metadata"))
    spec = template.child("spec")
    template.lose_rest()
    main, sidecars = split_containers(spec)
    others = [*_init_containers(spec), *sidecars]
    read_volumes(spec, main, others, draft)
    read_container(main, draft, command)
    read_scheduling(spec, draft.node_pool, draft.pod)
    _pull_secrets(spec, draft)
    _identity(spec, draft)
    for key in (*accepted.OWN_POD_FIELDS, "ephemeralContainers"):
        if (value := spec.take(key)) is not None:
            level, advice = _OWNED.get(key, (Level.LOST, "belongs to the operator: members find each other by it"))
            spec.note(level, key, value, advice)
    if others:
        draft.pod["initContainers"] = others
    for key, value in spec.rest().items():
        if key in accepted.POD_LISTS and not accepted.objects(value):
            spec.note(Level.LOST, key, value, "is no list of objects, and is left out")
        else:
            draft.pod[key] = value
    _tell_security(spec, draft)


def _tell_security(spec: Reader, draft: Draft) -> None:
    """Say what the operator's pods don't let a program do, where the TFJob does not settle it."""
    contexts = [context for part in (draft.pod, draft.trainer) if (context := part.get("securityContext"))]
    user = "" if any("runAsUser" in context for context in contexts) else "members run as user 1000; "
    if not any("readOnlyRootFilesystem" in context for context in contexts):
        spec.note(
            Level.CHANGED, "securityContext", None,
            f"{user}the root file system is read-only: programs write to volumes, /workspace and /tmp, unless "
            "spec.podTemplate says otherwise",
        )  # fmt: skip


def split_containers(spec: Reader) -> tuple[Reader, list[dict[str, Any]]]:
    """Return (the container that trains, the others as sidecars that end with it)."""
    found = []
    for index, container in spec.numbered("containers"):
        if isinstance(container, dict):
            found.append(container)
        else:
            spec.note(Level.LOST, f"containers[{index}]", container, "is no container, and is left out")
    main = next((container for container in found if container.get("name") == TENSORFLOW), found[0] if found else {})
    name = main.get("name", TENSORFLOW)
    if main and name != TENSORFLOW:
        spec.note(
            Level.CHANGED,
            "containers[0].name",
            name,
            f"is taken for the one that trains, which a TFJob calls {TENSORFLOW}",
        )
    reader = Reader(main, spec.at(f"containers[{name}]"), spec.notes)
    reader.take("name")
    return reader, [sidecar for other in found if other is not main for sidecar in _sidecar(spec, other)]


def _sidecar(spec: Reader, container: dict[str, Any]) -> list[dict[str, Any]]:
    name = container.get("name")
    if not isinstance(name, str) or not container.get("image"):
        spec.note(Level.LOST, f"containers[{name}]", container, "has no name or no image, and is left out")
        return []
    spec.note(
        Level.CHANGED, f"containers[{name}]", None,
        "is now an init container with restartPolicy Always: it runs beside the training and ends with it",
    )  # fmt: skip
    sidecar = copy.deepcopy(container) | {"restartPolicy": "Always"}
    if name == accepted.CONTAINER:
        sidecar["name"] = f"{name}-sidecar"
        spec.note(
            Level.CHANGED,
            f"containers[{name}].name",
            name,
            f"becomes {sidecar['name']}: {name} is the one that trains",
        )
    return [sidecar]


def _init_containers(spec: Reader) -> list[dict[str, Any]]:
    out = []
    for index, container in spec.numbered("initContainers"):
        if isinstance(container, dict):
            out.append(copy.deepcopy(container))
        else:
            spec.note(Level.LOST, f"initContainers[{index}]", container, "is no container, and is left out")
    return out


def _pull_secrets(spec: Reader, draft: Draft) -> None:
    secrets = spec.items("imagePullSecrets")
    names = [item.get("name") for item in secrets if isinstance(item, dict) and item.keys() == {"name"}]
    fits = len(names) == len(secrets) <= accepted.MAX_PULL_SECRETS and all(map(accepted.dns_name, names))
    if secrets and fits:
        draft.top["imagePullSecrets"] = list(dict.fromkeys(names))
    elif accepted.objects(secrets):
        draft.pod |= {"imagePullSecrets": secrets} if secrets else {}
    else:
        spec.note(Level.LOST, "imagePullSecrets", secrets, "is no list of objects, and is left out")


def _identity(spec: Reader, draft: Draft) -> None:
    for key in ("serviceAccountName", "serviceAccount"):
        if (account := spec.text(key)) is not None:
            draft.pod[key] = account
            # Who names an account wants its token, which the operator's pods don't have.
            draft.pod["automountServiceAccountToken"] = True
    if (mounted := spec.flag("automountServiceAccountToken")) is not None:
        draft.pod["automountServiceAccountToken"] = mounted
    if context := spec.mapping("securityContext"):
        if context.get("runAsUser") == 0:
            context.setdefault("runAsNonRoot", False)  # else merged over the operator's `true`, and no pod starts
        draft.pod["securityContext"] = context
