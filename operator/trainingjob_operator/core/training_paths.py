"""Paths of data, checkpoints and output: on a volume of the job, or where TensorFlow reads from afar."""

from collections.abc import Iterator

from trainingjob_operator.api.data import Dataset
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.volumes import CHECKPOINT_DIR, OUTPUT_DIR, WORK_DIR

#: What TensorFlow 2.21 reads by itself. Others, s3:// too, need an image with their plugin (tensorflow-io).
REMOTE = ("file", "gs")


def judge_paths(spec: TrainingJobSpec) -> Iterator[Problem]:
    """Yield paths that can't be read, or that are gone with the pod."""
    for field, part in (("spec.checkpoint.path", spec.checkpoint), ("spec.output.path", spec.output)):
        if part is not None and part.path is not None:
            yield from _kept(part.path, field, spec)
    if spec.training is not None:
        yield from _data(spec.training.dataset, "spec.training.dataset", spec)
        validation = spec.training.validation
        if validation is not None and validation.dataset is not None:
            yield from _data(validation.dataset, "spec.training.validation.dataset", spec)


def _kept(path: str, field: str, spec: TrainingJobSpec) -> Iterator[Problem]:
    if not path.startswith("/"):
        yield from _remote(path, field, spec)
        return
    mount = _mount(path, spec)
    if mount is None and not _mounts_of_template(spec):
        yield Problem(
            field,
            path,
            "lies on none of the job's volumes, so it is gone with the pod: mount one there (spec.volumes), write "
            f"{field.removeprefix('spec.').removesuffix('.path')}.volume instead, or gs://",
        )
    elif mount is not None and _read_only(mount, spec):
        yield Problem(field, path, f"the volume at {mount} is readOnly: remove that, or write elsewhere")


def _data(dataset: Dataset, field: str, spec: TrainingJobSpec) -> Iterator[Problem]:
    for name in ("npz", "csv", "tfrecord", "images"):
        source = getattr(dataset, name)
        if source is None:
            continue
        if not source.path.startswith("/"):
            yield from _remote(source.path, f"{field}.{name}.path", spec)
            continue
        in_files = source.path.startswith(f"{WORK_DIR}/") and spec.training is not None and spec.training.source
        # an image of the job's own may hold data; ours does not
        if (
            spec.image is None
            and not in_files
            and _mount(source.path, spec) is None
            and not _mounts_of_template(spec)
        ):
            yield Problem(
                f"{field}.{name}.path",
                source.path,
                "lies on none of the job's volumes, and the trainer image holds no data: mount a volume there "
                "(spec.volumes), or write gs://",
            )


def _remote(path: str, field: str, spec: TrainingJobSpec) -> Iterator[Problem]:
    scheme = path.partition("://")[0]
    if spec.image is None and scheme not in REMOTE:
        yield Problem(
            field,
            path,
            f"the TensorFlow of the trainer image reads gs:// and no {scheme}://: mount the bucket as a volume (by a "
            "CSI driver), or bring an image with a plugin for it",
        )


def _mount(path: str, spec: TrainingJobSpec) -> str | None:
    """Return where the volume that holds a path is mounted."""
    mounts = [volume.mount_path for volume in spec.volumes or ()]
    if spec.checkpoint is not None and spec.checkpoint.volume is not None:
        mounts.append(CHECKPOINT_DIR)
    if spec.output is not None and spec.output.volume is not None:
        mounts.append(OUTPUT_DIR)
    holding = [mount for mount in mounts if f"{path.rstrip('/')}/".startswith(f"{mount.rstrip('/')}/")]
    return max(holding, key=len, default=None)


def _read_only(mount: str, spec: TrainingJobSpec) -> bool:
    return any(volume.mount_path == mount and bool(volume.read_only) for volume in spec.volumes or ())


def _mounts_of_template(spec: TrainingJobSpec) -> bool:
    """Return whether the pod template mounts something: where, is not looked into."""
    pod = (spec.pod_template.spec if spec.pod_template else None) or {}
    containers = pod.get("containers")
    return isinstance(containers, list) and any(
        isinstance(container, dict) and container.get("volumeMounts") for container in containers
    )
