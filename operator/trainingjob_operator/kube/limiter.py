"""Token bucket: so many a second on average, so many at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class TokenBucket:
    """A rate limit that waiters pass in the order in which they came.

    `rate` is tokens a second, `burst` how many are there at most (and at the start). A waiter takes its token at
    once and sleeps off the debt, so there is no thundering herd and no queue to keep. Share one bucket to share a
    budget; give a stream of its own a bucket of its own, so that it cannot starve the others.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not rate > 0 or burst < 1:
            raise ValueError(f"rate {rate} must be above 0 and burst {burst} at least 1")
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._at = clock()

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now

    def try_take(self) -> float:
        """Take a token if there is one and return 0; else take none and return the seconds until there is one."""
        self._refill()
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate

    def take_ahead(self) -> float:
        """Take a token, be it one that is not there yet, and return in how many seconds it is."""
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    async def acquire(self) -> None:
        """Wait for a token. A cancelled waiter gives its token back."""
        wait = self.take_ahead()
        if wait == 0:
            return
        try:
            await self._sleep(wait)
        except BaseException:
            self._tokens += 1
            raise
