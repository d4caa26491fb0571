"""Shares of a batch, and where a resumed fit enters its input: numbers only, no TensorFlow."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_hooks.keras3 import position, share, versions


@given(size=st.integers(0, 300), replicas=st.integers(1, 40))
def test_shares_are_contiguous_even_and_complete(size: int, replicas: int) -> None:
    bounds = [share.bound(replica, replicas, size) for replica in range(replicas + 1)]
    assert (bounds[0], bounds[-1]) == (0, size)
    sizes = [end - begin for begin, end in pairwise(bounds)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("epochs", "batch", "batches", "steps", "expected"),
    [
        (0, 0, 6, None, (0, 0)),
        (2, 3, 6, None, (2, 3)),
        (2, 3, None, None, (2, 3)),
        (3, 1, None, 4, (0, 13)),  # one endless pass
        (1, 2, 6, 4, (0, 6)),  # the second epoch goes on where the first has ended
        (2, 1, 6, 4, (1, 1)),  # and ends early, with the pass
        (2, 0, 6, 3, (1, 0)),
        (5, 0, 6, 9, (5, 0)),  # more steps asked for than there are
    ],
)
def test_where_an_interrupted_epoch_lies_in_the_input(
    epochs: int, batch: int, batches: int | None, steps: int | None, expected: tuple[int, int]
) -> None:
    assert position.locate(epochs, batch, batches, steps) == expected


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 12))
def test_locate_agrees_with_counting(epochs: int, batches: int, steps: int) -> None:
    passes = used = 0
    for _ in range(epochs):
        for _ in range(steps):
            if used == batches:
                break
            used += 1
        if used == batches:
            passes, used = passes + 1, 0
    assert position.locate(epochs, 0, batches, steps) == (passes, used)


@pytest.mark.parametrize(
    ("version", "tested"),
    [("3.15.1", True), ("3.15.0", True), ("3.14.1", False), ("3.9.2", False), ("3.16.0", False), ("4.0", False)],
)
def test_versions(version: str, tested: bool) -> None:
    assert versions.is_tested(version) is tested


def test_the_refusal_names_the_version_the_tested_ones_and_what_to_do() -> None:
    text = versions.refusal("3.99.0", 3)
    for part in ("3.99.0", "3.15", "3 members", "pip install", "patchFit: false", "TF_USE_LEGACY_KERAS"):
        assert part in text
