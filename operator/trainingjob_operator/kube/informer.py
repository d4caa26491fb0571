"""A local copy of one resource, kept up to date: list once, watch, list again when the watch lost its place.

What it promises beyond a list and a watch: an object that was deleted while nobody looked is reported as deleted
(after `410 Gone` kopf would keep it for ever); a watch that froze is noticed; no fault of the API server ends it.
Only what `project` makes of an object is kept, so memory follows the facts that are needed, not the size of pods.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import Resource
from trainingjob_operator.kube.watch import WatchEvent

logger = logging.getLogger(__name__)

#: So many objects that are gone are remembered, against answers to writes that come late.
MAX_REMOVED = 1000

T = TypeVar("T", bound=Hashable)


class Informer(Generic[T]):
    """The facts of all objects of one resource, by UID and by owner.

    `project` turns an object into a fact: immutable, comparable, small. It must not raise; if it does the object is
    logged and kept as it was. `owner` names the UID that a fact is indexed under, or None. `on_change(old, new)` is
    called after the store has changed, with None for "not there"; it is not called when the fact stayed the same.
    All of them run inside the watch and must do no I/O.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        project: Callable[[dict[str, Any]], T],
        *,
        owner: Callable[[T], str | None],
        on_change: Callable[[T | None, T | None], None] | None = None,
        namespace: str | None = None,
        label_selector: str = "",
        watch_seconds: float = 60.0,
        watch_grace: float = 10.0,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.synced = asyncio.Event()
        self.relists = 0
        self._client = client
        self._resource = resource
        self._project = project
        self._owner = owner
        self._on_change = on_change
        self._namespace = namespace
        self._selector = label_selector
        self._watch_seconds = watch_seconds
        self._watch_grace = watch_grace
        self._backoff = backoff or Backoff(base=0.5, limit=30.0)
        self._clock = clock
        self._sleep = sleep
        self._facts: dict[str, T] = {}
        self._by_owner: dict[str, dict[str, T]] = {}
        self._removed: deque[str] = deque(maxlen=MAX_REMOVED)
        self._contact = clock()

    # --- Reading ---

    def get(self, uid: str) -> T | None:
        """Return the fact of the object with this UID."""
        return self._facts.get(uid)

    def of_owner(self, uid: str) -> tuple[T, ...]:
        """Return the facts of all objects of this owner, in no order."""
        return tuple(self._by_owner.get(uid, {}).values())

    def __len__(self) -> int:
        return len(self._facts)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._facts.values()))

    @property
    def namespace(self) -> str | None:
        """The namespace that it watches, None for all."""
        return self._namespace

    def remember(self, body: dict[str, Any]) -> None:
        """Take an object that the API server just returned, so that the next look sees it before the watch does.

        What the watch knows already stays: it is at least as new. What it told to be gone stays gone.
        """
        uid = _uid(body)
        if uid not in self._facts and uid not in self._removed:
            self._store(uid, body)

    def age(self) -> float:
        """Return the seconds since the API server last gave us anything: above two watches' time, worry."""
        return self._clock() - self._contact

    # --- Running ---

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        version = ""
        while True:
            began, heard = self._clock(), False
            try:
                if not version:
                    version = await self._relist()
                async with contextlib.aclosing(self._watch(version)) as events:
                    async for event in events:
                        heard = heard or event.type != "CONNECTED"
                        version = self._take(event) or version
            except ApiError as error:
                if error.expired or error.status == 400:  # 400: a version that this server does not understand
                    version = ""
                    logger.info("%s: watch lost its place, listing again: %s", self._resource.plural, error)
                else:
                    logger.warning("%s: list or watch failed, trying again: %s", self._resource.plural, error)
                failures = 1 if heard else failures + 1
                if not error.expired or failures > 1:
                    await self._sleep(self._backoff.seconds(failures - 1))
            else:
                # A server that ends every watch at once must not be asked in a tight loop.
                quick = not heard and self._clock() - began < min(1.0, self._watch_seconds / 2)
                failures = failures + 1 if quick else 0
                if quick:
                    await self._sleep(self._backoff.seconds(failures - 1))

    def _watch(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        return self._client.watch(
            self._resource,
            self._namespace,
            resource_version=version,
            label_selector=self._selector,
            seconds=self._watch_seconds,
            grace=self._watch_grace,
        )

    async def _relist(self) -> str:
        """Bring the store to what the server has now; report as deleted what was there and is not."""
        self.relists += 1
        seen: set[str] = set()
        version = ""
        pages = self._client.list_pages(self._resource, self._namespace, label_selector=self._selector)
        async with contextlib.aclosing(pages):
            async for page in pages:
                self._contact = self._clock()
                version = page.resource_version
                for body in page.items:
                    uid = _uid(body)
                    seen.add(uid)
                    self._store(uid, body)
        for uid in [uid for uid in self._facts if uid not in seen]:
            self._remove(uid)
        self.synced.set()
        return version

    def _take(self, event: WatchEvent) -> str | None:
        """Put one event into the store; return the version to watch on from."""
        self._contact = self._clock()
        if event.type == "CONNECTED":
            return None
        version = (event.object.get("metadata") or {}).get("resourceVersion")
        if event.type in ("ADDED", "MODIFIED"):
            self._store(_uid(event.object), event.object)
        elif event.type == "DELETED":
            self._remove(_uid(event.object))
        return str(version) if version else None

    # --- The store ---

    def _store(self, uid: str, body: dict[str, Any]) -> None:
        try:
            new = self._project(body)
            owner = self._owner(new)
        except Exception:
            name = (body.get("metadata") or {}).get("name")
            logger.exception("%s %s: cannot be read, keeping what was known", self._resource.plural, name)
            return
        old = self._facts.get(uid)
        if old == new:
            return
        self._unindex(uid, old)
        self._facts[uid] = new
        if owner is not None:
            self._by_owner.setdefault(owner, {})[uid] = new
        self._report(old, new)

    def _remove(self, uid: str) -> None:
        old = self._facts.pop(uid, None)
        self._removed.append(uid)
        if old is not None:
            self._unindex(uid, old)
            self._report(old, None)

    def _unindex(self, uid: str, fact: T | None) -> None:
        owner = self._owner(fact) if fact is not None else None
        siblings = self._by_owner.get(owner) if owner is not None else None
        if owner is not None and siblings is not None:
            siblings.pop(uid, None)
            if not siblings:
                del self._by_owner[owner]

    def _report(self, old: T | None, new: T | None) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(old, new)
        except Exception:
            logger.exception("%s: on_change failed", self._resource.plural)


def _uid(body: dict[str, Any]) -> str:
    return str((body.get("metadata") or {}).get("uid") or "")
