"""The pod of a TensorBoard: the job's volume, read-only, and the job's image, which has TensorBoard.

It listens on the pod's own loopback: only a port-forward reaches it, nobody else in the cluster. It has none of the
labels of a member, so the operator does not take it for one. It goes with the job (its owner), at its deadline, or at
Ctrl-C.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_client import names
from trainingjob_client.errors import ClientError

Json = Mapping[str, Any]

PORT = 6006
CONTAINER = "tensorboard"
#: Whoever's terminal was closed in a way that left no time to tidy up leaves a pod for so long at most.
DEADLINE_SECONDS = 8 * 3600
#: The trainer image's user; the job's files are his.
_USER = 1000
_LISTEN = ("--host", "127.0.0.1", "--port", str(PORT))
#: A volume of these kinds dies with the pod that it was made for.
_PODS_OWN = ("emptyDir", "ephemeral")


@dataclass(frozen=True)
class _Mounted:
    path: str
    source: Json
    sub_path: str


def build_pod(
    job: Json, chief: Json | None, *, image: str | None = None, logdir: str | None = None
) -> dict[str, Any]:
    """Return the pod.

    Args:
        job: the TrainingJob.
        chief: the chief's newest pod, None when it is gone.
        image: instead of the one that the chief has.
        logdir: instead of the folder of `spec.reporting.tensorboard`.

    Raises:
        ClientError: there are no event files to show, or nothing says where or with which image.
    """
    metadata, spec = job["metadata"], job["spec"]
    folder = logdir or _folder(metadata["name"], spec)
    place = _place(folder, spec, chief)
    chief_spec: Json = (chief or {}).get("spec") or {}
    container: Json = next((c for c in chief_spec.get("containers") or () if c["name"] == names.CONTAINER), {})
    chosen = image or container.get("image") or spec.get("image")
    if not chosen:
        raise ClientError(
            f"no pod of {metadata['name']}'s chief is left to take the image from: "
            "name one that has TensorBoard with --image, like the release's trainer image"
        )
    mount = {"name": "events", "mountPath": place.path, "readOnly": True}
    user = (chief_spec.get("securityContext") or {}).get("runAsUser") or _USER
    pod_spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": chosen,
                "command": ["python3", "-m", "tensorboard.main", "--logdir", folder, *_LISTEN],
                "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
                "resources": {
                    "requests": {"cpu": "100m", "memory": "512Mi"},
                    "limits": {"cpu": "1", "memory": "2Gi"},
                },
                "volumeMounts": [
                    mount | ({"subPath": place.sub_path} if place.sub_path else {}),
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "events", **place.source}, {"name": "tmp", "emptyDir": {}}],
    }  # fmt: skip
    if container.get("imagePullPolicy") and not image:
        pod_spec["containers"][0]["imagePullPolicy"] = container["imagePullPolicy"]
    secrets = chief_spec.get("imagePullSecrets") or [{"name": each} for each in spec.get("imagePullSecrets") or ()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-tensorboard-",
            "namespace": metadata["namespace"],
            "labels": {
                "app.kubernetes.io/name": "trainingjob",
                "app.kubernetes.io/instance": metadata["name"],
                "app.kubernetes.io/component": "tensorboard",
                "app.kubernetes.io/managed-by": "trainingjob-client",
            },
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "spec": pod_spec | ({"imagePullSecrets": secrets} if secrets else {}) | _node(chief, place),
    }


def _folder(job: str, spec: Json) -> str:
    """Return the folder with the event files of this job, and of those that shared its checkpoints."""
    checkpoint = spec.get("checkpoint") or {}
    folder = checkpoint.get("path") or names.CHECKPOINT_DIR
    if not checkpoint or not (spec.get("reporting") or {}).get("tensorboard"):
        raise ClientError(
            f"{job} writes no event files: set spec.reporting.tensorboard (and spec.checkpoint), or name the folder "
            "that the program itself writes to with --logdir, like --logdir /data/logs"
        )
    return f"{folder.rstrip('/')}/{names.TENSORBOARD_DIR}"


def _place(folder: str, spec: Json, chief: Json | None) -> _Mounted:
    """Return the volume that the folder lies on. The chief's pod knows best: a podTemplate may have added volumes."""
    if not folder.startswith("/"):
        raise ClientError(f"{folder}: must be a folder on one of the job's volumes, like /data/logs")
    inside = posixpath.normpath(folder)
    mounted = list(_of_pod(chief) if chief else _of_spec(spec))
    found = [each for each in mounted if inside == each.path or inside.startswith(each.path.rstrip("/") + "/")]
    if not found:
        known = ", ".join(sorted(each.path for each in mounted)) or "none"
        raise ClientError(f"{folder} is on none of the job's volumes; they are at: {known}")
    place = max(found, key=lambda each: len(each.path))
    kind = next(iter(place.source), "")
    if kind in _PODS_OWN:
        raise ClientError(
            f"{folder} is on a volume of kind {kind}, which only its own pod can see: "
            "keep checkpoints on a persistentVolumeClaim to look at them from outside"
        )
    return place


def _of_pod(pod: Json) -> Iterator[_Mounted]:
    spec = pod["spec"]
    sources = {
        v["name"]: {kind: body for kind, body in v.items() if kind != "name"} for v in spec.get("volumes") or ()
    }
    for container in spec.get("containers") or ():
        if container["name"] == names.CONTAINER:
            for mount in container.get("volumeMounts") or ():
                if mount["name"] in sources:
                    path = posixpath.normpath(mount["mountPath"])
                    yield _Mounted(path, sources[mount["name"]], mount.get("subPath") or "")


def _of_spec(spec: Json) -> Iterator[_Mounted]:
    own = (spec.get("checkpoint") or {}).get("volume")
    if own:
        yield _of_short(own, names.CHECKPOINT_DIR)
    for volume in spec.get("volumes") or ():
        yield _of_short(volume, volume["mountPath"])


def _of_short(volume: Json, path: str) -> _Mounted:
    source = {kind: body for kind, body in volume.items() if kind not in ("mountPath", "subPath", "readOnly")}
    return _Mounted(posixpath.normpath(path), source, volume.get("subPath") or "")


def _node(chief: Json | None, place: _Mounted) -> dict[str, Any]:
    """Return where it must run: beside a chief that runs, whose node alone may mount a ReadWriteOnce volume."""
    if chief is None:
        return {}
    node = chief["spec"].get("nodeName")
    ended = (chief.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if not node or (ended and "hostPath" not in place.source):
        return {}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    tolerations = chief["spec"].get("tolerations") or []
    return {"affinity": {"nodeAffinity": required}} | ({"tolerations": tolerations} if tolerations else {})
