"""One pod as a process: its command, its environment and its folders, from what the operator has built."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainingjob_local.environment import container_variables, expand
from trainingjob_local.errors import LocalError
from trainingjob_local.gpus import VARIABLE
from trainingjob_local.job_file import Companions
from trainingjob_local.mounts import Mounts, Places, mounts_of, unfilled
from trainingjob_local.python import Python
from trainingjob_operator.api import names
from trainingjob_operator.api.contract import DOWNWARD_FIELDS, Assignment
from trainingjob_operator.core.volumes import WORK_DIR

LOOPBACK = "127.0.0.1"
#: There is nobody to spare: the view is live.
REPORT_SECONDS = 1.0
#: What belongs to a training and may be in the shell of the person who starts another.
_NOT_INHERITED = ("TF_CONFIG",)


@dataclass(frozen=True)
class Site:
    """The run's place on this machine. `chief_port` is where its members meet, `folder` is gone after the run."""

    folder: Path
    data: Path
    cwd: Path
    python: Python
    chief_port: int
    shell: Mapping[str, str]
    volumes: Mapping[str, Path]
    companions: Companions
    gpus: Mapping[str, str] = field(default_factory=dict)
    """`CUDA_VISIBLE_DEVICES` by member."""

    @property
    def reports(self) -> Path:
        """Where the chief's launcher writes its reports, each into a file of its own."""
        return self.folder / "reports"


@dataclass(frozen=True)
class Start:
    """How to start a member's launcher."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    mounts: Mounts

    @property
    def termination(self) -> Path:
        """The file of its termination message."""
        return self.folder / "termination"


def prepare(pod: Mapping[str, Any], site: Site) -> Start:
    """Return how a pod is started here. Nothing is made yet, but for the files of ConfigMaps.

    Raises:
        LocalError: the pod needs what is not on this machine.
    """
    name = pod["metadata"]["name"]
    folder = site.folder / "members" / name
    container = next(one for one in pod["spec"]["containers"] if one["name"] == names.CONTAINER)
    mounts, problems = mounts_of(pod, container, _places(site, folder))
    variables, missing = container_variables(container, pod, site.companions, site.shell)
    problems += unfilled(mounts) + missing
    told, wrong = _assignment(variables, mounts, site)
    problems += wrong
    if problems:
        raise LocalError(problems)
    arguments = [mounts.argument(expand(text, variables)) for text in container["args"]]
    env = _environment(variables, told, mounts, site, folder)
    command = [site.python.path, "-m", "trainingjob_launcher", "--", *arguments]
    return Start(name, command, env, folder, mounts)


def _places(site: Site, folder: Path) -> Places:
    def write(kind: str, name: str, items: Mapping[str, str] | None) -> Path | None:
        contents = site.companions.get(kind, name)
        if contents is None:
            return None
        target = folder / "files" / f"{kind}-{name}"
        for key, file in (items or {key: key for key in contents}).items():
            path = target / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents.get(key, b""))
        return target

    return Places(site.volumes, site.data, folder, write)


def _assignment(variables: Mapping[str, str], mounts: Mounts, site: Site) -> tuple[Assignment, list[str]]:
    """Return what the launcher is told here, and what is wrong with it."""
    given = Assignment.from_env(variables)
    chief = given.role == names.ROLE_CHIEF
    work_dir = mounts.path(given.work_dir) if given.work_dir else str(site.cwd)
    problems = []
    if given.work_dir and given.work_dir == work_dir and not os.path.isdir(work_dir):
        problems.append(
            f"spec.program.workingDir: {work_dir} is a folder of the image: give one here: --volume {work_dir}=FOLDER"
        )
    told = dataclasses.replace(
        given,
        chief_host=LOOPBACK,
        chief_port=site.chief_port,
        trainer_port=0,
        work_dir=work_dir,
        source_dir=mounts.path(given.source_dir),
        spec=_document(given.spec, mounts),
        tensorboard_dir=mounts.path(given.tensorboard_dir),
        report_url=f"{site.reports.as_uri()}/" if chief else "",
        report_ca="",
        report_token_file="",
        report_interval_seconds=min(given.report_interval_seconds, REPORT_SECONDS),
        pod_ip=LOOPBACK,
        pod_uid="",  # no container of its own: the launcher measures its processes, not the machine's
    )
    return told, problems


def _document(text: str, mounts: Mounts) -> str:
    if not text:
        return text
    return json.dumps(mounts.document(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _environment(
    variables: Mapping[str, str], told: Assignment, mounts: Mounts, site: Site, folder: Path
) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in site.shell.items()
        if name not in _NOT_INHERITED and not name.startswith("TRAININGJOB_")
    }
    # a pod's home is its empty folder; here it is the person's, with their caches and credentials
    own = {
        name: mounts.variable(value)
        for name, value in variables.items()
        if not name.startswith("TRAININGJOB_") and (name, value) != ("HOME", WORK_DIR)
    }
    gpus = {VARIABLE: site.gpus[told.member]} if told.member in site.gpus else {}
    env = {**inherited, **gpus, **own, **told.to_env()}
    downward = {name: getattr(told, name.removeprefix("TRAININGJOB_").lower()) for name in DOWNWARD_FIELDS}
    env |= {name: value for name, value in downward.items() if value}
    path = env.get("PATH", os.defpath)
    env["PATH"] = os.pathsep.join([str(site.folder / "bin"), os.path.dirname(site.python.path), path])
    # the launcher's own, last, so that it hides nothing of the program's
    given = env.get("PYTHONPATH")
    env["PYTHONPATH"] = os.pathsep.join([*([given] if given else []), str(site.folder / "packages")])
    env["TRAININGJOB_TERMINATION_PATH"] = str(folder / "termination")
    return env
