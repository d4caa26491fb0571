"""`trainingjob run`, from its options to its exit code."""

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainingjob_local.errors import LocalError
from trainingjob_local.gpus import NONE, deal, visible
from trainingjob_local.job_file import Companions, JobFile, as_created, read_job
from trainingjob_local.member import LOOPBACK, Site
from trainingjob_local.mounts import Mounts, parse_volumes
from trainingjob_local.notes import notes_before, notes_on_paths
from trainingjob_local.platform import local_platform
from trainingjob_local.pods import LocalPods
from trainingjob_local.python import find_python, lay_out, need_tensorflow
from trainingjob_local.screen import Screen
from trainingjob_local.session import Session
from trainingjob_local.state import JobState
from trainingjob_operator.api import names
from trainingjob_operator.api.contract import member_name
from trainingjob_operator.api.names import Phase
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import check_metadata, parse_spec
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.desired import members
from trainingjob_operator.core.validation import judge
from trainingjob_operator.core.volumes import CHECKPOINT_DIR, source_of

SUCCEEDED, FAILED, INVALID = 0, 1, 2
#: What a ConfigMap may hold. More would run here and nowhere else.
MAX_SOURCE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    file: str
    name: str | None = None
    workers: int | None = None
    python: str = sys.executable
    volumes: tuple[str, ...] = ()
    source: str | None = None
    data: str = "trainingjob-data"
    members_log: str | None = None
    write: Callable[[Any], str] | None = None
    """What makes the text of the job's last state, which then has standard output for itself."""


def run(options: Options) -> int:
    """Run a job to its end.

    Returns 0 when it succeeded, 1 when it failed, 2 when it was not started, 128 and the number of the signal that
    stopped it.
    """
    screen = Screen(log=sys.stderr if options.write else sys.stdout)
    try:
        file = _read(options)
        created = datetime.now(UTC)
        body = as_created(file.body, str(uuid.uuid4()), format_time(created), random.Random())
        platform = local_platform(body["spec"])
        spec, problems = parse_spec(body["spec"])
        problems = [*check_metadata(body["metadata"]), *problems, *(judge(spec, platform) if spec else ())]
        if spec is None or problems:
            raise LocalError(str(problem) for problem in problems)
        body["spec"] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        file = _with_source(file, spec, options)
        python = find_python(options.python)
        if spec.training is not None:
            need_tensorflow(python)
        for note in notes_before(file, spec, platform, python):
            screen.say(f"note: {note}")
        gpus = _gpus(spec, screen)
        with _folder() as folder:
            lay_out(folder, python)
            site = Site(
                folder=folder,
                data=Path(options.data).absolute(),
                cwd=Path.cwd(),
                python=python,
                chief_port=_free_port(),
                shell=dict(os.environ),
                volumes=_volumes(options),
                companions=file.companions,
                gpus=gpus,
            )
            site.reports.mkdir()
            pods = LocalPods(site, _logs(options, folder), lambda: datetime.now(UTC), screen.line)

            def started(mounts: Mounts) -> None:
                for note in notes_on_paths(spec, mounts):
                    screen.say(f"note: {note}")

            session = Session(JobState(body), platform, pods, site, screen, started)
            session.run()
            screen.close()
            return _tell(session, pods.mounts, screen, options)
    except LocalError as error:
        for problem in error.problems:
            screen.say(problem)
        return INVALID


def _read(options: Options) -> JobFile:
    source = "standard input" if options.file == "-" else options.file
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{source} can't be read: {error}") from error
    return read_job(text, source, options.name, options.workers)


def _with_source(file: JobFile, spec: TrainingJobSpec, options: Options) -> JobFile:
    """Return the file with the folder of --source in the place of the program's ConfigMap."""
    if options.source is None:
        return file
    source = source_of(spec)
    if source is None or source.config_map is None:
        raise LocalError("--source: the job's program does not come from a ConfigMap (spec.program.source.configMap)")
    try:
        contents = {path.name: path.read_bytes() for path in sorted(Path(options.source).iterdir()) if path.is_file()}
    except OSError as error:
        raise LocalError(f"--source {options.source} can't be read: {error}") from error
    if sum(map(len, contents.values())) > MAX_SOURCE_BYTES:
        raise LocalError(f"--source {options.source}: has more than 1 MiB of files, the most that a ConfigMap holds")
    objects = {**file.companions.objects, ("ConfigMap", source.config_map.name): contents}
    return dataclasses.replace(file, companions=Companions(objects))


def _gpus(spec: TrainingJobSpec, screen: Screen) -> dict[str, str]:
    gang = [member_name(role, index) for role, index in members(spec)]
    beside = [member_name(names.ROLE_EVALUATOR, 0)] if spec.evaluator is not None else []
    devices = visible(os.environ)
    dealt = deal(devices, gang, beside)
    if dealt and set(dealt.values()) == {NONE}:
        have = f"{len(devices)} GPU{'s' if len(devices) > 1 else ''}"
        screen.say(f"note: {len(gang)} members can't share {have}: they train on the CPU; -w 0 trains on the GPU")
    return dealt


def _volumes(options: Options) -> Mapping[str, Path]:
    try:
        return parse_volumes(options.volumes, Path.cwd())
    except ValueError as error:
        raise LocalError(str(error)) from error


def _logs(options: Options, folder: Path) -> Path:
    logs = Path(options.members_log).absolute() if options.members_log else folder / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"--members-log {logs}: {error}") from error
    return logs


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="trainingjob-run-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as sock:
        return int(sock.getsockname()[1])


def _tell(session: Session, mounts: Mounts, screen: Screen, options: Options) -> int:
    """Say how it ended and where things are; return the exit code."""
    body = session.state.body
    status: Mapping[str, Any] = body["status"]
    kept = sorted({mount.folder for mount in mounts.mounts if mount.kept and mount.folder.exists()})
    for folder in kept:
        screen.say(f"kept: {folder}")
    phase = status.get("phase")
    failure = status.get("failure")
    if session.stopped_by is not None and phase != Phase.SUCCEEDED:
        goes_on = "; run again, it goes on from its last checkpoint" if _saved(body["spec"], mounts) else ""
        screen.say(f"stopped{goes_on}")
    elif failure:
        code = f" (exit code {failure['exitCode']})" if "exitCode" in failure else ""
        screen.say(f"Failed: {failure.get('member')}: {failure.get('reason')}{code}: {failure.get('message')}")
        if failure.get("member") != "chief-0":
            for line in failure.get("lastLogLines", ())[-20:]:
                screen.say(f"  {line}")
    if options.write is not None:
        sys.stdout.write(options.write(body))
    if phase == Phase.SUCCEEDED:
        return SUCCEEDED
    if session.stopped_by is not None:
        return 128 + signal.Signals(session.stopped_by)
    return FAILED


def _saved(spec: Mapping[str, Any], mounts: Mounts) -> bool:
    """Whether the job has a checkpoint that outlasts the run."""
    if "checkpoint" not in spec:
        return False
    path = spec["checkpoint"].get("path", CHECKPOINT_DIR)
    mount = mounts.find(path)
    if mount is None:
        return True  # far away: it says itself what there is
    return mount.kept and any(Path(mounts.path(path)).glob("checkpoint-*"))
