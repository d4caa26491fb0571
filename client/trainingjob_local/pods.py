"""The kubelet of this machine: starts pods as processes, and says of them what a kubelet writes into their status."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from trainingjob_local.errors import LocalError
from trainingjob_local.member import LOOPBACK, Site, Start, prepare
from trainingjob_local.mounts import Mounts, make
from trainingjob_operator.api import names
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.observe import PodFact, observe_pod

_GUARD = Path(__file__).with_name("guard.py")
#: Without a chief's word a worker waits so long before it ends with us: the chief's trainer saves first.
_AFTER_CHIEF = 5.0
#: FallbackToLogsOnError: so much of the log is the termination message of a container that left none.
_MAX_FALLBACK = 2048


@dataclass
class _Pod:
    body: dict[str, Any]
    start: Start
    process: subprocess.Popen[bytes]
    log: Path
    reader: threading.Thread | None
    asked: bool = False
    ended: bool = field(default=False)
    kill_at: datetime | None = None
    """Set for a pod that was deleted: when its grace is over."""


class LocalPods:
    """The pods of one job. `line` gets each line of the chief's log, from a thread."""

    def __init__(self, site: Site, logs: Path, clock: Callable[[], datetime], line: Callable[[bytes], None]) -> None:
        self._site = site
        self._logs = logs
        self._clock = clock
        self._line = line
        self._pods: dict[str, _Pod] = {}

    @property
    def facts(self) -> tuple[PodFact, ...]:
        """The pods as decisions see them. Those that were deleted and have ended are gone."""
        left = [pod for pod in self._pods.values() if not (pod.ended and pod.kill_at is not None)]
        return tuple(observe_pod(pod.body) for pod in left)

    @property
    def running(self) -> int:
        """How many processes there are."""
        return sum(not pod.ended for pod in self._pods.values())

    @property
    def mounts(self) -> Mounts:
        """The first chief's mounts, all of which lead to the same folders; none before there is one."""
        chief = next((pod for pod in self._pods.values() if _role(pod) == names.ROLE_CHIEF), None)
        return chief.start.mounts if chief is not None else Mounts(())

    def create(self, bodies: list[dict[str, Any]]) -> None:
        """Start pods: all of them, or none.

        Raises:
            LocalError: they need what is not on this machine.
        """
        named = [admitted(body) for body in bodies]
        starts: list[Start] = []
        problems: list[str] = []
        for body in named:
            try:
                starts.append(prepare(body, self._site))
            except LocalError as error:
                problems += error.problems
        if problems:
            raise LocalError(problems)
        for body, start in zip(named, starts, strict=True):
            self._start(body, start)

    def _start(self, body: dict[str, Any], start: Start) -> None:
        role = body["metadata"]["labels"][names.LABEL_ROLE]
        chief = role == names.ROLE_CHIEF
        after = 0.0 if chief else _AFTER_CHIEF
        grace = float(body["spec"]["terminationGracePeriodSeconds"])
        guard = [sys.executable, "-I", "-S", str(_GUARD), f"{after:g}", f"{grace:g}", "--"]
        log = self._logs / f"{body['metadata']['name']}.log"
        try:
            start.folder.mkdir(parents=True, exist_ok=True)
            make(start.mounts)
            out = log.open("wb")
        except OSError as error:
            raise LocalError(f"{start.name}: {error}") from error
        with out:
            process = subprocess.Popen(
                [*guard, *start.command],
                env=dict(start.env),
                cwd=start.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if chief else out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        reader = None
        if process.stdout is not None:
            reader = threading.Thread(target=self._copy, args=(process.stdout, log), name="log", daemon=True)
            reader.start()
        now = format_time(self._clock())
        body["status"] |= {
            "phase": "Running",
            "containerStatuses": [{"name": names.CONTAINER, "state": {"running": {"startedAt": now}}}],
        }
        self._pods[start.name] = _Pod(body, start, process, log, reader)

    def _copy(self, source: IO[bytes], log: Path) -> None:
        with source, log.open("ab", buffering=0) as out:
            for line in source:
                out.write(line)
                self._line(line)

    def poll(self) -> bool:
        """Look at the processes; return whether one has ended since. Deleted ones whose grace is over are killed."""
        news = False
        for pod in self._pods.values():
            if not pod.ended and pod.process.poll() is not None:
                self._end(pod)
                news = True
            elif not pod.ended and pod.kill_at is not None and self._clock() >= pod.kill_at:
                _signal(pod, signal.SIGINT)
        return news

    def _end(self, pod: _Pod) -> None:
        if pod.reader is not None:
            pod.reader.join(5.0)
        if pod.process.stdin is not None:
            pod.process.stdin.close()
        code = pod.process.returncode
        code = 128 - code if code < 0 else code
        message = _read(pod.start.termination, None)
        if not message and code:
            message = _read(pod.log, _MAX_FALLBACK)
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "message": message,
            "finishedAt": format_time(self._clock()),
        }
        pod.body["status"] |= {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": names.CONTAINER, "state": {"terminated": ended}}],
        }
        pod.ended = True

    def terminate(self) -> None:
        """Ask the gang to end: the chief, which tells the others; those only when it is gone, and once each."""
        left = [pod for pod in self._pods.values() if not pod.ended]
        chiefs = [pod for pod in left if _role(pod) == names.ROLE_CHIEF]
        for pod in chiefs or left:
            if not pod.asked:
                pod.asked = True
                _signal(pod, signal.SIGTERM)

    def delete(self, name: str) -> None:
        """Ask one pod to end; once its grace is over it is killed. One that has ended already is gone at once."""
        pod = self._pods.get(name)
        if pod is None or pod.kill_at is not None:
            return
        now = self._clock()
        pod.kill_at = now + timedelta(seconds=float(pod.body["spec"]["terminationGracePeriodSeconds"]))
        pod.body["metadata"]["deletionTimestamp"] = format_time(pod.kill_at)
        if not pod.ended and not pod.asked:
            pod.asked = True
            _signal(pod, signal.SIGTERM)

    def kill(self) -> None:
        """Kill all that is left, now."""
        for pod in self._pods.values():
            if not pod.ended:
                _signal(pod, signal.SIGINT)

    def close(self) -> None:
        """Kill what is left and wait for its end."""
        self.kill()
        for pod in self._pods.values():
            pod.process.wait()
            if not pod.ended:
                self._end(pod)


def admitted(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod with what the API server, the scheduler and the kubelet add."""
    metadata = {**body["metadata"], "uid": str(uuid.uuid4())}
    spec = {**body["spec"], "nodeName": socket.gethostname()}
    return {**body, "metadata": metadata, "spec": spec, "status": {"phase": "Pending", "podIP": LOOPBACK}}


def _role(pod: _Pod) -> str:
    return str(pod.body["metadata"]["labels"][names.LABEL_ROLE])


def _signal(pod: _Pod, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pod.process.pid, number)


def _read(path: Path, last: int | None) -> str:
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    return (data if last is None else data[-last:]).decode("utf-8", "replace")
