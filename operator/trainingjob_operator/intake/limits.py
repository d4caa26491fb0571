"""A rate limit for every job, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable

from trainingjob_operator.kube.limiter import TokenBucket


class JobLimits:
    """One token bucket for each of the `size` jobs that were heard last; `clock` is monotonic.

    Only senders that were found to be a job's chief get here, so strangers can neither fill it nor use up a job's
    tokens.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float], size: int = 20_000) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._size = size
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def try_take(self, uid: str) -> float:
        """Return 0 and count the report, or the seconds after which the job may report again."""
        bucket = self._buckets.get(uid)
        if bucket is None:
            bucket = self._buckets[uid] = TokenBucket(self._rate, self._burst, clock=self._clock)
            if len(self._buckets) > self._size:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(uid)
        return bucket.try_take()
