"""When a save is due, so that all members of a gang come to it at the same step.

By steps everybody counts alike. By seconds the chief's clock decides, and the members ask it together, which costs a
collective of two numbers: not at each step, but at a step that they agreed upon the last time, half of the remaining
time away.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from trainingjob._checkpoint_job import Schedule
from trainingjob._checkpoint_restore import members, sum_over_members

LONGEST = 100_000


class Agreed:
    """A `Schedule` of all members."""

    def __init__(self, settings: Mapping[str, Any], is_chief: bool, clock: Optional[Any] = None) -> None:
        self._schedule = Schedule(settings, clock) if clock is not None else Schedule(settings)
        self._is_chief = is_chief
        self._strategy: Any = None
        self._next = 0
        self._asked = 0
        self._asked_at = 0.0

    def start(self, step: int, strategy: Any) -> None:
        """Count from `step` and from now on."""
        self._strategy = strategy
        self._schedule.start(step)
        self._asked, self._asked_at, self._next = step, self._schedule.elapsed(), step + 1

    def is_due(self, step: int) -> bool:
        """Whether to save now, before the next step; the same on all members."""
        if self._schedule.every_steps or members(self._strategy) == 1:
            return self._schedule.is_due(step)
        if step < self._next:
            return False
        return self._ask(step)

    def saved(self, step: int) -> None:
        """Say that `step` was saved."""
        self._schedule.start(step)
        self._asked_at = 0.0

    def _ask(self, step: int) -> bool:
        import numpy

        is_due, ahead = False, 0
        if self._is_chief:
            elapsed = self._schedule.elapsed()
            seconds = self._schedule.every_seconds or 0.0
            is_due = elapsed >= seconds
            one_step = max(1e-6, (elapsed - self._asked_at) / max(1, step - self._asked))
            left = seconds if is_due else seconds - elapsed
            ahead = max(1, min(LONGEST, int(left / one_step / 2)))
            self._asked_at = elapsed
        answer = sum_over_members(self._strategy, numpy.array([is_due, ahead], numpy.int64))
        self._asked, self._next = step, step + int(answer[1])
        return bool(answer[0])
