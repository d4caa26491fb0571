"""Kubernetes events on jobs: the story that `kubectl describe` tells, each sentence once.

Events come last: they wait in a bounded queue of their own and never hold up pods or status. An event's name is made
from the job and what is told, so telling it again, after a crash or by another replica, is a 409 and no second event.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from trainingjob_operator.api import names
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.observe import JobFact
from trainingjob_operator.core.plan import Event
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import EVENTS, Resource

logger = logging.getLogger(__name__)

#: The API server takes 1024 bytes of note.
MAX_NOTE = 1000
MAX_WAITING = 10_000


class Creator(Protocol):
    """What posts an object: `KubeClient`."""

    async def create(self, resource: Resource, body: Any, namespace: str | None = None) -> Any:
        """Create an object."""
        ...


class EventRecorder:
    """Posts events one after the other. `instance` is this replica's name.

    `on_event` hears what became of each: `posted`, `repeated` (it was told before), `failed` or `dropped`.
    """

    def __init__(
        self, client: Creator, instance: str, on_event: Callable[[str], None] = lambda _result: None
    ) -> None:
        self._client = client
        self._instance = instance
        self._on_event = on_event
        self._waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(MAX_WAITING)

    def tell(self, job: JobFact, event: Event) -> None:
        """Put an event into the queue; it is dropped, and logged, when the API server is far behind."""
        try:
            self._waiting.put_nowait((job.namespace, build_event(job, event, self._instance, datetime.now(UTC))))
        except asyncio.QueueFull:
            self._on_event("dropped")
            logger.warning("%s/%s: event %s dropped, too many wait", job.namespace, job.name, event.reason)

    async def run(self) -> None:
        """Post events until cancelled."""
        while True:
            namespace, body = await self._waiting.get()
            try:
                await self._client.create(EVENTS, body, namespace)
            except ApiError as error:
                self._on_event("repeated" if error.conflict else "failed")
                # 409: told already. 403 and 404: the namespace is going.
                if not error.conflict:
                    logger.info("event %s/%s not posted: %s", namespace, body["metadata"]["name"], error)
            else:
                self._on_event("posted")


def build_event(job: JobFact, event: Event, instance: str, now: datetime) -> dict[str, Any]:
    """Return the object that tells `event` of `job`.

    It is of the core API: kubectl sorts a story by `lastTimestamp`, which events.k8s.io/v1 does not let writers set.
    """
    # The same name for the same story: what is told once a job has only its reason.
    what = f"{event.reason}/{event.about}" if event.about else event.reason
    digest = hashlib.sha256(f"{job.uid}/{what}".encode()).hexdigest()[:16]
    time = format_time(now)
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{job.name}.{digest}", "namespace": job.namespace},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "type": "Warning" if event.warning else "Normal",
        "reason": str(event.reason),
        "message": event.note.encode()[:MAX_NOTE].decode(errors="ignore"),
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
        },
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "reportingInstance": instance[:128],
    }
