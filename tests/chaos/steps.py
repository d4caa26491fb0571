"""What a job's program has written down: each finished step with its time and its generation."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One finished step. `at` is this machine's clock, `generation` is (chief's incarnation, number)."""

    at: float
    generation: tuple[int, int]
    number: int


class Steps:
    """The file `steps` of a job's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "steps"

    def all(self) -> list[Step]:
        """Return the steps so far, in the order they were written."""
        if not self._file.exists():
            return []
        lines = self._file.read_text().splitlines()
        return [_parse(line) for line in lines if line.count(" ") == 2]

    @property
    def newest(self) -> Step:
        """The step written last."""
        return self.all()[-1]

    def until(self, seconds: float, *, beyond: tuple[int, int] = (0, 0), number: int = 1) -> Step:
        """Wait for the first step of a later generation than `beyond`, with at least this number."""
        deadline = time.monotonic() + seconds
        while True:
            for step in self.all():
                if step.generation > beyond and step.number >= number:
                    return step
            assert time.monotonic() < deadline, (
                f"no step after generation {beyond} within {seconds:g} s: {self._tail()}"
            )
            time.sleep(0.05)

    def until_time(self, at: float, seconds: float) -> None:
        """Wait for a step that was finished at this time or later."""
        deadline = time.monotonic() + seconds
        while self.newest.at < at:
            assert time.monotonic() < deadline, f"training does not go on: {self._tail()}"
            time.sleep(0.05)

    def check_fenced(self) -> None:
        """Check that no generation has finished a step after a later one had begun."""
        generations = [step.generation for step in self.all()]
        assert generations == sorted(generations), f"an older generation went on: {self._tail()}"

    def _tail(self) -> str:
        return str([(step.generation, step.number) for step in self.all()[-5:]])


def _parse(line: str) -> Step:
    at, generation, number = line.split()
    incarnation, _, formed = generation.partition(".")
    return Step(float(at), (int(incarnation), int(formed)), int(number))
