"""Which jobs to look at next: each at most once in the queue, by one worker at a time, again if it failed.

It is the queue that every level-triggered controller needs (client-go's workqueue), in asyncio: events only say
"look at this key", so many events cost one look; an event that comes during the look costs exactly one more. Which
of those that wait is next, its lanes say.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from trainingjob_operator.runtime.lanes import Lane, Lanes

K = TypeVar("K", bound=Hashable)


class QueueClosedError(Exception):
    """The queue is shut down; the worker should end."""


class WorkQueue(Generic[K]):
    """A deduplicating queue of keys, for one event loop.

    A worker does `key = await get()`, looks at the key, then `forget(key)` or `retry(key)`, and always `done(key)`.
    Back-off is per key: `base * 2**n` seconds with jitter, at most `limit`. Times are the event loop's; `clock` only
    measures how long keys wait. `lane_of` says in which lane, and for which namespace, a key waits.
    """

    def __init__(
        self,
        *,
        base: float = 0.5,
        limit: float = 300.0,
        rand: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        lane_of: Callable[[K], tuple[Lane, str]] = lambda _key: (Lane.OTHER, ""),
    ) -> None:
        self._base = base
        self._limit = limit
        self._rand = rand
        self._clock = clock
        self._lane_of = lane_of
        self._ready: Lanes[K] = Lanes(clock)
        self._waiting: set[K] = set()  # in _ready, or to be put there when their worker is done
        self._working: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys wait for a worker now; delayed ones and ones in work do not count."""
        return len(self._ready)

    def count(self, lane: Lane) -> int:
        """Return how many keys wait for a worker in a lane."""
        return self._ready.count(lane)

    @property
    def working(self) -> int:
        """How many keys are in work."""
        return len(self._working)

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._timers)

    def oldest_wait(self) -> float:
        """Return how many seconds the first key has waited for a worker, 0 when none waits."""
        since = self._ready.oldest()
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def add(self, key: K) -> None:
        """Ask for a look at this key, as soon as a worker is free."""
        if self._closed:
            return
        if key in self._working:
            self._waiting.add(key)
            return
        # Also when it waits: it may have become more urgent.
        self._ready.push(key, *self._lane_of(key))
        if key not in self._waiting:
            self._waiting.add(key)
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a look in so many seconds. Of several such wishes for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._ripe, key)

    def retry(self, key: K) -> float:
        """Ask for a look after this key's back-off, which doubles each time; return the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(self._limit, self._base * 2.0 ** min(failures, 60)) * (0.5 + 0.5 * self._rand())
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """The key went well: its next failure starts from the shortest back-off."""
        self._failures.pop(key, None)

    def drop(self, key: K) -> None:
        """The key is gone for good: no back-off, no later look. One that already waits for a worker stays."""
        self.forget(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def get(self) -> K:
        """Wait for a key and take it into work.

        Raises:
            QueueClosedError: after `shutdown`, at once, whatever still waits: the next leader will see it too.
        """
        while not self._ready and not self._closed:
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                # Whoever was woken and then cancelled hands the wake-up on.
                if getter.done() and not getter.cancelled():
                    self._wake()
                else:
                    self._getters.remove(getter)
                raise
        if self._closed:
            raise QueueClosedError
        key = self._ready.pop()
        assert key is not None
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker has finished with the key; if it was added meanwhile it comes once more."""
        if key not in self._working:
            raise ValueError(f"done({key!r}): the key is not in work")
        self._working.discard(key)
        if key in self._waiting and not self._closed:
            self._ready.push(key, *self._lane_of(key))
            self._wake()

    def shutdown(self) -> None:
        """Wake all workers with QueueClosedError and forget all timers. Keys in work are their workers' to finish."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    def _ripe(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
