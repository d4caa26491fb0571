"""`predict` on several members: each computes its shares, in the end all have all predictions.

What can't be put together from shares is computed in full by every member: with callbacks that look at the outputs of
a batch, outputs that are ragged, sparse or text, and under a strategy of the program's own, where TensorFlow lets a
program call `predict` on one member only.
"""

from __future__ import annotations

import functools
from typing import Any, List, Tuple

from trainingjob_hooks.keras3 import members, share, source, strategy
from trainingjob_hooks.keras3.iterator import whole_batches


def install(cls: Any) -> None:
    """Mend `predict`, `predict_on_batch` and the function that both run."""
    make = cls.make_predict_function
    predict = cls.predict
    predict_on_batch = cls.predict_on_batch

    @functools.wraps(make)
    def make_predict_function(self: Any, force: bool = False) -> Any:
        if not source.is_ours(self.distribute_strategy):
            return make(self, force)
        if self.predict_function is None or force:
            self.predict_function = _Function(self)
        return self.predict_function

    @functools.wraps(predict)
    def mended(
        self: Any, x: Any, batch_size: Any = None, verbose: Any = "auto", steps: Any = None, callbacks: Any = None
    ) -> Any:
        call = functools.partial(predict, self, x, batch_size, verbose, steps, callbacks)
        if not source.is_ours(self.distribute_strategy):
            return call()
        if self.distribute_strategy is strategy.supplied:
            self.make_predict_function()
            self.predict_function.parts = []
            if not _any(self, _looks_at_outputs(callbacks)):
                mine = call()
                parts = [(int(size), bool(even)) for size, even in self.predict_function.parts]
                if not _any(self, not _can_join(mine, parts, self)):
                    return _join(mine, parts, self)
        with whole_batches():
            return call()

    @functools.wraps(predict_on_batch)
    def mended_on_batch(self: Any, x: Any) -> Any:
        with whole_batches():
            return predict_on_batch(self, x)

    cls.make_predict_function = make_predict_function
    cls.predict = mended
    cls.predict_on_batch = mended_on_batch


class _Function:
    """A predict function in Keras's sense: takes a list of batches, returns the outputs, those of the share only."""

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        self._model = model
        self._strategy = model.distribute_strategy
        self._place = source.place_of(self._strategy)
        #: For each batch what `share.weigh` needs to know; empty when batches were whole.
        self.parts: List[Any] = []
        wrap = tf.autograph.experimental.do_not_convert
        self._run = wrap(self._step) if model.run_eagerly else tf.function(wrap(self._step), reduce_retracing=True)

    def __call__(self, data: List[Any]) -> Any:
        import tensorflow as tf
        from keras.src import tree

        outputs: List[Any] = []
        for batch in data:
            if isinstance(batch, source.Part):
                self.parts.append(batch.known)
                outputs.append(self._run(batch.part, batch.known))
            else:
                outputs.append(self._run(tf.nest.map_structure(_tensor, batch), None))
        return outputs[0] if len(outputs) == 1 else tree.map_structure(lambda *t: tf.concat(t, 0), *outputs)

    def _step(self, part: Any, known: Any) -> Any:
        import tensorflow as tf
        from keras.src import tree

        place = self._place
        several = place.last - place.first > 1

        def replica(part: Any) -> Any:
            if several and known is not None:
                number = share.replica_id()
                part = share.narrow(part, known, number, place.replicas, place.first)
            part = tf.nest.map_structure(lambda a: None if isinstance(a, tf.experimental.Optional) else a, part)
            return self._model.predict_step(part)

        outputs = self._strategy.run(replica, args=(part,))
        if not several:
            return outputs
        results = [self._strategy.experimental_local_results(leaf) for leaf in tf.nest.flatten(outputs)]
        if known is None:
            return tf.nest.pack_sequence_as(outputs, [leaf[0] for leaf in results])
        return tree.map_structure(lambda leaf: tf.concat(self._strategy.experimental_local_results(leaf), 0), outputs)


def _tensor(leaf: Any) -> Any:
    import tensorflow as tf

    return leaf if leaf is None or isinstance(leaf, tf.experimental.Optional) else tf.convert_to_tensor(leaf)


def _any(model: Any, flag: bool) -> bool:
    return bool(members.rows(model.distribute_strategy, [float(flag)]).any())


def _looks_at_outputs(callbacks: Any) -> bool:
    from keras.src import tree
    from keras.src.utils.python_utils import is_default

    found = getattr(callbacks, "callbacks", None) or (tree.flatten(callbacks) if callbacks else [])
    return any(not is_default(callback.on_predict_batch_end) for callback in found)


def _row_counts(place: source.Place, size: int, even: bool) -> List[Tuple[int, int]]:
    """Return (first row, rows) of the batch for what this member's replicas computed, one pair for each replica."""
    if not even:
        return [(0, size if place.first == 0 else 0)]
    found = []
    for replica in range(place.first, place.last):
        begin, end = share.bound(replica, place.replicas, size), share.bound(replica + 1, place.replicas, size)
        found.append((begin, end - begin))
    return found


def _can_join(mine: Any, parts: List[Tuple[int, bool]], model: Any) -> bool:
    import numpy as np
    from keras.src import tree

    place = source.place_of(model.distribute_strategy)
    rows = sum(
        size if not even else sum(max(n, 1) for _, n in _row_counts(place, size, even)) for size, even in parts
    )
    return all(
        isinstance(a, np.ndarray) and a.ndim > 0 and a.dtype.kind in "fiubV" and len(a) == rows
        for a in tree.flatten(mine)
    )


def _join(mine: Any, parts: List[Tuple[int, bool]], model: Any) -> Any:
    """Return all rows, from this member's rows and those of the others."""
    import numpy as np
    from keras.src import tree

    place = source.place_of(model.distribute_strategy)

    def spread(rows: Any) -> Any:
        everything = np.zeros((sum(size for size, _ in parts), *rows.shape[1:]), rows.dtype)
        read = start = 0
        for size, even in parts:
            for begin, count in _row_counts(place, size, even):
                everything[start + begin : start + begin + count] = rows[read : read + count]
                read += max(count, 1) if even else size
            start += size
        return everything

    leaves = members.total(model.distribute_strategy, [spread(rows) for rows in tree.flatten(mine)])
    return tree.pack_sequence_as(mine, leaves)
