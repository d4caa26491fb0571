"""The part of a global batch that one replica computes, and what it weighs.

A batch of `size` examples on `replicas` replicas: replica r takes the examples from `bound(r)` to `bound(r + 1)`,
contiguous and as even as can be. Its weight is its fraction of the batch; the weights of all add up to 1. A replica
without an example (fewer examples than replicas) computes one with weight 0: no replica ever sees an empty batch,
none is missing in a collective.

A batch whose arrays differ in their first dimension can't be divided: everyone computes it all, replica 0 counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import Any, Iterator, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class Share:
    """What the running replica has. `weight` is a scalar tensor, float32.

    `averages`: the program knows nothing of replicas, so its gradients are averaged with the weights. Otherwise, in a
    strategy of the program's own, losses are scaled with them and gradients are summed, as TensorFlow documents it.
    """

    weight: Any
    averages: bool


_running = threading.local()


def current() -> Optional[Share]:
    """Return the share of the replica that runs in this thread, None outside of our train and test steps."""
    return getattr(_running, "share", None)


@contextlib.contextmanager
def running(share: Share) -> Iterator[None]:
    """Make `share` the current one of this thread."""
    _running.share = share
    try:
        yield
    finally:
        _running.share = None


def replica_id() -> int:
    """Return the number of the running replica among those of all members."""
    import tensorflow as tf

    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))


def bound(replica: Any, replicas: int, size: Any) -> Any:
    """Return where the part of `replica` begins in a batch of `size` examples; ints or int64 tensors."""
    return replica * size // replicas


def divide(batch: Any, replicas: int, first: int, last: int) -> Tuple[Any, Any]:
    """Return the part of the replicas `first` to `last` - 1, and what `weigh` needs to know of the whole.

    `batch` is a structure of tensors (dense, ragged or sparse); scalars and optionals are handed on.
    """
    import tensorflow as tf

    sizes = [_size(tf, leaf) for leaf in tf.nest.flatten(batch) if _is_divisible(tf, leaf)]
    size: Any = sizes[0]
    even: Any = True
    for other in sizes[1:]:
        if not (isinstance(size, int) and isinstance(other, int)):
            even = tf.logical_and(even, tf.equal(tf.cast(size, tf.int64), tf.cast(other, tf.int64)))
        elif size != other:
            even = False
    begin, end = bound(first, replicas, size), bound(last, replicas, size)
    if isinstance(size, int):
        begin, end = (begin, end) if end > begin else (max(begin - 1, 0), max(begin, min(size, 1)))
    else:
        empty = tf.equal(begin, end)
        begin, end = (
            tf.where(empty, tf.maximum(begin - 1, 0), begin),
            tf.where(empty, tf.maximum(begin, tf.minimum(size, 1)), end),
        )

    def cut(leaf: Any) -> Any:
        if not _is_divisible(tf, leaf):
            return leaf
        if even is True:
            return _slice(tf, leaf, begin, end)
        if even is False:
            return leaf
        return _slice(tf, leaf, tf.where(even, begin, 0), tf.where(even, end, _size(tf, leaf)))

    known = tf.stack([tf.cast(size, tf.int64), tf.cast(even, tf.int64)])
    return tf.nest.map_structure(cut, batch), known


def narrow(part: Any, known: Any, replica: int, replicas: int, first: int) -> Any:
    """Return the part of one replica from `part`, that of a member whose replicas begin with `first`."""
    import tensorflow as tf

    size, even = known[0], tf.cast(known[1], tf.bool)
    start = bound(first, replicas, size)
    begin, end = bound(replica, replicas, size) - start, bound(replica + 1, replicas, size) - start

    def cut(leaf: Any) -> Any:
        if not _is_divisible(tf, leaf):
            return leaf
        last = tf.maximum(tf.cast(_size(tf, leaf), tf.int64) - 1, 0)
        here = tf.minimum(begin, last)
        there = tf.where(even, tf.maximum(end, here + 1), last + 1)
        return _slice(tf, leaf, tf.where(even, here, 0), there)

    return tf.nest.map_structure(cut, part)


def weigh(known: Any, replica: Any, replicas: int) -> Any:
    """Return the weight of `replica`, a float32 scalar, from what `divide` said of the batch."""
    import tensorflow as tf

    size, even = known[0], tf.cast(known[1], tf.bool)
    mine = bound(replica + 1, replicas, size) - bound(replica, replicas, size)
    return tf.where(even, tf.cast(mine / tf.maximum(size, 1), tf.float32), tf.cast(tf.equal(replica, 0), tf.float32))


def _is_divisible(tf: Any, leaf: Any) -> bool:
    if isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor)):
        return True
    return isinstance(leaf, tf.Tensor) and (leaf.shape.rank is None or leaf.shape.rank > 0)


def _size(tf: Any, leaf: Any) -> Any:
    if isinstance(leaf, tf.RaggedTensor):
        return tf.cast(leaf.nrows(), tf.int64)
    if isinstance(leaf, tf.SparseTensor):
        return leaf.dense_shape[0]
    if leaf.shape.rank is not None and leaf.shape[0] is not None:
        return int(leaf.shape[0])
    return tf.shape(leaf, tf.int64)[0]


def _slice(tf: Any, leaf: Any, begin: Any, end: Any) -> Any:
    if isinstance(leaf, tf.SparseTensor):
        start = tf.concat([[begin], tf.zeros_like(leaf.dense_shape[1:])], 0)
        size = tf.concat([[end - begin], leaf.dense_shape[1:]], 0)
        return tf.sparse.slice(leaf, start, size)
    return leaf[begin:end]
