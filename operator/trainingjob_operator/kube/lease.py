"""Leader election on a `coordination.k8s.io/v1` Lease, safe without synchronised clocks.

Two rules make it safe. The leader counts from before it sent its last successful write, and stops at the end of
`renew_deadline`. A candidate counts from after it saw the record change, and waits `duration` of silence. As
`renew_deadline < duration`, the one has stopped before the other begins, however wrong their wall clocks are and
however late their requests arrive; only the rate of the monotonic clock is trusted. Every write carries the
resourceVersion that was read, so that of two candidates one wins. A process that is stopped and goes on later may act
for a moment before it notices: what a leader writes must be safe to write twice (deterministic names, preconditions).
"""

import asyncio
import datetime
import logging
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import LEASES, Resource

logger = logging.getLogger(__name__)

Json = dict[str, Any]
#: Candidates look again once to twice so many seconds after the silence, surely not before it ends, nor all at once.
_AFTER = 0.05


class LeaseApi(Protocol):
    """The three requests that an election needs; `KubeClient` has them."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> Json:
        """Read an object."""
        ...

    async def create(self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None, /) -> Json:
        """Create an object."""
        ...

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str | None = None, /
    ) -> Json:
        """Write an object under its resourceVersion."""
        ...


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds: how long a silent leader keeps the others out, when it gives up itself, how often it renews.

    A leader that dies is followed `duration - retry` to `duration + 1.2 * retry` later: its last write is up to
    `retry` old, and seen up to `1.2 * retry` after it was made. With these values that is 10 to 14.4 s.
    """

    duration: float = 12.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry > 0:
            raise ValueError(f"{self}: duration > renew_deadline > retry > 0 must hold")


class LeaderElector:
    """One candidate. `identity` must be unique to this process, a pod's name and UID for instance.

    Use: `await run()`. It waits for leadership, sets `leading`, renews, and returns after `on_lost` was called once
    leadership is gone; whoever is still working then works against the next leader, so `on_lost` ends the process.
    At shutdown: first stop what only a leader may do, then cancel `run`, then `await release()`.
    """

    def __init__(
        self,
        api: LeaseApi,
        namespace: str,
        name: str,
        identity: str,
        *,
        on_lost: Callable[[], None],
        times: LeaseTimes | None = None,
        wall: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.leading = asyncio.Event()
        self.identity = identity
        self._api = api
        self._namespace = namespace
        self._name = name
        self._on_lost = on_lost
        self._times = times or LeaseTimes()
        self._wall = wall
        self._rand = rand
        self._lease: Json = {}
        self._observed: tuple[Any, ...] | None = None
        self._observed_at = 0.0
        self._deadline = 0.0
        self._sent: dict[str, float] = {}  # writes without an answer: renewTime -> when they were sent

    async def run(self) -> None:
        """Become leader, stay leader, and return when leadership is lost."""
        await self._acquire()
        logger.info("lease %s/%s: %s leads", self._namespace, self._name, self.identity)
        self.leading.set()
        try:
            await self._renew()
        finally:
            self.leading.clear()
        logger.error("lease %s/%s: %s lost the lead", self._namespace, self._name, self.identity)
        self._on_lost()

    def valid_for(self) -> float:
        """Return the seconds for which this process is surely the leader if nothing more succeeds, else 0."""
        return max(0.0, self._deadline - _now()) if self.leading.is_set() else 0.0

    async def release(self) -> None:
        """Give the lease up at shutdown, so that the next leader need not wait. Failing to do so is no error."""
        if self._holder() != self.identity or _now() >= self._deadline:
            return
        self._deadline = 0.0
        spec = self._spec() | {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._micros()}
        try:
            async with asyncio.timeout(self._times.retry):
                await self._api.replace(LEASES, self._name, self._lease | {"spec": spec}, self._namespace)
        except (ApiError, TimeoutError) as error:
            logger.info("lease %s/%s: not released: %s", self._namespace, self._name, error)

    # --- The two loops ---

    async def _acquire(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._times.renew_deadline):
                    if await self._try_acquire():
                        return
            except TimeoutError:
                logger.info("lease %s/%s: no answer from the API server", self._namespace, self._name)
            except ApiError as error:
                if not error.conflict:
                    logger.warning("lease %s/%s: %s", self._namespace, self._name, error)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Return the seconds to the next look: when the holder's silence ends if that is sooner than usual."""
        usual = self._times.retry * (1 + 0.2 * self._rand())
        left = self._observed_at + self._silence() - _now()
        return min(usual, left + _AFTER * (1 + self._rand())) if self._observed and left > 0 else usual

    async def _renew(self) -> None:
        """Write again and again; return at the deadline, or when somebody else holds the lease."""
        while True:
            await asyncio.sleep(min(self._times.retry, max(0.1, (self._deadline - _now()) / 2)))
            if _now() >= self._deadline:
                return
            try:
                async with asyncio.timeout_at(self._deadline):
                    await self._write(self._spec() | {"renewTime": self._micros()})
            except TimeoutError:
                return
            except ApiError as error:
                logger.warning("lease %s/%s: not renewed: %s", self._namespace, self._name, error)
                if error.conflict and not await self._still_ours():
                    return

    async def _still_ours(self) -> bool:
        """After a conflict: whether the record still names us (our own lost answer, or a stranger's label)."""
        try:
            async with asyncio.timeout_at(self._deadline):
                self._observe(await self._api.get(LEASES, self._name, self._namespace))
        except (ApiError, TimeoutError):
            return _now() < self._deadline
        if self._holder() != self.identity:
            return False
        sent = self._sent.get(str(self._spec().get("renewTime")))
        if sent is not None:  # that write of ours was done, only its answer was lost
            self._confirm(sent)
        return True

    # --- The record ---

    async def _try_acquire(self) -> bool:
        try:
            self._observe(await self._api.get(LEASES, self._name, self._namespace))
        except ApiError as error:
            if not error.not_found:
                raise
            return await self._create()
        holder = self._holder()
        if holder and holder != self.identity and _now() < self._observed_at + self._silence():
            return False
        changes = int(self._spec().get("leaseTransitions") or 0) + (holder != self.identity)
        await self._write(
            {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": math.ceil(self._times.duration),
                "acquireTime": self._micros(),
                "renewTime": self._micros(),
                "leaseTransitions": changes,
            }
        )
        return True

    async def _create(self) -> bool:
        started = _now()
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._times.duration),
            "acquireTime": self._micros(),
            "renewTime": self._micros(),
            "leaseTransitions": 0,
        }
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
        self._observe(await self._api.create(LEASES, body, self._namespace))
        self._confirm(started)
        return True

    async def _write(self, spec: Json) -> None:
        started = _now()
        if len(self._sent) > 16:
            self._sent.clear()
        self._sent[spec["renewTime"]] = started
        self._observe(await self._api.replace(LEASES, self._name, self._lease | {"spec": spec}, self._namespace))
        self._confirm(started)

    def _confirm(self, sent: float) -> None:
        """The record carries a write of ours that was sent then."""
        self._sent.clear()
        self._deadline = max(self._deadline, sent + self._times.renew_deadline)

    def _observe(self, lease: Json) -> None:
        """Remember the record, and when it changed: by our own clock, from when we saw it."""
        self._lease = lease
        spec = self._spec()
        record = tuple(spec.get(field) for field in ("holderIdentity", "renewTime", "leaseTransitions"))
        if record != self._observed:
            self._observed = record
            self._observed_at = _now()

    def _spec(self) -> Json:
        return dict(self._lease.get("spec") or {})

    def _holder(self) -> str:
        return str(self._spec().get("holderIdentity") or "")

    def _silence(self) -> float:
        """Seconds of silence after which the holder, by its own word, is gone."""
        declared = self._spec().get("leaseDurationSeconds")
        return float(declared) if isinstance(declared, int) and declared > 0 else self._times.duration

    def _micros(self) -> str:
        return self._wall().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now() -> float:
    return asyncio.get_running_loop().time()
