"""Logs of members' pods: of one, of several merged by time, and of one for as long as its container runs."""

import heapq
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from trainingjob_client import names
from trainingjob_client.cluster.connection import Connection
from trainingjob_client.cluster.refusals import asking
from trainingjob_client.view.pods import PodView, read_pod

#: A member may say nothing for hours; a connection that died in silence is taken up again after this.
SILENCE_SECONDS = 600.0
#: How much more of a log than the time since the last line is asked for when a connection broke.
OVERLAP_SECONDS = 10
PAUSE_SECONDS = 1.0
#: The container is not there yet, or no more. Other answers than these stay as they are.
_NOT_READY, _GONE = 400, 404


@dataclass(frozen=True, order=True)
class Line:
    """One line of a member's log. `time` is the kubelet's, RFC 3339 with nanoseconds: texts that sort by time."""

    time: str
    member: str
    text: str


@dataclass(frozen=True)
class Logs:
    """The logs of a namespace's pods."""

    connection: Connection
    namespace: str
    container: str = names.CONTAINER

    def read(self, pod: PodView, tail: int | None = None) -> Iterator[Line]:
        """Yield the log of one pod as it is now.

        Raises:
            ClientError: it can't be read.
        """
        with asking(self.connection.host, self._what):
            yield from self._lines(pod, tailLines=tail)

    def merged(self, pods: list[PodView], tail: int | None = None) -> Iterator[Line]:
        """Yield the logs of several pods by time."""
        yield from heapq.merge(*(self.read(pod, tail) for pod in pods))

    def follow(
        self, pod: PodView, tail: int | None = None, pause: Callable[[float], None] = time.sleep
    ) -> Iterator[Line]:
        """Yield the log of one pod until its container has ended; each line once, also when the connection broke.

        Raises:
            ClientError: it may not be read.
        """
        last, at = "", time.monotonic()
        while True:
            try:
                since = None if not last else int(time.monotonic() - at) + OVERLAP_SECONDS
                for line in self._lines(pod, follow="true", tailLines=None if last else tail, sinceSeconds=since):
                    if line.time > last:
                        last, at = line.time, time.monotonic()
                        yield line
                if not self._runs(pod):
                    return
            except (ApiException, HTTPError, OSError) as error:
                if isinstance(error, ApiException):
                    if error.status == _GONE:
                        return
                    if error.status != _NOT_READY and (error.status or 0) < 429:
                        with asking(self.connection.host, self._what):
                            raise
            pause(PAUSE_SECONDS)

    @property
    def _what(self) -> str:
        return f"read logs of pods in namespace {self.namespace}"

    def _path(self, pod: PodView) -> str:
        return f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(pod.name, safe='')}"

    def _lines(self, pod: PodView, **query: str | int | None) -> Iterator[Line]:
        response = self.connection.open(
            "GET",
            f"{self._path(pod)}/log",
            seconds=SILENCE_SECONDS,
            container=self.container,
            timestamps="true",
            **query,
        )
        for raw in self.connection.lines(response):
            stamp, _, text = raw.decode(errors="replace").partition(" ")
            yield Line(stamp, pod.member, text)

    def _runs(self, pod: PodView) -> bool:
        """Whether the container still runs: then only the stream ended, as it does when a kubelet restarts."""
        response = self.connection.open("GET", self._path(pod), seconds=self.connection.options.request_seconds)
        found = read_pod(json.loads(response.read()), self.container)
        return found.uid == pod.uid and found.running
