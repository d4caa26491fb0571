"""A watch of one namespace's jobs or pods: every version that the API server told, in order.

Waiting is on what the watch brings, so nothing polls and no state between two looks is missed.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.e2e.kube import Json, Kube

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """One event of a watch. `at` is seconds of the monotonic clock, `kind` is ADDED, MODIFIED or DELETED."""

    at: float
    kind: str
    body: Json

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.body["metadata"]["name"])


class Watch:
    """`kubectl get --watch` as a list that grows. `objects` are those that exist now, by name."""

    def __init__(self, kube: Kube, resource: str, namespace: str) -> None:
        self.what = f"{resource} in {namespace}"
        self.history: list[Seen] = []
        self.objects: dict[str, Json] = {}
        self._news = threading.Condition()
        self._closing = False
        self._end = ""
        self._process = subprocess.Popen(
            kube.command("get", resource, "-n", namespace, "--watch", "--output-watch-events", "-o", "json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, name=f"watch {self.what}", daemon=True)
        self._thread.start()

    def until(self, holds: Callable[[], T | None], what: str, seconds: float) -> T:
        """Wait until `holds` returns something true, and return that; it is asked at every event."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = holds()
                if found:
                    return found
                left = deadline - time.monotonic()
                assert not self._end, f"the watch of {self.what} has ended: {self._end}"
                assert left > 0, f"{what}: not within {seconds:g} s"
                self._news.wait(min(left, 5.0))

    def of(self, name: str) -> list[Seen]:
        """Return the events of one object so far."""
        with self._news:
            return [seen for seen in self.history if seen.name == name]

    def close(self) -> None:
        """End the watch."""
        self._closing = True
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        for document in self._documents():
            seen = Seen(time.monotonic(), document["type"], document["object"])
            with self._news:
                self.history.append(seen)
                if seen.kind == "DELETED":
                    self.objects.pop(seen.name, None)
                else:
                    self.objects[seen.name] = seen.body
                self._news.notify_all()
        if not self._closing:
            assert self._process.stderr is not None
            with self._news:
                self._end = self._process.stderr.read().strip() or "kubectl has gone"
                self._news.notify_all()

    def _documents(self) -> Iterator[Any]:
        """Yield the JSON documents of the output: one in each line, or, by older versions of kubectl, over many."""
        assert self._process.stdout is not None
        lines: list[str] = []
        for line in self._process.stdout:
            lines.append(line)
            if line[0] in "{}" and line.rstrip().endswith("}"):
                yield json.loads("".join(lines))
                lines.clear()
