"""`logs -f`: members' logs until the job's end, over the pods that take one another's place."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from urllib3.exceptions import HTTPError

from trainingjob_client import names
from trainingjob_client.cluster.jobs import Jobs
from trainingjob_client.cluster.logs import Line, Logs
from trainingjob_client.errors import ClientError, MissingError
from trainingjob_client.view.job import JobView, read_job
from trainingjob_client.view.pods import PodView, newest, read_pod

#: Seconds between looks for new pods and the job's end: without a log to follow, and beside one.
WAITING_SECONDS = 1.0
FOLLOWING_SECONDS = 5.0


def due(pods: list[PodView], reached: Mapping[str, int]) -> list[PodView]:
    """Return the pods whose logs are next: of a member its newest, and then all that come after one that was read.

    One that came and went between two looks is among them: it may be the one that says why there was another.
    """
    first = {pod.uid for pod in newest(pods)}
    ordered = sorted((pod for pod in pods if pod.started), key=lambda pod: pod.order)
    return [
        pod
        for pod in ordered
        if (pod.incarnation > reached[pod.member] if pod.member in reached else pod.uid in first)
    ]


class Follower:
    """Starts a thread for each pod that has begun, and looks for the next one of each member."""

    def __init__(self, jobs: Jobs, name: str, wanted: Callable[[PodView], bool], tell: Callable[[str], None]) -> None:
        """`wanted` says which pods to follow; `tell` gets what the user should know beside the log."""
        self._jobs = jobs
        self._logs = Logs(jobs.connection, jobs.connection.namespace)
        self._name = name
        self._wanted = wanted
        self._tell = tell
        self._out: queue.Queue[Line | ClientError | None] = queue.Queue(10_000)
        self._followed: dict[str, str] = {}
        self._reached: dict[str, int] = {}
        self._open = 0
        self._told = ""
        self._last: JobView | None = None

    def lines(self, tail: int | None) -> Iterator[Line]:
        """Yield lines as they come. `tail` is for the pods that are there now; later ones begin at their start.

        Raises:
            ClientError: the job is not there, or its logs may not be read.
        """
        job = self._look(tail)
        looked = time.monotonic()
        while True:
            pause = FOLLOWING_SECONDS if self._open else WAITING_SECONDS
            try:
                item = self._out.get(timeout=max(0.0, looked + pause - time.monotonic()))
            except queue.Empty:
                if job is None or (job.finished and not self._open):
                    return
                job = self._look(None)
                looked = time.monotonic()
                continue
            if isinstance(item, ClientError):
                raise item
            if item is None:
                self._open -= 1
                looked = 0.0  # the next pod may be there already, or the job be over
            else:
                yield item

    def _look(self, tail: int | None) -> JobView | None:
        """Follow pods that have begun since; return the job, None when it is gone."""
        try:
            body = self._jobs.get(self._name)
            pods = [read_pod(each) for each in self._jobs.pods(body)]
        except MissingError:
            if not self._followed:
                raise
            return None
        except ClientError as error:
            if not self._followed or not isinstance(error.__cause__, HTTPError):
                raise
            self._say(f"{error} (trying again)")
            return self._last
        self._last = read_job(body)
        found = [pod for pod in newest(pods) if self._wanted(pod)]
        for pod in due([pod for pod in pods if self._wanted(pod)], self._reached):
            if pod.uid not in self._followed:
                self._follow(pod, tail)
        waiting = [
            f"{pod.member} ({' '.join(filter(None, (pod.phase, pod.reason)))})" for pod in found if not pod.started
        ]
        if self._last.phase == names.SUSPENDED:
            self._say("the job is suspended: waiting until it is resumed")
        elif waiting or not found:
            self._say(f"waiting for {', '.join(waiting) or 'a pod'}")
        return self._last

    def _follow(self, pod: PodView, tail: int | None) -> None:
        if pod.member in self._followed.values():
            self._say(f"{pod.member} goes on in pod {pod.name}")
        self._followed[pod.uid] = pod.member
        self._reached[pod.member] = max(pod.incarnation, self._reached.get(pod.member, 0))
        self._open += 1
        threading.Thread(target=self._pump, args=(pod, tail), name=pod.name, daemon=True).start()

    def _pump(self, pod: PodView, tail: int | None) -> None:
        try:
            for line in self._logs.follow(pod, tail):
                self._out.put(line)
        except ClientError as error:
            self._out.put(error)
        except Exception as error:  # whatever it is, it must not end in silence
            self._out.put(ClientError(f"the log of {pod.name} broke off: {error}"))
        finally:
            self._out.put(None)

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)
