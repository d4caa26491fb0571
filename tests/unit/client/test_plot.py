"""The renderer of plots: any series, any size."""

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trainingjob_client.draw.plot import plot

NAN, INF = math.nan, math.inf
BLANK = "⠀"

values = st.floats(allow_nan=True, allow_infinity=True)
steps = st.lists(st.integers(0, 10**9), max_size=60, unique=True).map(sorted)


@st.composite
def series(draw: st.DrawFn) -> list[tuple[float, float]]:
    return [(float(x), draw(values)) for x in draw(steps)]


def dots(lines: list[str]) -> int:
    """Count the dots of all braille characters."""
    return sum((ord(c) - 0x2800).bit_count() for line in lines for c in line if 0x2800 <= ord(c) < 0x2900)


@given(series(), st.integers(-1, 130), st.integers(-1, 30), st.booleans())
@example([(0.0, 1.7e308), (1.0, -1.7e308)], 60, 6, False)
@example([(0.0, 5e-324), (1.0, 0.0)], 60, 6, False)
def test_it_fits_whatever_is_drawn(points: list[tuple[float, float]], width: int, height: int, plain: bool) -> None:
    lines = plot(points, width, height, "steps", ascii_only=plain)
    assert len(lines) <= max(height, 0)
    assert all(len(line) <= width for line in lines)
    assert all(line == line.rstrip() for line in lines)
    drawable = width >= 1 and height >= 1 and any(math.isfinite(y) for _, y in points)
    assert bool(lines) == drawable
    if plain:
        assert all(line.isascii() for line in lines)
    if lines:
        assert dots(lines) > 0 or (plain and any("*" in line for line in lines))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.integers(30, 120), st.integers(3, 20))
def test_the_highest_value_reaches_the_top_and_the_lowest_the_bottom(
    ys: list[float], width: int, height: int
) -> None:
    assume(max(ys) - min(ys) > 1e-3)
    lines = plot(list(enumerate(ys)), width, height)
    body = lines[:-1]
    assert len(body) == height - 1
    assert dots([body[0]]) > 0
    assert dots([body[-1]]) > 0


@given(st.integers(2, 40), st.integers(20, 90))
def test_a_rising_line_never_falls(count: int, width: int) -> None:
    lines = plot([(float(x), float(x)) for x in range(count)], width, 9)[:-1]
    leftmost = [min((at for at, c in enumerate(line) if dots([c])), default=None) for line in lines]
    seen = [at for at in leftmost if at is not None]
    assert seen == sorted(seen, reverse=True)


def test_without_a_finite_value_there_is_nothing() -> None:
    assert plot([], 60, 6) == []
    assert plot([(0, NAN), (1, INF)], 60, 6) == []


def test_one_value_is_one_dot_with_its_step() -> None:
    lines = plot([(7, 0.25)], 40, 4, "steps")
    assert dots(lines) == 1
    assert any(line.startswith("0.25 ┤") for line in lines)
    assert lines[-1].strip() == "7 steps"


@pytest.mark.parametrize("height", range(2, 12))
def test_a_constant_stands_beside_its_only_label(height: int) -> None:
    lines = plot([(0, 3.0), (1, 3.0), (2, 3.0)], 40, height)
    (drawn,) = [line for line in lines if dots([line])]
    assert drawn.startswith("3 ┤")
    assert sum("3 ┤" in line for line in lines) == 1


@pytest.mark.parametrize("missing", [NAN, INF, -INF])
def test_a_value_that_is_none_leaves_a_gap_and_keeps_its_place(missing: float) -> None:
    (body, axis) = plot([(0, 1.0), (1, 1.0), (2, missing), (3, 1.0), (4, 1.0)], 43, 2)
    drawn = body.split("┤")[1]
    assert drawn[0] != " "
    assert drawn[len(drawn) // 2] == " "
    assert drawn[-1] != " "
    assert axis.split() == ["0", "4"]


def test_gaps_at_the_ends_belong_to_the_axis() -> None:
    lines = plot([(0, NAN), (50, 1.0), (100, INF)], 60, 5, "steps")
    assert lines[-1].split() == ["0", "100", "steps"]


def test_axes_name_their_ends() -> None:
    lines = plot([(5, 2.5), (100, 0.5)], 60, 6, "steps")
    assert lines[0].startswith("2.5 ┤")
    assert lines[-2].startswith("0.5 ┤")
    assert lines[-1].split() == ["5", "100", "steps"]


@pytest.mark.parametrize("width", range(1, 11))
def test_a_narrow_plot_goes_without_labels(width: int) -> None:
    lines = plot([(0, 1.0), (1, 2.0)], width, 4)
    assert dots(lines) > 0
    assert not any("┤" in line for line in lines)


def test_without_unicode_it_is_ascii() -> None:
    lines = plot([(0, 1.0), (1, 2.0)], 40, 4, ascii_only=True)
    assert any("*" in line for line in lines)
    assert all(line.isascii() for line in lines)
