"""When the intake's authority is followed by the next one. Pure: a function of when they end and of the time.

A pod gets the authorities that it may trust when it is made, and then never again. So the next authority is made long
before the present one ends, and goes to new pods beside it; but the present one signs for as long as it can, for the
pods that know no other. Every replica comes to the same answer by itself, so nobody has to be told of the change.

    present  |------------------------------------------------------------|
    next                                        |---------------------------------------…
    trusted  present                            both                       next
    signs    present                                               next
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

#: The next authority is there so long before the present one ends: no pod is expected to run for longer.
OVERLAP = timedelta(days=365)
#: A serving certificate lives a week, and must not outlive who signed it.
LAST_SIGNATURE = timedelta(days=8)


def next_is_due(ends: Sequence[datetime], now: datetime) -> bool:
    """Whether one more authority must be made: none of these lasts for longer than the overlap."""
    return all(end - now <= OVERLAP for end in ends)


def signer(ends: Sequence[datetime], now: datetime) -> int:
    """Return which authority signs: of those that still may, the one that ends first, which most pods know.

    Raises:
        ValueError: there is none at all.
    """
    able = [end for end in ends if end - now > LAST_SIGNATURE]
    return ends.index(min(able) if able else max(ends))


def trusted(ends: Sequence[datetime], now: datetime) -> list[int]:
    """Return which authorities new pods get: all that are not over, for either may still sign on some replica."""
    return [number for number, end in enumerate(ends) if now < end]
