"""A line plot in text: braille dots, 2 x 4 to a character, with the ends of both axes named.

Our own, because the libraries for it do not fit: plotext 6 and asciichartpy raise on an infinite value, which a loss
may well be. plotext brings a compiled kernel and another interface than its version 5; asciichartpy draws one value a
column, without an x axis.
"""

import math
from collections.abc import Iterable, Sequence

Points = Sequence[tuple[float, float]]

#: The bit of each dot in a braille character, by [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
#: A plot narrower than this, without its labels, shows no labels at all.
_MIN_CANVAS = 8


def plot(points: Points, width: int, height: int, unit: str = "", *, ascii_only: bool = False) -> list[str]:
    """Return a plot as at most `height` lines of at most `width` characters.

    Args:
        points: (x, y), x finite and rising. A y that is NaN or infinite is a gap.
        width: characters, at least 1.
        height: lines, at least 1. The last one names the ends of the x axis, when there is room.
        unit: what x counts, written behind its last value.
        ascii_only: no braille and no box lines, for terminals without UTF-8.

    Returns:
        Lines without a trailing space; none when no value is finite.
    """
    drawn = [(x, y) for x, y in points if math.isfinite(y)]
    if not drawn or width < 1 or height < 1:
        return []
    low, high = min(y for _, y in drawn), max(y for _, y in drawn)
    left = [number(high), number(low)] if high > low else [number(high)]
    margin = max(map(len, left)) + 2
    labels = width - margin >= _MIN_CANVAS and height >= 2
    columns, rows = (width - margin, height - 1) if labels else (width, height)
    canvas = _canvas(points, drawn, columns, rows)
    body = [_text(row, ascii_only=ascii_only) for row in canvas]
    if not labels:
        return [row.rstrip() for row in body]
    bar = "|" if ascii_only else "┤"
    # the label of a constant stands in its own line, which `_canvas` puts into the middle
    at = {rows - 1: left[-1], 0: left[0]} if high > low else {round((rows * 4 - 1) / 2) // 4: left[0]}
    lines = [f"{at.get(index, ''):>{margin - 2}} {bar}{row}".rstrip() for index, row in enumerate(body)]
    return [*lines, _x_axis(points[0][0], points[-1][0], unit, margin, columns)]


def number(value: float) -> str:
    """Return a number of a metric in few characters: 0.0481, 12.5, 1.2e-05, NaN."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:.4g}"


def _canvas(points: Points, drawn: Points, columns: int, rows: int) -> list[list[int]]:
    """Return the dots of each character: lines between neighbours, a dot for a value between two gaps."""
    wide, tall = columns * 2, rows * 4
    first, last = points[0][0], points[-1][0]
    low, high = min(y for _, y in drawn), max(y for _, y in drawn)

    def place(x: float, y: float) -> tuple[int, int]:
        # Halved before they are subtracted: the range of two large doubles may itself be infinite.
        across = (x / 2 - first / 2) / (last / 2 - first / 2) if last / 2 > first / 2 else 0.5
        up = (y / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
        return round(across * (wide - 1)), round((1 - up) * (tall - 1))

    cells = [[0] * columns for _ in range(rows)]
    before: tuple[int, int] | None = None
    for x, y in points:
        here = place(x, y) if math.isfinite(y) else None
        if here is not None:
            for column, row in _line(before or here, here):
                cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
        before = here
    return cells


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """Yield the dots of a line, both ends included."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        share = step / steps
        yield round(start[0] + (end[0] - start[0]) * share), round(start[1] + (end[1] - start[1]) * share)


def _text(row: Sequence[int], *, ascii_only: bool) -> str:
    if ascii_only:
        return "".join("*" if dots else " " for dots in row)
    return "".join(chr(_BRAILLE + dots) if dots else " " for dots in row)


def _x_axis(first: float, last: float, unit: str, margin: int, columns: int) -> str:
    begin, end = _whole(first), f"{_whole(last)} {unit}".rstrip()
    if last <= first:
        return (" " * margin + end[:columns].center(columns)).rstrip()
    room = columns - len(begin) - len(end)
    return (" " * margin + (begin + " " * room + end if room >= 1 else end[:columns].rjust(columns))).rstrip()


def _whole(x: float) -> str:
    return f"{x:.0f}" if abs(x) < 1e15 and x == int(x) else f"{x:.4g}"
