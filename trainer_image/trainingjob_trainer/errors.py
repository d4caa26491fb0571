"""What a user can mend: one readable line that names the field, its value and the remedy."""

from __future__ import annotations

from typing import Any

MAX_REASON = 300


class SpecError(ValueError):
    """Something in the job's spec cannot be trained. `str()` is the one line that the user reads."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ProgramError(Exception):
    """The user's own code (a builder) raised: the line names it, its traceback is shown as well."""


def one_line(text: Any, limit: int = MAX_REASON) -> str:
    """Return the text on one line and not longer than `limit`: Keras's and TensorFlow's errors can hold a batch."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def nearest(name: str, known: Any) -> str:
    """Return ` Did you mean X?` for the known name that is most like `name`, or an empty string."""
    import difflib

    by_folded = {item.lower().replace("_", ""): item for item in known}
    found = difflib.get_close_matches(name.lower().replace("_", ""), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[found[0]]}?" if found else ""
