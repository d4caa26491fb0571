"""Write the latest reports into the jobs' status: seldom, bounded, and never an older one over a later one.

Two replicas take reports of the same job, so a slow one could overwrite what the other wrote later. Comparing first
and then writing is not enough: the other may write in between. Therefore every write carries the resourceVersion of
the status that it was made of; if anything was written since, the API server answers 409, and the job is read and
compared again. A conflict costs one GET; with the reconciler's few writes it is rare.

The resourceVersion also keeps the report of a deleted job out of its successor of the same name. `metadata.uid` does
not: kube-apiserver 1.36 ignores it on the status of a custom resource and answers 200 (tried with server-side apply;
on the object itself it answers 422).

A report that begins a phase, or ends the job, is news to the reconciler too. Both parts go in one write then: see
`Companion`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from trainingjob_operator.api.names import FIELD_MANAGER, INTAKE_FIELD_MANAGER
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.core.sections import with_metrics, with_metrics_of
from trainingjob_operator.intake.store import Entry, Order, ReportStore
from trainingjob_operator.intake.view import REPORTING, fragment, late_fragment, status_order
from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import TRAININGJOBS, Resource

logger = logging.getLogger(__name__)

_ATTEMPTS = 4
SHORTEST_WAIT = 0.001
#: Each of so many writers of what is not urgent rests so many times as long as its last write took, but no longer: a
#: server that is slow has more to do than numbers.
WRITERS, RESTS, LONGEST_REST = 8, 15.0, 10.0


class StatusApi(Protocol):
    """The two requests that this needs; `KubeClient` has them."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        """Read an object."""
        ...

    async def replace_status(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        /,
        *,
        field_manager: str,
    ) -> dict[str, Any]:
        """Write the whole status."""
        ...


class Joined(NamedTuple):
    """The reconciler's part of a status that is about to be written; `written` is called when it was."""

    status: Mapping[str, Any]
    written: Callable[[], None]


class Companion(Protocol):
    """The reconciler, where it works: it is asked what it would write next."""

    def __call__(self, uid: str, resource_version: str, status: Mapping[str, Any], /) -> Joined | None:
        """Return its part for a job that has this status, made of that resourceVersion; None for no change."""
        ...


def nobody(_uid: str, _resource_version: str, _status: Mapping[str, Any], /) -> Joined | None:
    """Have nothing to add: the reconciler works elsewhere."""
    return None


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
    """Carries the store's dirty entries into the API.

    Those that are not urgent go through `limiter`, and ever more slowly the slower the API server is: however many of
    them there are, nobody waits behind them. Urgent ones go through `urgent`, `workers` at a time, each together with
    what `companion` has to say.

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
        urgent: TokenBucket | None = None,
        companion: Companion = nobody,
        workers: int = 4,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_flush: Callable[[str, float], None] | None = None,
        remember: Callable[[Mapping[str, Any]], None] = lambda _body: None,
    ) -> None:
        self._store = store
        self._api = api
        self._lookup = lookup
        self._limiters = {False: limiter or TokenBucket(20.0, 20), True: urgent or TokenBucket(100.0, 100)}
        self._companion = companion
        self._workers = {False: WRITERS, True: workers}
        self._backoff = backoff or Backoff(base=1.0, limit=60.0)
        self._clock = clock
        self._on_flush = on_flush
        self._remember = remember
        self._wakes = {False: asyncio.Event(), True: asyncio.Event()}
        self._writes: dict[str, asyncio.Future[None]] = {}
        store.on_dirty = self._wake

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for urgent in (True, False):
                tasks.create_task(self._serve(tasks, urgent))

    async def _serve(self, tasks: asyncio.TaskGroup, urgent: bool) -> None:
        free = asyncio.Semaphore(self._workers[urgent])
        while True:
            await self._until_due(urgent)
            await free.acquire()
            # The token first, the job then: whose turn it is may change while we wait for the token.
            await self._limiters[urgent].acquire()
            uid = self._store.take(urgent=urgent)
            if uid is None:
                free.release()
            else:
                work = self._flush(uid) if urgent else self._flush_and_rest(uid)
                tasks.create_task(work).add_done_callback(lambda _: free.release())

    async def _flush_and_rest(self, uid: str) -> None:
        began = self._clock()
        await self._flush(uid)
        await asyncio.sleep(min(LONGEST_REST, RESTS * (self._clock() - began)))

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

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    async def _until_due(self, urgent: bool) -> None:
        wake = self._wakes[urgent]
        while (due := self._store.next_due(urgent=urgent)) != 0:
            wake.clear()
            with contextlib.suppress(TimeoutError):
                # Not less than a tick: a rest below the clock's resolution would be waited for again and again.
                async with asyncio.timeout(None if due is None else max(due, SHORTEST_WAIT)):
                    await wake.wait()

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
                await self._replace(entry, fact, with_metrics(fact.status, status))
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

    async def _replace(self, entry: Entry, fact: StatusFact, status: Mapping[str, Any]) -> None:
        joined = self._companion(entry.uid, fact.resource_version, status) if entry.urgent else None
        metadata = {
            "name": entry.name,
            "namespace": entry.namespace,
            "resourceVersion": fact.resource_version,
        }
        written = await self._api.replace_status(
            TRAININGJOBS,
            entry.name,
            {"metadata": metadata, "status": status if joined is None else with_metrics_of(status, joined.status)},
            entry.namespace,
            field_manager=INTAKE_FIELD_MANAGER if joined is None else FIELD_MANAGER,
        )
        if joined is not None:
            joined.written()
        self._remember(written)

    def _gone(self, entry: Entry) -> str:
        self._store.drop(entry.uid)
        return "gone"
