"""Reading an object so that no field is forgotten: who takes one says what becomes of it; the rest is told."""

from collections.abc import Mapping
from typing import Any

from trainingjob_client.tfjob.notes import Level, Notes


class Reader:
    """One object of the TFJob, field by field.

    null counts as absent, as it does for an API server. A value of another kind than the field's is noted and counts
    as absent too: nothing in here raises, whatever YAML it is given.
    """

    def __init__(self, value: Any, path: str, notes: Notes) -> None:
        self.path = path
        self.notes = notes
        self._left: dict[str, Any] = {}
        if isinstance(value, Mapping):
            self._left = {str(key): item for key, item in value.items() if item is not None}
        elif value is not None:
            notes.add(Level.LOST, path, value, "is no object, and is left out")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def at(self, key: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str) -> Any:
        """Return a field's value, or None; the caller answers for it from now on."""
        return self._left.pop(key, None)

    def text(self, key: str) -> str | None:
        """Return a text; an empty one is None, as Kubernetes takes it."""
        return self._take(key, str, "a text") or None

    def flag(self, key: str) -> bool | None:
        """Return true, false or None."""
        value: bool | None = self._take(key, bool, "true or false")
        return value

    def number(self, key: str) -> int | None:
        """Return a whole number, or None."""
        value = self._take(key, int, "a whole number")
        if isinstance(value, bool):
            self.note(Level.LOST, key, value, "is not a whole number, and is left out")
            return None
        return value if value is None else int(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an object without its nulls; empty when there is none."""
        value = self._take(key, Mapping, "an object")
        return {str(name): item for name, item in (value or {}).items() if item is not None}

    def items(self, key: str) -> list[Any]:
        """Return a list without its nulls; empty when there is none."""
        return [item for _, item in self.numbered(key)]

    def numbered(self, key: str) -> list[tuple[int, Any]]:
        """Return a list without its nulls, each item with its place in the list as it was given."""
        value = self._take(key, list, "a list")
        return [(index, item) for index, item in enumerate(value or ()) if item is not None]

    def child(self, key: str) -> "Reader":
        """Return the reader of an object within this one."""
        return Reader(self.take(key), self.at(key), self.notes)

    def rest(self) -> dict[str, Any]:
        """Return all fields that nobody took; the caller answers for them from now on."""
        rest, self._left = self._left, {}
        return rest

    def note(self, level: Level, key: str, value: Any, advice: str) -> None:
        """Note what became of a field of this object."""
        self.notes.add(level, self.at(key), value, advice)

    def lose_rest(self, advice: str = "a TrainingJob has no such field") -> None:
        """Note all fields that nobody took as lost."""
        for key, value in self.rest().items():
            self.note(Level.LOST, key, value, advice)

    def _take(self, key: str, kind: type[Any], called: str) -> Any:
        value = self.take(key)
        if value is None or isinstance(value, kind):
            return value
        self.note(Level.LOST, key, value, f"is not {called}, and is left out")
        return None
