"""The launcher's own lines, to stderr, told apart from the trainer's by a prefix. Never a key, never a token."""

from __future__ import annotations

import contextlib
import os

PREFIX = "trainingjob: "


def say(text: str) -> None:
    """Write one line for the person who reads the logs. In one write, so that no other line gets into it."""
    with contextlib.suppress(OSError):
        os.write(2, f"{PREFIX}{text}\n".encode("utf-8", "replace"))
