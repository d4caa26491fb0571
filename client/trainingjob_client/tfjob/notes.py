"""What the conversion has to say about fields that are not in the TrainingJob as they were in the TFJob."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

MAX_VALUE = 60


class Level(Enum):
    """What a note means for the person who reads it."""

    TODO = "todo"
    """The job does not run, or not wholly, before a person has done something."""
    LOST = "lost"
    """Not in the TrainingJob."""
    CHANGED = "changed"
    """In the TrainingJob, but not as it was."""
    SAME = "same"
    """Not in the TrainingJob because it is so anyway. Nobody needs to read it."""


@dataclass(frozen=True)
class Note:
    """One field of the TFJob and what became of it."""

    level: Level
    field: str
    """Where in the TFJob, like `spec.runPolicy.backoffLimit`."""
    value: str
    """What is there, shortened; empty when nothing is."""
    advice: str
    """What became of it and what to do."""

    def __str__(self) -> str:
        return f"{self.field}: {self.value}: {self.advice}" if self.value else f"{self.field}: {self.advice}"


class Notes:
    """The notes of one conversion, in the order in which the fields were looked at."""

    def __init__(self) -> None:
        self._notes: dict[Note, None] = {}

    def add(self, level: Level, field: str, value: Any, advice: str) -> None:
        """Note what became of a field."""
        self._notes[Note(level, field, shorten(value), advice)] = None

    def all(self) -> tuple[Note, ...]:
        """Return the notes, what a person must do first."""
        order = list(Level)
        return tuple(sorted(self._notes, key=lambda note: order.index(note.level)))


def shorten(value: Any) -> str:
    """Return a value on one line of at most MAX_VALUE characters; None is nothing."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else value
    text = " ".join(text.split()) or '""'
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
