"""Names, labels and annotations: of the job, and of its pods."""

import hashlib
import re
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader

#: What an API server or kubectl writes into an object by itself.
_SERVERS = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp",
    "deletionGracePeriodSeconds",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUEUE = "kueue.x-k8s.io/"
#: Names the PodGroup that Kubeflow's operator makes for Volcano and the scheduler plugins.
_POD_GROUPS = ("scheduling.k8s.io/group-name", "scheduling.x-k8s.io/pod-group")
#: Labels that Kubeflow's operator gives to its pods, and ours for the same.
_LABELS = {
    "training.kubeflow.org/job-name": "trainingjob.dev/job",
    "training.kubeflow.org/replica-type": "trainingjob.dev/role",
    "training.kubeflow.org/replica-index": "trainingjob.dev/index",
    "tf-job-name": "trainingjob.dev/job",
    "tf-replica-type": "trainingjob.dev/role",
    "tf-replica-index": "trainingjob.dev/index",
}
#: Annotations that name the container that trains.
_CONTAINER_KEYS = ("container.apparmor.security.beta.kubernetes.io/",)
_CONTAINER_VALUES = ("kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container")


def job_metadata(metadata: Reader) -> dict[str, Any]:
    """Return the metadata of the TrainingJob."""
    out: dict[str, Any] = {}
    name, prefix = metadata.text("name"), metadata.text("generateName")
    if name is not None or prefix is None:
        out["name"] = _name(metadata, "name", name, accepted.MAX_NAME)
    if prefix is not None:
        # The API server adds five characters, and a name that is given wins.
        if "name" in out:
            metadata.note(Level.SAME, "generateName", prefix, "the name is given")
        else:
            out["generateName"] = _name(metadata, "generateName", prefix, accepted.MAX_NAME - 5)
    if namespace := metadata.text("namespace"):
        out["namespace"] = namespace
    for key in _SERVERS:
        if (value := metadata.take(key)) is not None:
            metadata.note(Level.SAME, key, value, "is written by the API server")
    for key, most in (("labels", 63), ("annotations", 262144)):
        if texts := _texts(metadata, key, most):
            out[key] = texts
    for key in (key for key in out.get("labels", ()) if key.startswith(_KUEUE)):
        metadata.note(
            Level.CHANGED, f"labels.{key}", out["labels"][key],
            "kept, but Kueue does not know TrainingJobs in this version: the job starts without waiting for quota",
        )  # fmt: skip
    metadata.lose_rest("belongs to the old object: set it again where it is needed")
    return out


def template_metadata(metadata: Reader) -> dict[str, Any]:
    """Return podTemplate.metadata from that of a replica's template."""
    out: dict[str, Any] = {}
    labels = _texts(metadata, "labels", 63)
    for key in [key for key, value in labels.items() if not accepted.label_value(value)]:
        metadata.note(Level.LOST, f"labels.{key}", labels.pop(key), "is no value that a label can have")
    for key in [key for key in labels if key.startswith(accepted.OWN_LABELS)]:
        metadata.note(Level.LOST, f"labels.{key}", labels.pop(key), "belongs to the operator: use another name")
    annotations = _texts(metadata, "annotations", accepted.MAX_ITEM)
    for key in [key for key in annotations if key in _POD_GROUPS]:
        advice = "names a PodGroup that Kubeflow's operator made; left out, so that no scheduler waits for it"
        metadata.note(Level.LOST, f"annotations.{key}", annotations.pop(key), advice)
    for key, found in (("labels", labels), ("annotations", _renamed_container(annotations))):
        for name in list(found)[accepted.MAX_METADATA :]:
            metadata.note(Level.LOST, f"{key}.{name}", found.pop(name), f"podTemplate takes {accepted.MAX_METADATA}")
        if found:
            out[key] = found
    for key, value in metadata.rest().items():
        metadata.note(Level.SAME, key, value, "the operator names the pods, as Kubeflow's does")
    return out


def with_own_labels(value: Any) -> Any:
    """Return affinity or spread constraints with the labels of our pods instead of those of Kubeflow's."""
    if isinstance(value, list):
        return [with_own_labels(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _LABELS.get(key, key): (
            _LABELS.get(item, item) if key == "key" and isinstance(item, str) else with_own_labels(item)
        )
        for key, item in value.items()
    }


def _renamed_container(annotations: dict[str, str]) -> dict[str, str]:
    out = {}
    for key, value in annotations.items():
        prefix = next((prefix for prefix in _CONTAINER_KEYS if key == prefix + "tensorflow"), None)
        named = key in _CONTAINER_VALUES and value == "tensorflow"
        out[prefix + accepted.CONTAINER if prefix else key] = accepted.CONTAINER if named else value
    return out


def _texts(metadata: Reader, key: str, most: int) -> dict[str, str]:
    texts: dict[str, str] = metadata.mapping(key)
    if texts.pop(_LAST_APPLIED, None) is not None:
        metadata.note(Level.SAME, f"{key}.{_LAST_APPLIED}", None, "is written by kubectl")
    for name in [name for name, value in texts.items() if not accepted.short_text(value, most)]:
        metadata.note(Level.LOST, f"{key}.{name}", texts.pop(name), f"must be a text of at most {most} characters")
    return texts


def _name(metadata: Reader, key: str, given: "str | None", most: int) -> str:
    """Return a name that is a DNS label of at most so many characters; shortened names differ as whole ones do."""
    if given is None:
        metadata.note(Level.TODO, "name", None, "the TFJob has none: the TrainingJob is called tfjob; rename it")
        return "tfjob"
    label = re.sub(r"[^a-z0-9-]", "-", given.lower()).lstrip("-")
    label = label if label[:1].isalpha() else f"job-{label}"
    label = label.rstrip("-") if key == "name" else label
    if len(label) > most:
        digest = hashlib.sha256(given.encode()).hexdigest()[:5]
        label = label[: most - 6].rstrip("-") + "-" + digest
    if label != given:
        metadata.note(
            Level.CHANGED, key, given,
            f"becomes {label}: it has at most {most} lower-case letters, digits and dashes, for pods' host names",
        )  # fmt: skip
    return label
