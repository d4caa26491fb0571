"""The machine below the local cluster: nodes that lose power or network, processes of pods, the API server.

All nodes are namespaces of this machine (deploy/local), so the processes of every container are found in its /proc,
and a folder on the machine is the same folder on every node: shared storage without a server.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kube import ROOT, Json
from tests.e2e.world import World

#: node0 has the operator and DNS; these are broken. One more than a gang of two needs, for the pod that replaces a lost one.
NODES = ("node1", "node2", "node3")
LAUNCHER = "trainingjob_launcher"
STANDBY = "trainingjob_hooks.standby"


def script(name: str, *arguments: str, timeout: float = 120) -> str:
    """Run a script of deploy/local; return what it prints."""
    command = [str(ROOT / "deploy" / "local" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def nodes(*arguments: str) -> str:
    """Run deploy/local/nodes.sh."""
    return script("nodes.sh", *arguments)


@contextmanager
def powerless(node: str) -> Iterator[None]:
    """Cut a node's power; it is on again, and Ready, afterwards."""
    try:
        nodes("off", node)
        yield
    finally:
        nodes("add", node)


@contextmanager
def partitioned(node: str) -> Iterator[None]:
    """Pull a node's network cable; it is in again, and the node Ready, afterwards."""
    try:
        nodes("cut", node)
        yield
    finally:
        nodes("add", node)


@contextmanager
def without_api() -> Iterator[None]:
    """End the API server; it is back afterwards."""
    try:
        script("api.sh", "off")
        yield
    finally:
        script("api.sh", "on")


def until_nodes_work(world: World, image: str, *names: str) -> None:
    """Wait until a new pod runs on each of these nodes and goes again.

    After an API server's absence the scheduler and the kubelets ask it again later and later, up to half a minute.
    """
    pods = [_probe(f"probe-{name}", name, image) for name in names]
    world.apply(*pods)
    which = [f"pod/{pod['metadata']['name']}" for pod in pods]
    world.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", *which, "--timeout=90s")
    world.kubectl("delete", *which, "--timeout=90s")


def _probe(name: str, node: str, image: str) -> Json:
    container = {"name": "probe", "image": image, "imagePullPolicy": "Never", "command": ["true"]}
    spec = {
        "restartPolicy": "Never",
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@dataclass(frozen=True)
class Process:
    """One process of a container, by this machine's number."""

    pid: int

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.send(signal.SIGKILL)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return _state(self.pid) not in ("", "Z", "X")

    def set_oom_score(self, score: int) -> None:
        """Say how gladly the kernel ends this one when its container has no memory left: 0 to 1000."""
        Path(f"/proc/{self.pid}/oom_score_adj").write_text(str(score))


def launcher(pod: Json) -> Process:
    """Return process 1 of a pod's container."""
    found = [pid for pid in _processes(pod) if LAUNCHER in _command(pid) and _inner(pid) == "1"]
    assert len(found) == 1, f"{pod['metadata']['name']}: launchers {found} of {_processes(pod)}"
    return Process(found[0])


def trainer(pod: Json) -> Process:
    """Return the process that trains: the launcher's child that runs the program."""
    parent = str(launcher(pod).pid)
    children = [pid for pid in _processes(pod) if _parent(pid) == parent]
    found = [pid for pid in children if "main.py" in _command(pid) or "trainingjob_trainer" in _command(pid)]
    assert len(found) == 1, f"{pod['metadata']['name']}: trainers {[_command(pid) for pid in children]}"
    return Process(found[0])


def until_standby_waits(pod: Json, seconds: float) -> Process:
    """Wait until a standby has imported everything: while it imports, it is stopped nearly all the time."""
    parent = str(launcher(pod).pid)
    deadline = time.monotonic() + seconds
    awake = 0
    while time.monotonic() < deadline:
        found = [pid for pid in _processes(pod) if _parent(pid) == parent and STANDBY in _command(pid)]
        awake = awake + 1 if found and _state(found[0]) in ("R", "S") else 0
        if awake == 20:
            return Process(found[0])
        time.sleep(0.1)
    raise AssertionError(f"{pod['metadata']['name']}: no standby waits within {seconds:g} s")


def _state(pid: int) -> str:
    """Return its state in one letter, as ps does; empty when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return _stat(pid)[0]
    return ""


def _processes(pod: Json) -> list[int]:
    """Return the processes in a pod's control groups."""
    mark = f"pod{pod['metadata']['uid']}"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                if mark in (entry / "cgroup").read_text():
                    found.append(int(entry.name))
    return sorted(found)


def _command(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return _stat(pid)[1]
    return ""


def _inner(pid: int) -> str:
    """Return its number inside its container."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return ""
