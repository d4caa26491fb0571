"""Who is looked at next, when more jobs wait than there are workers. Pure.

Deletes and suspends go first: they give room to the others. So do chiefs that are to be found, when the pods of their
gangs run: they hold what they have for nothing until then. Then pods that are to be made, then everything else,
which mostly is a status. But no lane keeps the next one waiting for long, and within a lane namespaces take turns: a
team that applies a thousand jobs at once delays nobody else's one.
"""

import itertools
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from trainingjob_operator.intake.turns import Turns

K = TypeVar("K", bound=Hashable)

#: After so many of the first lane in a row it is another one's turn.
IN_A_ROW = 8
#: Seconds after which the last lane takes turns with the second.
PATIENCE = 2.0


class Lane(IntEnum):
    """What a job needs."""

    URGENT = 0
    CREATE = 1
    OTHER = 2


class Lanes(Generic[K]):
    """Keys that wait, each once, in a lane and a namespace."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lines: dict[Lane, Turns[tuple[int, K]]] = {lane: Turns() for lane in Lane}
        #: Of each lane its keys, the longest waiting first: (number, since when).
        self._waiting: dict[Lane, dict[K, tuple[int, float]]] = {lane: {} for lane in Lane}
        self._in_a_row = 0
        self._last = Lane.OTHER

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def count(self, lane: Lane) -> int:
        """Return how many keys wait in a lane."""
        return len(self._waiting[lane])

    def oldest(self) -> float | None:
        """Return since when the longest waiting key waits, None without one."""
        return min((since for lane in Lane if (since := self._since(lane)) is not None), default=None)

    def push(self, key: K, lane: Lane, namespace: str) -> None:
        """Put a key into a lane; one that waits already moves to it if it is a more urgent one."""
        since = self._clock()
        for other, keys in self._waiting.items():
            if key in keys:
                if other <= lane:
                    return
                since = keys.pop(key)[1]  # its place in the other line is void
        number = next(self._numbers)
        self._waiting[lane][key] = (number, since)
        self._lines[lane].push(namespace, (number, key))

    def pop(self) -> K | None:
        """Return the key whose turn it is, None without one."""
        lane = self._choose()
        if lane is None:
            return None
        self._in_a_row = self._in_a_row + 1 if lane is Lane.URGENT else 0
        if lane is not Lane.URGENT:
            self._last = lane
        while (item := self._lines[lane].pop()) is not None:
            number, key = item
            if self._waiting[lane].get(key, (0, 0.0))[0] == number:
                del self._waiting[lane][key]
                return key
        raise AssertionError("a key that waits has no place in line")

    def _choose(self) -> Lane | None:
        there = [lane for lane in Lane if self._waiting[lane]]
        if len(there) > 1 and there[0] is Lane.URGENT:
            if self._in_a_row < IN_A_ROW:
                return Lane.URGENT
            there.pop(0)
        if len(there) > 1 and self._last is Lane.CREATE and self._is_overdue():
            return Lane.OTHER
        return there[0] if there else None

    def _is_overdue(self) -> bool:
        since = self._since(Lane.OTHER)
        return since is not None and self._clock() - since > PATIENCE

    def _since(self, lane: Lane) -> float | None:
        first = next(iter(self._waiting[lane].values()), None)
        return None if first is None else first[1]
