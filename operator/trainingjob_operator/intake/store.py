"""The latest report of every job, and which of them the status does not show yet.

It coalesces: however often a job reports, one write carries the newest, and what those before it said. Pure: no
I/O, no tasks, the clocks are given.
"""

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from trainingjob_operator.api.contract import Report
from trainingjob_operator.core.history import Order, knows_progress, order_of
from trainingjob_operator.intake.gang import Lost, failure_key
from trainingjob_operator.intake.pending import NOTHING, Pending
from trainingjob_operator.intake.turns import Turns

#: Seconds by which a job may be early. Timers fire a little early too; without this the waiter would spin.
_EARLY = 0.001
#: For so many seconds it is remembered that a chief was called lost and was not.
_REFUTED = 60.0


class Put(Enum):
    """What became of a report."""

    TAKEN = "taken"
    STALE = "stale"


@dataclass(frozen=True)
class Entry:
    """A job's latest report. `received_at` is seconds since 1970, `dirty_since` the monotonic clock's.

    `urgent`: since the last write something happened that people or the reconciler wait for: the first report,
    another generation or state, a failure, other members that are missed, a stall or its end, a chief that is lost or
    heard again, or the last report. `news`: the training came further since; without that a report only says that the
    gang is alive, and what it uses. `pending` is what all reports since then said. `lost` is what workers said of the
    chief since it was heard last, once they are believed. There is no report, and `received_at` is None, where
    workers came first: the operator has just started, and the chief is gone.
    """

    uid: str
    namespace: str
    name: str
    report: Report | None
    received_at: float | None
    dirty_since: float
    urgent: bool
    news: bool
    pending: Pending = NOTHING
    lost: Lost | None = None

    @property
    def order(self) -> Order | None:
        """The order of the report, None without one."""
        return None if self.report is None else order_of(self.report)


class _Slot:
    __slots__ = ("dirty", "due", "entry", "failures", "taken_at", "ticket", "writing", "written_at")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.dirty = False
        self.writing = False
        self.due = 0.0
        self.ticket = 0
        self.failures = 0
        self.taken_at = 0.0
        self.written_at: float | None = None


class ReportStore:
    """Latest reports by the job's UID, at most `limit` of them.

    A dirty job is due at once if urgent, else `min_interval` seconds after its last write began: counted from its
    end, a report each `min_interval` would wait ever longer. One without news is due after `quiet_interval`: news
    would have to wait behind it. `clock` is monotonic, `wall` is seconds since 1970. `on_dirty` is called when there
    may be something new to write.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        *,
        min_interval: float = 5.0,
        quiet_interval: float = 15.0,
        limit: int = 20_000,
        on_dirty: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_dirty = on_dirty
        self._clock = clock
        self._wall = wall
        self._intervals = {True: min_interval, False: quiet_interval}
        self._limit = limit
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        #: Urgent ones wait in a line of their own.
        self._later: dict[bool, list[tuple[float, int, str]]] = {True: [], False: []}
        self._ready: dict[bool, Turns[tuple[int, str]]] = {True: Turns(), False: Turns()}
        self._tickets = itertools.count(1)

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, uid: str) -> Entry | None:
        """Return the job's latest entry."""
        slot = self._slots.get(uid)
        return slot.entry if slot else None

    def dirty(self, uid: str) -> bool:
        """Whether the status may not show the job's latest report yet."""
        slot = self._slots.get(uid)
        return slot is not None and slot.dirty

    @property
    def dirty_count(self) -> int:
        """How many jobs wait to be written."""
        return sum(slot.dirty for slot in self._slots.values())

    def put(
        self,
        uid: str,
        namespace: str,
        name: str,
        report: Report,
        said_at: float | None = None,
        *,
        refutes: bool = False,
    ) -> Put:
        """Take a report, unless an equal or later one, or the last one of its generation, is there already.

        `said_at` is when it was made, in seconds since 1970, where that is known and was well before now. `refutes`
        says that the job's status calls the chief lost: it must not do so for long.
        """
        slot = self._slots.get(uid)
        known = slot.entry.report if slot else None
        if known is not None and (
            order_of(report) <= order_of(known) or (known.final and order_of(report)[:2] == order_of(known)[:2])
        ):
            return Put.STALE
        news = known is None or _progress(report) not in (None, _progress(known))
        before = slot.entry.pending if slot else NOTHING
        refutes |= slot is not None and slot.entry.lost is not None
        urgent = (
            refutes
            or report.final
            or known is None
            or _headline(report) != _headline(known)
            or _fails(report, before)
        )
        now = self._clock()
        # What is being written right now does not lend its age and urgency to what comes after it.
        waiting = slot is not None and slot.dirty and not slot.writing
        arrived = self._wall()
        entry = Entry(
            uid=uid,
            namespace=namespace,
            name=name,
            report=report,
            received_at=arrived,
            dirty_since=slot.entry.dirty_since if slot and waiting else now,
            urgent=urgent or (slot is not None and waiting and slot.entry.urgent),
            news=news or (slot is not None and waiting and slot.entry.news),
            pending=before.plus(report, arrived if said_at is None else min(arrived, said_at)),
        )
        if slot is None:
            slot = self._slots[uid] = _Slot(entry)
            self._evict()
        # flags only rise while a job waits; a failed write's back-off yields to what is urgent alone
        sooner = entry.urgent != slot.entry.urgent or (entry.news != slot.entry.news and not slot.failures)
        slot.entry, slot.dirty = entry, True
        self._slots.move_to_end(uid)
        if not slot.writing and (sooner or not waiting):
            self._schedule(uid, slot, now)
        return Put.TAKEN

    def miss(
        self,
        uid: str,
        namespace: str,
        name: str,
        incarnation: int,
        member: str,
        heard_at: float | None,
        patience: float,
    ) -> bool:
        """Take note that a member has lost the chief; return whether that is believed, and shown.

        It is when the chief has been silent for `patience` seconds, here and as far as the status knows, which heard
        it last at `heard_at`, in seconds since 1970. Members say it again and again: each time decides anew. Where
        the other replica has just heard a chief that was called lost here, the status is given time to follow.
        """
        slot, now = self._slots.get(uid), self._wall()
        times = (heard_at, slot.entry.received_at if slot else None)
        heard = max((time for time in times if time is not None), default=-math.inf)
        shown = slot.entry.lost if slot else None
        refuted = shown is not None and shown.since <= heard and now - shown.since < _REFUTED
        if now - heard < patience + (self._intervals[False] if refuted else 0.0):
            return False
        if slot is None:
            slot = self._slots[uid] = _Slot(Entry(uid, namespace, name, None, None, self._clock(), False, False))
            self._evict()
        if shown is not None and shown.incarnation == incarnation and shown.since > heard:
            return True
        waiting = slot.dirty and not slot.writing
        since = slot.entry.dirty_since if waiting else self._clock()
        slot.entry = replace(slot.entry, lost=Lost(incarnation, member, now), urgent=True, dirty_since=since)
        slot.dirty = True
        self._slots.move_to_end(uid)
        if not slot.writing:
            self._schedule(uid, slot, self._clock())
        return True

    def take(self, *, urgent: bool) -> str | None:
        """Return the UID of the job to write next, and note that it is being written; None if none is due.

        `urgent` says which of them: those that are, or those that are not.
        """
        self._ripen(urgent)
        while (ready := self._ready[urgent].pop()) is not None:
            ticket, uid = ready
            slot = self._slots.get(uid)
            if slot is not None and slot.ticket == ticket:
                slot.writing, slot.ticket, slot.taken_at = True, 0, self._clock()
                return uid
        return None

    def take_any(self) -> str | None:
        """Like `take`, but without waiting for anything to be due: for the shutdown. Failed ones are left out."""
        for uid, slot in self._slots.items():
            if slot.failures == 0 and self.claim(uid):
                return uid
        return None

    def claim(self, uid: str) -> bool:
        """Note that this job is being written, due or not; False if it is clean, unknown or being written already."""
        slot = self._slots.get(uid)
        if slot is None or not slot.dirty or slot.writing:
            return False
        slot.writing, slot.ticket, slot.taken_at = True, 0, self._clock()
        return True

    def settle(
        self, uid: str, written: Order | None, carried: Pending | None = None, lost: Lost | None = None
    ) -> None:
        """The status shows this report or a later one. If a newer one came meanwhile the job stays dirty.

        `carried` is what of the pending it has now, `lost` what of the workers' word it was written with.
        """
        slot = self._slots.get(uid)
        if slot is None:
            return
        now = self._clock()
        slot.writing, slot.written_at, slot.failures = False, slot.taken_at, 0
        if carried is not None:
            slot.entry = replace(slot.entry, pending=slot.entry.pending.without(carried))
        order = slot.entry.order
        if slot.entry.lost == lost and (order is None or (written is not None and order <= written)):
            slot.dirty = False
        elif slot.dirty:
            self._schedule(uid, slot, now)

    def defer(self, uid: str, seconds: float) -> None:
        """Writing failed: try again in so many seconds."""
        slot = self._slots.get(uid)
        if slot is None:
            return
        slot.writing = False
        slot.failures += 1
        self._push(uid, slot, self._clock() + seconds)

    def failures(self, uid: str) -> int:
        """Return how often writing failed since it last went well."""
        slot = self._slots.get(uid)
        return slot.failures if slot else 0

    def drop(self, uid: str) -> None:
        """Forget a job that is gone."""
        self._slots.pop(uid, None)

    def next_due(self, *, urgent: bool) -> float | None:
        """Return the seconds until a job is due that is urgent, or is not; 0 if one is, None if none is dirty."""
        self._ripen(urgent)
        if any(self._live(ticket, uid) for ticket, uid in self._ready[urgent]):
            return 0.0
        later = self._later[urgent]
        while later and not self._live(later[0][1], later[0][2]):
            heapq.heappop(later)
        return max(0.0, later[0][0] - self._clock()) if later else None

    def _schedule(self, uid: str, slot: _Slot, now: float) -> None:
        due = now
        if not slot.entry.urgent and slot.written_at is not None:
            due = max(now, slot.written_at + self._intervals[slot.entry.news])
        self._push(uid, slot, due)

    def _push(self, uid: str, slot: _Slot, due: float) -> None:
        slot.due, slot.ticket = due, next(self._tickets)
        heapq.heappush(self._later[slot.entry.urgent], (due, slot.ticket, uid))
        self.on_dirty()

    def _ripen(self, urgent: bool) -> None:
        """Let what is due from the heap stand in line."""
        now, later = self._clock() + _EARLY, self._later[urgent]
        while later and later[0][0] <= now:
            _, ticket, uid = heapq.heappop(later)
            if self._live(ticket, uid):
                self._ready[urgent].push(self._slots[uid].entry.namespace, (ticket, uid))

    def _live(self, ticket: int, uid: str) -> bool:
        slot = self._slots.get(uid)
        return slot is not None and slot.ticket == ticket

    def _evict(self) -> None:
        """Make room: the longest silent job that is written goes, else the longest silent not in work."""
        if len(self._slots) <= self._limit:
            return
        newest = next(reversed(self._slots))
        candidates = [uid for uid, slot in self._slots.items() if not slot.writing and uid != newest]
        victim = next(
            (uid for uid in candidates if not self._slots[uid].dirty), candidates[0] if candidates else None
        )
        if victim is not None:
            del self._slots[victim]


__all__ = ["Entry", "Order", "Put", "ReportStore", "order_of"]


def _progress(report: Report) -> object:
    training = report.training
    if training is None or not knows_progress(training):
        return None
    return training.step, training.epoch, training.percent, dict(training.metrics)


def _headline(report: Report) -> tuple[object, ...]:
    """Return what the reconciler acts on, and people wait for; numbers are not in it."""
    return (
        report.incarnation,
        report.generation,
        report.state,
        report.size,
        frozenset(report.unreachable),
        report.stalled is not None,
    )


def _fails(report: Report, before: Pending) -> bool:
    """Whether it tells of a failure that was not told before."""
    if report.failure is None:
        return False
    return before.failure is None or failure_key(before.failure.failure) != failure_key(report.failure)
