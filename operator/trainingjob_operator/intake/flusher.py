"""Write the latest reports into the jobs' status: seldom, bounded, and never an older one over a later one.

Two replicas take reports of the same job, so a slow one could overwrite what the other wrote later. Comparing first
and then writing is not enough: the other may write in between. Therefore every apply carries the resourceVersion of
the status that it was compared with; if anything was written since, the API server answers 409, and the job is read
and compared again. `force` settles who owns the fields, not who is later, and does not weaken that.

The resourceVersion also keeps the report of a deleted job out of its successor of the same name. `metadata.uid` in
an apply does not: kube-apiserver 1.36 ignores it on the status of a custom resource and answers 200 (tried; on the
object itself it answers 422). A conflict costs one GET; with the reconciler's few writes it is rare.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from trainingjob_operator.api.names import INTAKE_FIELD_MANAGER
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.intake.store import Entry, Order, ReportStore
from trainingjob_operator.intake.view import REPORTING, fragment, late_fragment, status_order
from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import TRAININGJOBS, Resource

logger = logging.getLogger(__name__)

_ATTEMPTS = 4
SHORTEST_WAIT = 0.001


class StatusApi(Protocol):
    """The two requests that this needs; `KubeClient` has them."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        """Read an object."""
        ...

    async def apply(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        /,
        *,
        field_manager: str,
        force: bool = True,
        subresource: str | None = None,
    ) -> dict[str, Any]:
        """Apply fields."""
        ...


@dataclass(frozen=True)
class StatusFact:
    """A job's status at one resourceVersion, and how it wants to be reported on."""

    uid: str
    resource_version: str
    status: Mapping[str, Any]
    reporting: Reporting = REPORTING

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "StatusFact":
        """Read it from a TrainingJob."""
        metadata = body.get("metadata") or {}
        try:
            reporting = Reporting.model_validate((body.get("spec") or {}).get("reporting") or {})
        except ValidationError:
            reporting = REPORTING  # of another release's CRD: the rest of the job may still be shown
        version = str(metadata.get("resourceVersion"))
        return cls(str(metadata.get("uid")), version, body.get("status") or {}, reporting)

    @property
    def order(self) -> Order | None:
        """The order of the report that it shows."""
        return status_order(self.status.get("training") or {})


class Flusher:
    """Carries the store's dirty entries into the API, `workers` at a time, through `limiter`.

    `lookup` returns the job's status from the local cache by UID, None where the cache has none; a stale answer costs
    a conflict, not a wrong status. `on_flush(result, seconds)` hears of every entry: `written`, `skipped`, `gone` or
    `failed`, and the time since it became dirty. `remember` gets every job that was read or written here, so that the
    cache behind `lookup` need not wait for the watch.
    """

    def __init__(
        self,
        store: ReportStore,
        api: StatusApi,
        lookup: Callable[[str], StatusFact | None],
        *,
        limiter: TokenBucket | None = None,
        workers: int = 4,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_flush: Callable[[str, float], None] | None = None,
        remember: Callable[[Mapping[str, Any]], None] = lambda _body: None,
    ) -> None:
        self._store = store
        self._api = api
        self._lookup = lookup
        self._limiter = limiter or TokenBucket(20.0, 20)
        self._workers = workers
        self._backoff = backoff or Backoff(base=1.0, limit=60.0)
        self._clock = clock
        self._on_flush = on_flush
        self._remember = remember
        self._wake = asyncio.Event()
        self._writes: dict[str, asyncio.Future[None]] = {}
        store.on_dirty = self._wake.set

    async def run(self) -> None:
        """Write until cancelled."""
        free = asyncio.Semaphore(self._workers)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._until_due()
                await free.acquire()
                # The token first, the job then: what became urgent while we waited for the token goes first.
                await self._limiter.acquire()
                uid = self._store.take()
                if uid is None:
                    free.release()
                else:
                    tasks.create_task(self._flush(uid)).add_done_callback(lambda _: free.release())

    async def flush_now(self, uid: str) -> bool:
        """Write the job's latest report without waiting for its turn; return whether the status has it now.

        For the reconciler at a job's end. One try; if that fails the usual ones go on.
        """
        while (under_way := self._writes.get(uid)) is not None:
            await asyncio.wait([under_way])
        if self._store.claim(uid):
            await self._flush(uid)
        return not self._store.dirty(uid)

    async def drain(self, seconds: float) -> int:
        """At shutdown: write what is dirty for at most so many seconds; return how many jobs are left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (uid := self._store.take_any()) is not None:
                    await self._flush(uid)
        return self._store.dirty_count

    async def _until_due(self) -> None:
        while (due := self._store.next_due()) != 0:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                # Not less than a tick: a rest below the clock's resolution would be waited for again and again.
                async with asyncio.timeout(None if due is None else max(due, SHORTEST_WAIT)):
                    await self._wake.wait()

    async def _flush(self, uid: str) -> None:
        """Write one job that is claimed, and settle the claim whatever happens."""
        entry = self._store.get(uid)
        if entry is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writes[uid] = done
        try:
            result = await self._write(entry)
        except ApiError as error:
            self._defer(entry, str(error))
            result = "failed"
        except Exception:
            logger.exception("status of %s/%s", entry.namespace, entry.name)
            self._defer(entry, "a defect of the operator")
            result = "failed"
        except BaseException:
            self._store.defer(uid, 0.0)
            raise
        finally:
            self._writes.pop(uid, None)
            done.set_result(None)
        if self._on_flush is not None:
            self._on_flush(result, self._clock() - entry.dirty_since)

    def _defer(self, entry: Entry, why: str) -> None:
        seconds = self._backoff.seconds(self._store.failures(entry.uid))
        logger.warning("status of %s/%s not written, again in %.1f s: %s", entry.namespace, entry.name, seconds, why)
        self._store.defer(entry.uid, seconds)

    async def _write(self, entry: Entry) -> str:
        fact = self._lookup(entry.uid)
        for _ in range(_ATTEMPTS):
            if fact is None:
                try:
                    body = await self._api.get(TRAININGJOBS, entry.name, entry.namespace)
                except ApiError as error:
                    if error.not_found:
                        return self._gone(entry)
                    raise
                self._remember(body)
                fact = StatusFact.of(body)
            if fact.uid != entry.uid:
                return self._gone(entry)
            order = entry.order
            status: dict[str, Any] | None
            if entry.report is None or order is None or (fact.order is not None and fact.order >= order):
                order = fact.order
                status = late_fragment(fact.status, fact.reporting, entry.pending, entry.lost, entry.received_at)
            else:
                at = entry.received_at or 0.0
                status = fragment(entry.report, at, fact.status, fact.reporting, entry.pending, entry.lost)
            if status is None:
                self._store.settle(entry.uid, order, entry.pending, entry.lost)
                return "skipped"
            try:
                await self._apply(entry, fact, status)
            except ApiError as error:
                if error.not_found:
                    return self._gone(entry)
                if not error.conflict:
                    raise
                fact = None
                continue
            self._store.settle(entry.uid, order, entry.pending, entry.lost)
            return "written"
        raise ApiError(409, "Conflict", f"the job was changed {_ATTEMPTS} times while its status was written")

    async def _apply(self, entry: Entry, fact: StatusFact, status: Mapping[str, Any]) -> None:
        metadata = {
            "name": entry.name,
            "namespace": entry.namespace,
            "resourceVersion": fact.resource_version,
        }
        written = await self._api.apply(
            TRAININGJOBS,
            entry.name,
            {"metadata": metadata, "status": status},
            entry.namespace,
            field_manager=INTAKE_FIELD_MANAGER,
            force=True,
            subresource="status",
        )
        self._remember(written)

    def _gone(self, entry: Entry) -> str:
        self._store.drop(entry.uid)
        return "gone"
