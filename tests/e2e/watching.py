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
        self._kube = kube
        self._where = (resource, "-n", namespace)
        self._news = threading.Condition()
        self._closing = False
        self._end = ""
        self._process = self._start()
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
        self._thread.join()

    def _start(self) -> subprocess.Popen[str]:
        command = self._kube.command("get", *self._where, "--watch", "--output-watch-events", "-o", "json")
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _read(self) -> None:
        while True:
            with self._process as process:
                for document in self._documents():
                    self._take(document["type"], document["object"])
                assert process.stderr is not None
                said = process.stderr.read().strip()
            if self._closing:
                return
            if process.returncode or said:
                break
            # The API server ends watches when a CRD changes, as an upgrade may do. What went meanwhile is not told.
            self._process = self._start()
            left = {item["metadata"]["name"] for item in self._kube.get(*self._where)["items"]}
            for name in set(self.objects) - left:
                self._take("DELETED", self.objects[name])
        with self._news:
            self._end = said or f"kubectl ended with {process.returncode}"
            self._news.notify_all()

    def _take(self, kind: str, body: Json) -> None:
        seen = Seen(time.monotonic(), kind, body)
        with self._news:
            self.history.append(seen)
            if kind == "DELETED":
                self.objects.pop(seen.name, None)
            else:
                self.objects[seen.name] = body
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
