"""What members tell each other with every call: a few numbers that are summed with the losses.

So all of them stop and cut their calls at the same step, without a message of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Numbers in the vector.
SIZE = 2


@dataclass(frozen=True)
class Control:
    """`stop` counts the members that were asked to end; `steps_per_call` is the chief's wish for the next call."""

    stop: int = 0
    steps_per_call: int = 0

    def vector(self, *, is_chief: bool) -> list[float]:
        """This member's part of the sum."""
        return [float(self.stop), float(self.steps_per_call) if is_chief else 0.0]

    @classmethod
    def of(cls, vector: Sequence[float]) -> Control:
        """Read the summed vector."""
        return cls(*(int(value) for value in vector))
