"""A batch is a function of the seed and the step: not of the gang's size, not of where training was resumed."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.data_files import collect, feed
from trainingjob_trainer.data import DataError, open_source, split
from trainingjob_trainer.data.source import Arrays

busy = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
AUGMENT = [{"flip": "both"}, {"crop": {"padding": 3}}, {"rotate": {"degrees": 30}}, {"brightness": {"delta": 0.3}}]
MNIST = {"builtin": {"name": "mnist"}}


def numbered(size: int) -> Arrays:
    """Examples that are their own numbers."""
    return Arrays("data", np.arange(size, dtype=np.int32)[:, None], np.arange(size, dtype=np.int64))


def real(batch: tuple[Any, ...]) -> list[int]:
    return [int(label) for label, mask in zip(batch[1], batch[2], strict=True) if mask]


@busy
@given(
    st.integers(1, 60), st.integers(1, 70), st.integers(1, 9), st.integers(0, 5), st.booleans(), st.integers(0, 2**31)
)
def test_each_epoch_has_every_example_once_over_all_parts(
    size: int, global_batch: int, parts: int, epoch: int, shuffle: bool, seed: int
) -> None:
    seen: Counter[int] = Counter()
    counted = 0.0
    for part in range(parts):
        own = feed(
            numbered(size), {"shuffle": shuffle}, global_batch=global_batch, parts=parts, first_part=part, seed=seed
        )
        assert own.steps_per_epoch == -(-size // global_batch)
        assert own.local_batch == -(-global_batch // parts)
        for step in range(epoch * own.steps_per_epoch, (epoch + 1) * own.steps_per_epoch):
            x, y, mask, weight, count = own.batch(tf.constant(step, tf.int64))
            assert x.shape == (own.local_batch, 1)
            assert set(y.numpy()) <= set(range(size))  # padding is some example, never made up
            assert (weight == mask).numpy().all()
            seen.update(real((x.numpy(), y.numpy(), mask.numpy())))
            counted += float(count) / parts
    assert seen == Counter(range(size))
    assert round(counted) == size


@busy
@given(st.integers(2, 80), st.integers(1, 40), st.integers(1, 6), st.data())
def test_members_with_several_parts_make_the_same_global_batch(
    size: int, global_batch: int, parts: int, data: st.DataObject
) -> None:
    cuts = sorted({0, parts, *data.draw(st.lists(st.integers(0, parts), max_size=4))})
    step = tf.constant(data.draw(st.integers(0, 200)), tf.int64)
    whole = feed(numbered(size), global_batch=global_batch).batch(step)
    joined: list[int] = []
    for first, end in itertools.pairwise(cuts):
        own = feed(numbered(size), global_batch=global_batch, parts=parts, first_part=first, local_parts=end - first)
        batch = own.batch(step)
        assert len(batch[1]) == own.local_batch
        assert float(batch[4]) == float(whole[4])
        joined += real(tuple(part.numpy() for part in batch))
    assert joined == real(tuple(part.numpy() for part in whole))


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("augment", [[], AUGMENT])
def test_global_batches_are_bit_for_bit_those_of_one_member(parts: int, augment: list[Any]) -> None:
    source = open_source(MNIST, seed=1)
    pipeline = {"augment": augment, "normalize": {"scale": 1 / 255, "mean": [0.13], "std": [0.31]}}
    # 8,000 examples, batches of 33: the last of the 243 of an epoch has 14
    alone = collect(feed(source, pipeline, global_batch=33), 240, 246)
    gang = [
        collect(feed(source, pipeline, global_batch=33, parts=parts, first_part=part), 240, 246)
        for part in range(parts)
    ]
    assert [int(batch[4]) for batch in alone] == [33, 33, 14, 33, 33, 33]
    for step, whole in enumerate(alone):
        for column in (0, 1, 3):
            joined = np.concatenate([member[step][column][member[step][2] > 0] for member in gang])
            assert joined.tobytes() == whole[column][whole[2] > 0].tobytes()


@pytest.mark.parametrize("augment", [[], AUGMENT])
def test_a_resumed_feed_goes_on_as_if_never_stopped(augment: list[Any]) -> None:
    source = open_source(MNIST, seed=1)
    unbroken = collect(feed(source, {"augment": augment}, global_batch=1000), 5, 12)
    resumed = collect(feed(source, {"augment": augment}, global_batch=1000), 9, 12)
    for before, after in zip(unbroken[4:], resumed, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def test_a_batch_in_the_graph_is_the_batch_of_the_dataset() -> None:
    own = feed(open_source(MNIST, seed=1), {"augment": AUGMENT}, global_batch=20)
    assert own.in_memory
    in_graph = tf.function(own.batch)
    for step, batch in enumerate(collect(own, 0, 3)):
        assert all(
            a.numpy().tobytes() == b.tobytes()
            for a, b in zip(in_graph(tf.constant(step, tf.int64)), batch, strict=True)
        )


def test_epochs_differ_in_order_and_seeds_too() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return real(collect(feed(numbered(100), global_batch=100, seed=seed), epoch, epoch + 1)[0])

    orders = [order(seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({tuple(one) for one in orders}) == 4
    assert order(1, 0) == orders[0]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize("size", [2_000, 60_000])
def test_shuffling_mixes_as_well_as_chance(size: int) -> None:
    """Neighbours part, and an epoch's order says nothing of the next one's. (4 rounds of the cipher fail here.)"""
    own = feed(numbered(size), global_batch=size, seed=3)
    orders = [real(collect(own, epoch, epoch + 1)[0]) for epoch in range(4)]
    limit = 5 / size**0.5  # five standard deviations of what chance gives
    for order in orders:
        assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < limit
        assert abs(np.corrcoef(order, np.arange(size))[0, 1]) < limit
    for one, other in itertools.pairwise(orders):
        assert abs(np.corrcoef(one, other)[0, 1]) < limit


def test_validation_keeps_the_order_and_changes_nothing() -> None:
    own = feed(open_source(MNIST, seed=0), {"augment": AUGMENT, "shuffle": True}, training=False, global_batch=100)
    (batch,) = collect(own, 0, 1)
    (again,) = collect(own, own.steps_per_epoch, own.steps_per_epoch + 1)
    assert batch[0].tobytes() == again[0].tobytes()
    stored, _, _ = open_source(MNIST, seed=0).gather(tf.range(100, dtype=tf.int64))
    assert (batch[0] == stored.numpy() * np.float32(1 / 255)).all()


@busy
@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_a_split_has_every_example_on_one_side(size: int, fraction: float, seed: int) -> None:
    if max(1, round(size * fraction)) >= size:
        with pytest.raises(DataError, match=r"^spec\.training\.validation\.split: "):
            split(numbered(size), fraction, seed)
        return
    train, held_out = split(numbered(size), fraction, seed)
    assert held_out.size == max(1, round(size * fraction))
    sides = [part.gather(tf.range(part.size, dtype=tf.int64))[1].numpy().tolist() for part in (train, held_out)]
    assert sorted(sides[0] + sides[1]) == list(range(size))
    again = split(numbered(size), fraction, seed)[1]
    assert again.gather(tf.range(again.size, dtype=tf.int64))[1].numpy().tolist() == sides[1]


def test_a_split_follows_from_the_seed_and_is_not_the_end_of_the_file() -> None:
    held_out = [
        frozenset(part.gather(tf.range(20, dtype=tf.int64))[1].numpy().tolist())
        for part in (split(numbered(100), 0.2, seed)[1] for seed in (1, 2, 3))
    ]
    assert len(set(held_out)) == 3
    assert frozenset(range(80, 100)) not in held_out


@pytest.mark.parametrize(("parts", "first", "local"), [(2, 2, 1), (2, 1, 2), (1, -1, 1), (0, 0, 0)])
def test_a_member_outside_of_the_gang_is_refused(parts: int, first: int, local: int) -> None:
    with pytest.raises(ValueError):
        feed(numbered(10), parts=parts, first_part=first, local_parts=local)
