"""A job that runs the program of program.py, seen from the outside: its pods, its status, its steps."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.chaos.machine import NODES, trainer
from tests.chaos.program import gang
from tests.chaos.steps import Step, Steps
from tests.e2e.kube import Json
from tests.e2e.world import World

T = TypeVar("T")

#: How long the status may take to tell what the gang has done: a report, its way, a write.
TOLD = 20.0
#: From apply to a first step: three TensorFlow processes that start on two busy cores.
FIRST_STEP = 120.0
RESULT = re.compile(r"^result (\d+) (\d+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Before:
    """A gang as it was when its fault came."""

    at: float
    step: Step
    counted: int
    free: int


@dataclass
class Gang:
    """One job in a world, with a folder of its own on the machine."""

    world: World
    name: str
    folder: Path
    steps: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.steps = Steps(self.folder)
        for path in (self.folder, self.folder / "do", self.folder / "checkpoints"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)

    def apply(self, **spec: object) -> None:
        """Apply the job; its members are on nodes that may break, on different ones if it can be."""
        template = spec.pop("podTemplate", None) or {"spec": {"affinity": affinity(self.name)}}
        self.world.apply(gang(self.name, str(self.folder), podTemplate=template, **spec))  # type: ignore[arg-type]

    @property
    def status(self) -> Json:
        """The status as last seen."""
        return self.world.status(self.name)

    def restarts(self) -> tuple[int, int]:
        """Return how many restarts the status tells: (counted, free)."""
        found = self.status.get("restarts") or {}
        return found.get("counted") or 0, found.get("free") or 0

    def pod(self, member: str) -> Json:
        """Return the newest pod of a member."""
        role, _, index = member.rpartition("-")
        wanted = {"trainingjob.dev/job": self.name, "trainingjob.dev/role": role, "trainingjob.dev/index": index}

        def newest() -> Json | None:
            found = [
                p
                for p in self.world.pods.objects.values()
                if wanted.items() <= p["metadata"].get("labels", {}).items()
            ]
            return max(found, key=lambda p: int(p["metadata"]["labels"]["trainingjob.dev/incarnation"]), default=None)

        return self.world.pods.until(newest, f"{self.name}: a pod of {member}", 20)

    def node(self, member: str) -> str:
        """Return the node of a member's newest pod."""
        return str(self.pod(member)["spec"]["nodeName"])

    def until(self, holds: Callable[[Json], T | None], what: str, seconds: float = TOLD) -> T:
        """Wait until `holds(status)` returns something true; a job that ends meanwhile fails the test at once."""

        def ask(status: Json) -> T | None:
            found = holds(status)
            ended = status.get("phase") in ("Failed", "Succeeded", "Invalid")
            assert found or not ended, f"{self.name} is {status['phase']}, not: {what}: {status.get('failure')}"
            return found

        return self.world.until(self.name, ask, what, seconds)

    def do(self, member: str, moment: str, text: str) -> None:
        """Have a member run a line of Python at a moment of its program, once."""
        new = self.folder / "new"
        new.write_text(text)
        new.chmod(0o666)
        new.rename(self.folder / "do" / f"{member}.{moment}.py")

    def end_at(self, step: int) -> None:
        """Tell all members the last step."""
        new = self.folder / "new"
        new.write_text(str(step))
        new.chmod(0o644)
        new.rename(self.folder / "last")

    def settled(self, steps: int = 8) -> Before:
        """Wait until the gang trains, has taken some steps and the status tells of it: then a fault may come."""
        first = self.steps.until(FIRST_STEP)
        self.until(lambda s: s.get("phase") == "Running" or None, "phase Running", FIRST_STEP)
        newest = self.steps.newest
        begun = next(step for step in self.steps.all() if step.generation == newest.generation)
        now = self.steps.until(FIRST_STEP, number=max(first.number, begun.number) + steps)
        newest = self.steps.newest
        assert newest.generation >= now.generation
        # what failed before is only judged anew when a step is told that is really new
        done = max((s.number for s in self.steps.all() if s.generation < newest.generation), default=0)
        self.until(
            lambda s: _tells(s, newest.generation[1], done) or None, f"the status tells of a step beyond {done}"
        )
        counted, free = self.restarts()
        assert counted + free == newest.generation[1] - 1, self.status.get("restarts")
        return Before(time.time(), self.steps.newest, counted, free)

    def break_checkpoints(self, *, everything: bool) -> list[int]:
        """Kill the chief's trainer and leave half of the newest checkpoint, or of all; return the steps of all."""
        self.kill("chief-0")
        found = {int(p.stem.partition("-")[2]): p for p in (self.folder / "checkpoints").glob("checkpoint-*.npz")}
        steps = sorted(found)
        for step in steps if everything else steps[-1:]:
            os.truncate(found[step], found[step].stat().st_size // 2)
        return steps

    def result(self, chief: str | None = None) -> tuple[int, int, list[float]]:
        """Return what the chief printed at its end: step, members, numbers."""
        log = self.world.kubectl("logs", chief or self.pod("chief-0")["metadata"]["name"])
        found = RESULT.search(log)
        assert found, log[-3000:]
        return int(found[1]), int(found[2]), [float(x) for x in found[3].split()]

    def kill(self, member: str) -> None:
        """End a member's trainer with SIGKILL."""
        trainer(self.pod(member)).kill()

    def evict(self, member: str) -> None:
        """Ask for an eviction, as a drain does."""
        pod, namespace = self.pod(member)["metadata"]["name"], self.world.namespace
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        self.world.kube.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))

    def delete_pod(self, member: str, *options: str) -> None:
        """Delete a member's pod and don't wait."""
        self.world.kubectl("delete", "pod", self.pod(member)["metadata"]["name"], "--wait=false", *options)


def one_on_each(nodes: dict[str, str], job: str) -> Json:
    """Return where a gang's pods must be: each on another node, of those with these labels."""
    found = affinity(job)
    term = found["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
    found["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"nodeSelector": nodes, "affinity": found}


def generation(status: Json) -> int:
    """Return the generation that the status tells of, 0 before the first."""
    return (status.get("training") or {}).get("generation") or 0


def _tells(status: Json, of: int, beyond: int) -> bool:
    return generation(status) == of and ((status.get("training") or {}).get("step") or 0) > beyond


def affinity(job: str) -> Json:
    """Return where a gang's pods may be: on the nodes that break, on different ones if it can be."""
    nodes = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(NODES)}
    others = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"trainingjob.dev/job": job}},
    }
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [nodes]}]}
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": others}]
        },
    }
