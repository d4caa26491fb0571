"""When the status of a job that does not run yet may be written.

A status write costs the API server three times what a pod does. With a few jobs each of them is told as it happens:
Pending, Starting, Running. When hundreds are applied at once, telling of each that it waits would delay what they
wait for: these words have a rate of their own, and a job that runs before its turn has come goes without them.
"""

from collections.abc import Callable

from trainingjob_operator.api.names import Phase
from trainingjob_operator.kube.limiter import TokenBucket

_EARLY = (Phase.PENDING, Phase.STARTING)
#: So many a second, and so many at once: each costs what three pods do.
RATE, BURST = 2.0, 20


class EarlyStatus:
    """Turns of the jobs that do not run yet, by UID. `clock` is monotonic, the bucket's."""

    def __init__(self, bucket: TokenBucket, clock: Callable[[], float]) -> None:
        self._bucket = bucket
        self._clock = clock
        self._turns: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def wait(self, uid: str, written: Phase | None, wanted: str) -> float:
        """Return in how many seconds a job with this phase in its status may get that one; 0 for now."""
        if wanted not in _EARLY or written not in (None, *_EARLY):
            self.forget(uid)
            return 0.0
        if uid not in self._turns:
            wait = self._bucket.take_ahead()
            if wait > 0:
                self._turns[uid] = self._clock() + wait
            return wait
        wait = self._turns[uid] - self._clock()
        if wait > 0:
            return wait
        self.forget(uid)
        return 0.0

    def waits(self, uid: str) -> bool:
        """Whether a job waits for its turn: what is over by then need not be told."""
        return uid in self._turns

    def forget(self, uid: str) -> None:
        """The job runs, or is gone."""
        self._turns.pop(uid, None)
