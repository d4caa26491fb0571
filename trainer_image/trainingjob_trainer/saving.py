"""When checkpoints are written: by the chief alone, every so many steps or seconds, at the end, when told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from trainingjob_trainer.document import Checkpoint
from trainingjob_trainer.errors import SpecError, one_line

State = Callable[[], tuple[dict[str, Any], dict[str, Any]]]


class Saving:
    """The job's checkpoints; does nothing without `spec.checkpoint`."""

    def __init__(self, rule: Checkpoint | None, *, is_chief: bool) -> None:
        self._rule, self._is_chief = rule, is_chief
        self._checkpoints: Any = None
        self._saved_step = 0
        self._saved_at = time.monotonic()
        if rule is not None:
            from trainingjob._checkpoint import Checkpoints

            self._checkpoints = Checkpoints(rule.path, rule.keep, is_chief=is_chief)

    @property
    def said(self) -> str:
        """Where training goes on, in words."""
        if self._rule is None:
            return "nothing is saved without spec.checkpoint"
        return f"saved in {self._rule.path}"

    def restore(self, variables: Mapping[str, Any], strategy: Any) -> dict[str, Any] | None:
        """Take the newest checkpoint's values; all members call it. Return its position, None when there is none."""
        if self._checkpoints is None:
            return None
        from trainingjob._checkpoint_restore import broadcast_restore

        try:
            position: dict[str, Any] | None = broadcast_restore(self._checkpoints, variables, strategy)
        except (ValueError, OSError) as error:
            raise SpecError("spec.checkpoint", one_line(error, 600)) from error
        self._saved_at = time.monotonic()
        if position is not None:
            self._saved_step = int(position["step"])
        return position

    def write_if_due(self, step: int, due: bool, state: State) -> None:
        """Write when `everySteps` says so, or the chief's clock does."""
        seconds = self._rule.every_seconds if self._rule else None
        if due or (seconds is not None and time.monotonic() - self._saved_at >= seconds):
            self.write(step, state)

    def write(self, step: int, state: State) -> None:
        """Write a checkpoint of `step`, unless there is one. Returns before it is on the disk."""
        if self._checkpoints is None or not self._is_chief or step == self._saved_step:
            return
        variables, position = state()
        self._checkpoints.write(step, variables, position)
        self._saved_step, self._saved_at = step, time.monotonic()

    def begin(self) -> None:
        """Take back what an earlier training said in the folder: it goes on."""
        if self._checkpoints is not None and self._is_chief:
            self._checkpoints.reopen()

    def wait(self) -> None:
        """Wait until the last one is on the disk."""
        if self._checkpoints is not None:
            self._checkpoints.wait()

    def complete(self, step: int) -> None:
        """Say in the folder that training has ended with `step`."""
        if self._checkpoints is not None:
            self._checkpoints.complete(step)
