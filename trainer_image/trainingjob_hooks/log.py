"""One clear line on stderr: what a hook has to say to the person who reads the log."""

from __future__ import annotations

import sys

_said: set[str] = set()


def say(text: str) -> None:
    """Write `trainingjob: text` as one line; the same text is written once per process."""
    if text in _said:
        return
    _said.add(text)
    print("trainingjob: " + " ".join(text.split()), file=sys.stderr, flush=True)
