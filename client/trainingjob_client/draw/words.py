"""Numbers, times and sizes in the few characters that a line has for them."""

from collections.abc import Sequence
from datetime import datetime


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago something was, as kubectl writes it: 41s, 5m12s, 3h20m, 2d4h, 40d. "" when nobody knows."""
    return "" if since is None else duration((now - since).total_seconds())


def duration(seconds: float) -> str:
    """Return a time span in at most two units."""
    left = max(0, round(seconds))
    if left < 120:
        return f"{left}s"
    minutes, left = divmod(left, 60)
    if minutes < 10:
        return f"{minutes}m{left}s" if left else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 3:
        return f"{hours * 60 + minutes}m"
    days, hours = divmod(hours, 24)
    if days == 0:
        return f"{hours}h{minutes}m" if minutes and hours < 8 else f"{hours}h"
    return f"{days}d{hours}h" if hours and days < 8 else f"{days}d"


def size(count: float) -> str:
    """Return bytes in binary units: 512Mi, 3.2Gi."""
    unit = ""
    for unit in ("", "Ki", "Mi", "Gi", "Ti", "Pi"):
        if abs(count) < 1000 or unit == "Pi":
            break
        count /= 1024
    return f"{count:.0f}{unit}" if count >= 10 or unit == "" else f"{count:.1f}{unit}"


def bar(percent: float, width: int, *, ascii_only: bool = False) -> str:
    """Return a progress bar of `width` characters; full only at 100 %."""
    share = min(max(percent, 0.0), 100.0) / 100
    full = int(share * width)
    done, left = ("#", ".") if ascii_only else ("█", "░")
    return done * full + left * (width - full)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with columns aligned as kubectl aligns them: three spaces between, the last one ragged."""
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    return [
        "   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def clean(text: str) -> str:
    """Return text without the control characters that could move a terminal's cursor or change its colours.

    Log lines and messages come from programs: what they print must not redraw the screen of who reads them.
    """
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in text)
