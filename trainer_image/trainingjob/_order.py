"""The order of an epoch as a pure function of (seed, epoch): any part of it can be had at once, on any member."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Of the cipher that permutes. From 8 on, orders of up to 2,000,000 examples look like numpy's; 0.3 µs an example.
ROUNDS = 12


def permuted(positions: Any, seed: Any, epoch: Any, size: Any) -> Any:
    """Return where these positions (int64, 0 … size - 1) go in the permutation of one epoch. TensorFlow operations.

    `tf.random.experimental.index_shuffle` is this with 4 rounds and the seed as it is: the orders of two epochs of
    60,000 examples then correlate by 0.87 (chance: 0.004), and neighbours stay near each other.
    """
    import tensorflow as tf

    if isinstance(size, int) and size == 1:
        return positions
    seeds = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    mixed = tf.random.stateless_uniform([3], seeds, minval=None, maxval=None, dtype=tf.int64, alg="philox")
    last = tf.cast(size, tf.int64) - 1
    return tf.raw_ops.RandomIndexShuffle(index=positions, seed=mixed, max_index=last, rounds=ROUNDS)
