"""Where output goes: a terminal with its width and colours, or a file that gets neither."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.text import Text

#: Width of what is no terminal and says nothing (COLUMNS).
PLAIN_WIDTH = 100


class _Console(Console):
    """rich's own way to end when nobody reads any more is exit code 1; who pipes into `head` means no harm."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, see cli.main."""
        raise BrokenPipeError


@dataclass(frozen=True)
class Terminal:
    """A stream. `live` says whether it can be redrawn."""

    console: Console
    live: bool
    ascii_only: bool

    @classmethod
    def standard(cls, stream: TextIO | None = None) -> "Terminal":
        """Return standard output as it is. rich itself honours NO_COLOR, TERM=dumb and COLUMNS."""
        out = stream or sys.stdout
        columns = os.environ.get("COLUMNS", "")
        width = None if out.isatty() or columns.isdecimal() else PLAIN_WIDTH
        console = _Console(file=out, width=width, highlight=False, markup=False, emoji=False)
        live = console.is_terminal and not console.is_dumb_terminal
        return cls(console, live, not _speaks_unicode(out))

    @property
    def width(self) -> int:
        """Characters in a line."""
        return self.console.width

    @property
    def height(self) -> int:
        """Lines of the screen."""
        return self.console.height

    def write(self, lines: Sequence[Text]) -> None:
        """Print lines as they are: who reads a file or a pipe breaks lines himself."""
        for line in lines:
            self.console.print(line, soft_wrap=True)


def _speaks_unicode(out: TextIO) -> bool:
    try:
        "⣿┤█".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
