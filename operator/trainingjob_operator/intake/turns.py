"""Whose turn it is, when more wait than can be served. Pure.

Namespaces take turns, however many items each of them has: otherwise a team with thirty jobs that change their state
twice a second would keep all others out.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items that wait, each of a namespace; those of one namespace in the order in which they came."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __iter__(self) -> Iterator[T]:
        for items in self._lines.values():
            yield from items

    def push(self, namespace: str, item: T) -> None:
        """Put an item behind those of its namespace."""
        self._lines.setdefault(namespace, deque()).append(item)

    def pop(self) -> T | None:
        """Return the item whose turn it is, None if there is none."""
        if not self._lines:
            return None
        namespace, items = self._lines.popitem(last=False)
        item = items.popleft()
        if items:
            self._lines[namespace] = items  # behind the others
        return item
