"""The last lines of the trainer's output."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.output import Tail


def fed(*chunks: bytes) -> tuple[str, ...]:
    tail = Tail()
    for chunk in chunks:
        tail.feed(1, chunk)
    return tail.lines()


def test_lines_are_put_together_from_any_pieces() -> None:
    assert fed(b"one\ntw", b"o\n", b"\nfour\n") == ("one", "two", "", "four")


def test_a_line_without_an_end_counts() -> None:
    assert fed(b"one\nlast words") == ("one", "last words")


def test_only_the_last_50_are_kept_and_long_ones_are_cut() -> None:
    lines = fed(*(f"{number}\n".encode() for number in range(80)))
    assert lines == tuple(str(number) for number in range(30, 80))
    assert fed(b"x" * 100_000 + b"\nend\n") == ("x" * 500, "end")


def test_a_progress_bar_shows_what_one_would_see() -> None:
    assert fed(b"1/3\r2/3\r", b"3/3\r\nwindows\r\n") == ("3/3", "windows")
    assert fed(*(f"step {number}\r".encode() for number in range(10_000)))[-1] == "step 9999"


def test_streams_do_not_mix_within_a_line() -> None:
    tail = Tail()
    tail.feed(1, b"out")
    tail.feed(2, b"err\n")
    tail.feed(1, b"put\n")
    assert tail.lines() == ("err", "output")


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_where_the_pieces_are_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert fed(*pieces) == fed(data)
