"""Rate limits by key, in bounded memory: one for every job, and one for every namespace."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from trainingjob_operator.kube.limiter import TokenBucket


class Buckets:
    """One token bucket for each of the `size` keys that were heard last; `clock` is monotonic, in seconds."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float], size: int = 20_000) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._size = size
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def try_take(self, key: str) -> float:
        """Return 0 and count one, or the seconds after which the key may come again."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, clock=self._clock)
            if len(self._buckets) > self._size:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.try_take()


@dataclass(frozen=True)
class Wait:
    """Why a report has to wait, and for how many seconds."""

    seconds: float
    reason: str


class ReportRates:
    """How often one job may report, and all jobs of one namespace together; rates are per second.

    What a job's workers say of their chief has a rate of its own, the same, so that they can't silence the chief: a
    thousand of them may lose it at once, and one of them is enough.

    Only senders that were found to be a job's chief get here, so strangers can neither fill it nor use up a job's
    tokens; and a job that is over its own rate takes none of its namespace's.
    """

    def __init__(
        self,
        *,
        job: float,
        namespace: float,
        clock: Callable[[], float],
        job_burst: int = 20,
        namespace_burst: int | None = None,
    ) -> None:
        self._jobs = Buckets(job, job_burst, clock)
        self._notices = Buckets(job, job_burst, clock)
        self._namespaces = Buckets(namespace, namespace_burst or max(job_burst, int(2 * namespace)), clock)

    def try_take(self, namespace: str, uid: str, *, notice: bool = False) -> Wait | None:
        """Count a report of this job, or a worker's `notice`; None if it may pass."""
        seconds = (self._notices if notice else self._jobs).try_take(uid)
        if seconds > 0 and notice:
            return Wait(seconds, "the job's workers say it often enough")
        if seconds > 0:
            return Wait(seconds, "the job reports too often: keep to its report interval")
        seconds = self._namespaces.try_take(namespace)
        if seconds > 0:
            return Wait(seconds, f"the jobs of namespace {namespace} together report too often: raise their interval")
        return None
