"""How fast training goes, and how long it will take: from positions (steps, or epochs) and the times they were seen.

A plain average over the last seconds jumps at every validation and forgets it right after; one over everything is
poisoned by the first step, which is traced and compiled. So the time between two positions goes to one of three:

- the start: the first advance of a trainer compiles, and counts for nothing;
- stepping: `speed` is its average over the last 10 s, and stays what it was while the trainer is quiet;
- pauses (validation, a save, an export): an advance that took far longer than its steps. A pause is expected to come
  again after as many steps as it came before, and to take as long as those before it.

Time to go is the steps to go at the pace of the last half minute, and the pauses on the way. So it includes
validation on average, does not jump at the second one nor at any later, and forgets what came only once.

Pure: times come from the caller.
"""

from __future__ import annotations

import dataclasses
import math
from typing import List, Optional

SPEED_SECONDS = 10.0
PACE_SECONDS = 30.0
#: Slow steps: an average is of at least about so many advances.
FEWEST = 16
#: A pause takes at least this much longer than its steps at three times their usual pace.
PAUSE_SECONDS = 0.5
SLOWER = 3.0
SIMILAR = 3.0
#: So many advances at the beginning may still trace something, which a faster one shows.
WARM_UP = 10
#: A pause seen once, in a program that does not tell its epochs, is expected at most so many times again.
MOST_AGAIN = 20.0


class Average:
    """Seconds a position takes, over the last `memory` seconds of stepping."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._seconds = self._positions = 0.0
        self.count = 0

    def add(self, positions: float, seconds: float) -> None:
        """Count an advance by `positions` that took `seconds`."""
        kept = math.exp(-min(seconds / self._memory, 1 / FEWEST))
        self.count += 1
        self._seconds = kept * self._seconds + seconds
        self._positions = kept * self._positions + positions

    @property
    def pace(self) -> Optional[float]:
        """Seconds per position; None before anything was counted."""
        return self._seconds / self._positions if self._positions else None


@dataclasses.dataclass
class Pauses:
    """Pauses of about the same length. `first` and `last` are the positions at which they came."""

    first: float
    seconds: float
    count: int = 1
    last: float = 0.0

    def is_like(self, seconds: float) -> bool:
        """Whether a pause of `seconds` is one of these; one alone may have compiled something, others need not."""
        return seconds < SIMILAR * self.seconds and (self.count == 1 or SIMILAR * seconds > self.seconds)

    def add(self, position: float, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.last = position
        # The first one of its kind often compiles something: it stands only for itself, until there are others.
        self.seconds += max(0.2, 1.0 / (self.count - 1)) * (seconds - self.seconds)

    def per_position(self, position: float, spacing: float) -> float:
        """Return the seconds of such pauses to expect per position; `spacing` is for one that came only once."""
        if self.count > 1:
            spacing = (self.last - self.first) / (self.count - 1)
        # One that is overdue comes more seldom than was thought, or was the last.
        return self.seconds / max(spacing, (position - self.first) / self.count, 1e-9)


class Pace:
    """Fed with each new position in its turn; says speed and time to go."""

    def __init__(self) -> None:
        self._speed = Average(SPEED_SECONDS)
        self._pace = Average(PACE_SECONDS)
        self._pauses: List[Pauses] = []
        self._first: Optional[float] = None
        self._position = 0.0
        self._at = 0.0
        self._advances = 0
        self._paused = False
        self._start: Optional[float] = None  # seconds per position of the first advance

    def advance(self, position: float, now: float) -> None:
        """Note that the trainer is at `position` at `now`, in seconds; what is no step forward is left out.

        A position that goes back is a new beginning of the count, not of the trainer: the pace stays.
        """
        if self._first is None or position < self._position:
            self._first = self._position = position
            self._at = now
            self._pauses = []
            return
        positions, seconds = position - self._position, now - self._at
        if positions <= 0 or seconds <= 0:
            return
        self._position, self._at = position, now
        self._advances += 1
        if self._advances == 1:
            self._start = seconds / positions
        elif not self._pause(positions, seconds):
            self._step(positions, seconds)

    @property
    def speed(self) -> Optional[float]:
        """Positions per second while it steps; None as long as nothing is known."""
        pace = self._speed.pace
        return 1.0 / pace if pace else None

    def seconds_to(self, end: float, cycle: Optional[float] = None, rough: bool = False) -> Optional[float]:
        """Return the seconds to position `end`; None as long as nothing is known.

        `cycle` is the length of an epoch, where it is told; `rough` makes do with what is there.
        """
        pace = self._pace.pace or (self._start if rough else None)
        if pace is None or (self._pace.count < 2 and not rough):  # one may have compiled, like that before it
            return None
        for pauses in self._pauses:
            once = cycle or max(pauses.first - (self._first or 0.0), end / MOST_AGAIN)
            pace += pauses.per_position(self._position, once)
        return max(0.0, pace * (end - self._position))

    def _step(self, positions: float, seconds: float) -> None:
        known = self._pace.pace
        if known is not None and self._advances <= WARM_UP and seconds / positions * SLOWER < known:
            # What came before was tracing, too.
            self._speed, self._pace = Average(SPEED_SECONDS), Average(PACE_SECONDS)
        self._speed.add(positions, seconds)
        self._pace.add(positions, seconds)
        self._paused = False

    def _pause(self, positions: float, seconds: float) -> bool:
        """Take an advance as a pause, if it looks like one. Two in a row are not: training has become slower."""
        pace = self._speed.pace
        if pace is None or self._paused or seconds < SLOWER * pace * positions + PAUSE_SECONDS:
            return False
        self._paused = True
        extra = seconds - pace * positions
        known = next((pauses for pauses in self._pauses if pauses.is_like(extra)), None)
        if known is None:
            self._pauses.append(Pauses(self._position, extra))
        else:
            known.add(self._position, extra)
        return True
