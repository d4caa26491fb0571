"""Whose status is written next, when more are due than may be written. Pure.

Urgent ones go first, and namespaces take turns, also those that have nothing urgent. Otherwise thirty jobs that
change their state twice a second, which makes every report of theirs urgent, would keep all others out for ever.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: After so many urgent ones in a row it is the turn of a namespace that has none, if there is one.
_IN_A_ROW = 3


class Turns(Generic[T]):
    """Items that wait, each of a namespace and urgent or not."""

    def __init__(self) -> None:
        self._lanes: dict[bool, OrderedDict[str, deque[T]]] = {True: OrderedDict(), False: OrderedDict()}
        self._in_a_row = 0

    def __iter__(self) -> Iterator[T]:
        for lane in self._lanes.values():
            for items in lane.values():
                yield from items

    def push(self, namespace: str, urgent: bool, item: T) -> None:
        """Put an item behind those of its namespace and urgency."""
        self._lanes[urgent].setdefault(namespace, deque()).append(item)

    def pop(self) -> T | None:
        """Return the item whose turn it is, None if there is none."""
        urgent, plain = self._lanes[True], self._lanes[False]
        calm = next((namespace for namespace in plain if namespace not in urgent), None)
        if urgent and (calm is None or self._in_a_row < _IN_A_ROW):
            self._in_a_row = 0 if calm is None else self._in_a_row + 1
            return self._take(urgent, next(iter(urgent)))
        self._in_a_row = 0
        return None if calm is None else self._take(plain, calm)

    @staticmethod
    def _take(lane: OrderedDict[str, deque[T]], namespace: str) -> T:
        items = lane.pop(namespace)
        item = items.popleft()
        if items:
            lane[namespace] = items  # behind the others
        return item
