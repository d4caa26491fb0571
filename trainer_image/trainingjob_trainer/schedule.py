"""How training is cut into calls of k steps. Pure: from the same position every member gets the same calls."""

from __future__ import annotations

from dataclasses import dataclass

#: A call shall take about so long: long enough to cost nothing, short enough to stop and report.
CALL_SECONDS = 0.35
MAX_STEPS_PER_CALL = 10_000
#: One call is at most so many times as long as the one before it: a first step that traced says little of the next.
GROWTH = 4


@dataclass(frozen=True)
class Plan:
    """The steps of one training: where epochs end, what is due after which step."""

    total_steps: int
    steps_per_epoch: int
    validate: bool = False
    validate_every: int | None = None
    checkpoint_every: int | None = None

    @property
    def epochs(self) -> int:
        """Epochs that training takes, the last one perhaps in part."""
        return -(-self.total_steps // self.steps_per_epoch)

    def epoch_of(self, step: int) -> int:
        """The epoch, from 1 on, that step `step` (from 1 on) belongs to; of 0 the first one."""
        return max(1, -(-step // self.steps_per_epoch))

    def epoch_ends(self, step: int) -> bool:
        """Whether an epoch is over after `step`; a last one that is not whole ends with the training."""
        return step > 0 and (step % self.steps_per_epoch == 0 or step == self.total_steps)

    def validation_due(self, step: int) -> bool:
        """Whether the model is validated after `step`: at each epoch's end, or every so many steps and at the end."""
        if not self.validate or step == 0:
            return False
        if self.validate_every is None:
            return self.epoch_ends(step)
        return step % self.validate_every == 0 or step == self.total_steps

    def checkpoint_due(self, step: int) -> bool:
        """Whether `everySteps` asks for a checkpoint after `step`."""
        return self.checkpoint_every is not None and step > 0 and step % self.checkpoint_every == 0

    def next_call(self, step: int, wished: int) -> int:
        """Steps of the next call from `step` on: those wished, up to the next one after which something is due."""
        stops = [self.total_steps, _next(step, self.steps_per_epoch)]
        if self.validate and self.validate_every is not None:
            stops.append(_next(step, self.validate_every))
        if self.checkpoint_every is not None:
            stops.append(_next(step, self.checkpoint_every))
        return max(1, min([wished, *(stop - step for stop in stops)]))


def steps_per_call(steps: int, seconds: float) -> int:
    """Return how many steps a call should have when one of `steps` took `seconds`."""
    fitting = CALL_SECONDS * steps / max(seconds, 1e-6)
    return int(max(1, min(fitting, steps * GROWTH, MAX_STEPS_PER_CALL)))


def _next(step: int, interval: int) -> int:
    return (step // interval + 1) * interval
