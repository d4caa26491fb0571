"""A member's volumes: the job's own in their short form, and what the launcher needs under a read-only root."""

from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.program import ProgramSource
from trainingjob_operator.api.v1alpha1 import VOLUME_SOURCES, TrainingJobSpec
from trainingjob_operator.api.volumes import VolumeSource
from trainingjob_operator.core.observe import JobFact

WORK_DIR = "/workspace"
CHECKPOINT_DIR = "/checkpoints"
OUTPUT_DIR = "/output"
SOURCE_DIR = "/var/run/trainingjob/program"
TOKEN_DIR = "/var/run/trainingjob/token"
TOKEN_SECONDS = 3600


def mounts_and_volumes(
    job: JobFact, spec: TrainingJobSpec, role: str, *, accelerated: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (volumeMounts, volumes) of a member.

    `/workspace` and `/tmp` are the places a program may write to. The members of the gang get the report token: the
    chief reports, a worker says when it has lost the chief. Members with accelerators get shared memory of their own,
    because NCCL needs more than a container's 64 MiB.
    """
    mounts: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []

    def add(name: str, source: dict[str, Any], path: str, **mount: Any) -> None:
        volumes.append({"name": name, **source})
        mounts.append({"name": name, "mountPath": path, **mount})

    def add_short(name: str, volume: VolumeSource | None, path: str) -> None:
        if volume is not None:
            given = volume.model_dump(by_alias=True, exclude_none=True)
            kind = next(name for name in VOLUME_SOURCES if name in given)
            source = {name: value for name, value in given[kind].items() if value != ""}
            mount = {name: given[name] for name in ("subPath", "readOnly") if given.get(name)}
            add(name, {kind: source}, path, **mount)

    add("workspace", {"emptyDir": {}}, WORK_DIR)
    add("tmp", {"emptyDir": {}}, "/tmp")  # noqa: S108
    if accelerated:
        add("shm", {"emptyDir": {"medium": "Memory"}}, "/dev/shm")  # noqa: S108
    if role != names.ROLE_EVALUATOR:
        token = {
            "audience": names.report_audience(job.uid),
            "expirationSeconds": TOKEN_SECONDS,
            "path": "token",
        }
        source = {"projected": {"sources": [{"serviceAccountToken": token}]}}
        add("report-token", source, TOKEN_DIR, readOnly=True)
    files = source_of(spec)
    if files is not None and files.config_map is not None:
        add("program", {"configMap": {"name": files.config_map.name}}, SOURCE_DIR, readOnly=True)
    add_short("checkpoints", spec.checkpoint.volume if spec.checkpoint else None, CHECKPOINT_DIR)
    add_short("output", spec.output.volume if spec.output else None, OUTPUT_DIR)
    for index, volume in enumerate(spec.volumes or ()):
        add_short(f"volume-{index}", volume, volume.mount_path)
    return mounts, volumes


def tensorboard_dir(job: JobFact, spec: TrainingJobSpec) -> str:
    """Return the folder for the job's event files, "" for none. Jobs that share checkpoints have one each.

    `reporting` may change while the job runs and is not judged again then: what is no folder is none.
    """
    if not spec.reporting.tensorboard or spec.checkpoint is None:
        return ""
    folder = spec.checkpoint.path or CHECKPOINT_DIR
    return f"{folder.rstrip('/')}/tensorboard/{job.name}" if folder.startswith("/") else ""


def source_of(spec: TrainingJobSpec) -> ProgramSource | None:
    """Return where a job's Python files come from, a program's or those of declarative training."""
    if spec.program is not None:
        return spec.program.source
    return spec.training.source if spec.training is not None else None
