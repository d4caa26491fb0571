"""How long to wait before trying again."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential back-off with jitter: attempt n waits half to all of `base * 2**n`, at most `limit`, seconds.

    Jitter keeps clients that failed together from coming back together.
    """

    base: float = 0.25
    limit: float = 15.0
    rand: Callable[[], float] = random.random

    def seconds(self, attempt: int) -> float:
        """Return the wait after failed attempt number `attempt`, which counts from 0."""
        ceiling = min(self.limit, self.base * 2.0 ** min(attempt, 60))
        return ceiling * (0.5 + 0.5 * self.rand())
