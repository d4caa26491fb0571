"""A test's own namespace: what it applies, what it waits for, what it sees."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from tests.e2e.kube import JOBS, Json, Kube
from tests.e2e.watching import Seen, Watch

T = TypeVar("T")

#: Longest time for a small program on a busy machine of two cores: pods, gang, end.
A_JOB = 90.0
#: How far events may be behind the status.
EVENTS = 10.0


@dataclass
class World:
    """One namespace. Watches start with the first question."""

    kube: Kube
    namespace: str

    @classmethod
    def make(cls, kube: Kube, hint: str, labels: dict[str, str] | None = None) -> "World":
        """Make a namespace and wait for its service account, without which it takes no pods."""
        name = f"e2e-{hint[:30].strip('-')}-{secrets.token_hex(3)}"
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"e2e": "1", **(labels or {})}},
            }
        )
        kube.kubectl("-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        return cls(kube, name)

    def forget_watches(self) -> None:
        """End the watches; the next question starts new ones. For times when nobody answers them."""
        for name in ("jobs", "pods"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def remove(self) -> None:
        """Remove everything, in the background."""
        self.forget_watches()
        self.kube.kubectl("delete", "namespace", self.namespace, "--wait=false")

    @cached_property
    def jobs(self) -> Watch:
        """All versions of the jobs."""
        return Watch(self.kube, JOBS, self.namespace)

    @cached_property
    def pods(self) -> Watch:
        """All versions of the pods."""
        return Watch(self.kube, "pods", self.namespace)

    def kubectl(self, *arguments: str, **options: float) -> str:
        """Run kubectl in this namespace."""
        return self.kube.kubectl("-n", self.namespace, *arguments, **options)  # type: ignore[arg-type]

    def apply(self, *objects: Json) -> None:
        """Apply objects into this namespace. The watches run before, so that nothing is missed."""
        _ = self.jobs, self.pods
        self.kube.apply(*objects, namespace=self.namespace)

    # --- The job ---

    def job(self, name: str) -> Json:
        """Return a job as last seen."""
        return self.jobs.objects[name]

    def status(self, name: str) -> Json:
        """Return a job's status as last seen, empty before the first."""
        status: Json = self.jobs.objects.get(name, {}).get("status") or {}
        return status

    def until(self, name: str, holds: Callable[[Json], T | None], what: str, seconds: float = A_JOB) -> T:
        """Wait until `holds(status)` returns something true."""
        return self.jobs.until(lambda: holds(self.status(name)), f"{name}: {what}", seconds)

    def until_phase(self, name: str, phase: str, seconds: float = A_JOB) -> Json:
        """Wait until the job is in a phase; a job that ends otherwise fails the test at once. Return its status."""

        def reached(status: Json) -> Json | None:
            now = status.get("phase")
            if now == phase:
                return status
            assert now not in ("Succeeded", "Failed", "Invalid"), f"{name} is {now}, not {phase}: {status}"
            return None

        return self.until(name, reached, f"phase {phase}", seconds)

    def until_condition(
        self, name: str, kind: str, status: str, reason: str | None = None, seconds: float = A_JOB
    ) -> Json:
        """Wait until a condition has a status, and a reason; return the condition."""

        def reached(of: Json) -> Json | None:
            found = condition(of, kind)
            good = found.get("status") == status and reason in (None, found.get("reason"))
            return found if good else None

        return self.until(name, reached, f"condition {kind}={status} ({reason or 'any reason'})", seconds)

    def until_reported(self, name: str) -> Json:
        """Wait until training reports steps; return the status."""
        return self.until(
            name,
            lambda s: s if (s.get("training") or {}).get("step") and s["phase"] == "Running" else None,
            "a report",
        )

    def phases(self, name: str) -> list[str]:
        """Return the phases that a watch saw, each once, in order."""
        found = [seen.body.get("status", {}).get("phase") for seen in self.jobs.of(name)]
        return [phase for at, phase in enumerate(found) if phase and (at == 0 or found[at - 1] != phase)]

    def events(self, name: str) -> list[Json]:
        """Return the Kubernetes events about a job."""
        found = self.kube.get("-n", self.namespace, "events.events.k8s.io")["items"]
        return [e for e in found if e["regarding"]["kind"] == "TrainingJob" and e["regarding"]["name"] == name]

    def check_reasons(self, name: str, *reasons: str) -> None:
        """Check that the events about a job have these reasons and no others; told twice, a reason is there twice.

        Events are posted after the status, so they get a moment.
        """
        deadline = time.monotonic() + EVENTS
        wanted = sorted(reasons)
        while (told := self._reasons(name)) != wanted and time.monotonic() < deadline:
            time.sleep(0.25)
        assert told == wanted

    def check_told_once(self, name: str, reason: str) -> None:
        """Check that one event about a job has this reason."""
        deadline = time.monotonic() + EVENTS
        while (told := self._reasons(name)).count(reason) != 1 and time.monotonic() < deadline:
            time.sleep(0.25)
        assert told.count(reason) == 1, told

    def _reasons(self, name: str) -> list[str]:
        return sorted(event["reason"] for event in self.events(name) for _ in range(_times(event)))

    # --- Its pods ---

    def until_pod(self, name: str, holds: Callable[[Json], T | None], what: str, seconds: float = A_JOB) -> T:
        """Wait until `holds(pod)` returns something true of a pod that exists."""

        def ask() -> T | None:
            pod = self.pods.objects.get(name)
            return None if pod is None else holds(pod)

        return self.pods.until(ask, f"pod {name}: {what}", seconds)

    def until_gone(self, seconds: float) -> None:
        """Wait until no pod is left."""
        self.pods.until(lambda: not self.pods.objects, "no pod is left", seconds)

    def go(self, *pods: str) -> None:
        """Tell STEADY programs to end."""
        for pod in pods:
            self.kubectl("exec", pod, "-c", "trainer", "--", "touch", "/tmp/go")

    def python(self, pod: str, text: str, *arguments: str) -> str:
        """Run a Python program in a pod; return what it prints."""
        return self.kubectl("exec", pod, "--", "python3", "-c", text, *arguments)


def condition(status: Json, kind: str) -> Json:
    """Return a condition of a status by its type, empty when it is not there."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def _times(event: Json) -> int:
    return int((event.get("series") or {}).get("count") or event.get("deprecatedCount") or 1)


def first(history: list[Seen], holds: Callable[[Json], object]) -> Seen:
    """Return the first event of a history whose object has a property."""
    return next(seen for seen in history if holds(seen.body))
