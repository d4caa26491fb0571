"""Keras's train and test functions on several replicas: each steps on its share of the batch.

Replaces `_make_function` of Keras's TensorFlow trainer where the strategy is a MultiWorkerMirroredStrategy of several
replicas. One collective a step, that of the gradients; logs see logs.py.

Calling TensorFlow costs as much as a small step. So where no callback looks at single batches, steps are only counted
until there are `logs.INTERVAL` of them, and run in one call, together with their logs. Until then the weights are
those of some steps ago; `flush` runs what is left, for whoever needs the weights of just now.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Callable, Dict, Tuple

from trainingjob_hooks.keras3 import logs, share, source, strategy
from trainingjob_hooks.keras3.iterator import Batches
from trainingjob_hooks.log import say

_running: weakref.WeakKeyDictionary[Any, Function] = weakref.WeakKeyDictionary()


def flush(model: Any) -> None:
    """Run the steps of `model` that were counted but not run. Every member must call it at the same step."""
    function = _running.get(model)
    if function is not None:
        function.flush()


def waiting(model: Any) -> int:
    """Return how many steps of `model` were counted but not run."""
    function = _running.get(model)
    return 0 if function is None else function.waiting


class Function:
    """What `make_train_function` and `make_test_function` keep: called with an iterator, it returns logs."""

    def __init__(self, model: Any, step_function: Callable[[Any], Any], is_watched: Callable[[], bool]) -> None:
        """`is_watched` says whether a callback of any member looks at single batches."""
        self._model = model
        self._is_watched = is_watched
        self._logs = logs.Logs(model)
        self._steps = _Steps(model, step_function, self._logs.collect)
        self.waiting = 0  # steps that were counted but not run
        self._batches: Any = None

    def __call__(self, iterator: Any) -> Any:
        _running[self._model] = self
        if not isinstance(iterator, Batches):
            return self._logs.after_step(*self._steps.on_batch(next(iterator)), every=True)
        is_watched, steps = self._is_watched(), self._steps
        size = self._model.steps_per_execution
        if size == 1 and steps.has_one_replica and not iterator.is_distributed:
            if is_watched or self._logs.shown is None:
                self._logs.show(*steps.with_logs(iterator))
                return self._logs.shown
            if iterator.left is not None and steps.can_repeat(iterator):
                return self._count(iterator)
        return self._run(iterator, size, every=is_watched)

    def _run(self, batches: Batches, size: int, *, every: bool) -> Any:
        import tensorflow as tf

        outputs = None
        for _ in range(size):
            try:
                outputs = self._steps.on_batches(batches)
            except (StopIteration, tf.errors.OutOfRangeError):
                if outputs is None:
                    raise
                break
        assert outputs is not None
        return self._logs.after_step(*outputs, every=every)

    def _count(self, batches: Batches) -> Any:
        batches.take()
        self._batches = batches
        self.waiting += 1
        if self.waiting >= logs.INTERVAL or batches.left == 0:
            self.flush()
        return self._logs.shown

    def flush(self) -> None:
        """Run the steps that wait."""
        if self.waiting:
            count, self.waiting = self.waiting, 0
            self._logs.show(*self._steps.many(self._batches, count))

    def final(self) -> Any:
        """Return the logs after the last step, None when there was none; metrics then hold the gang's state."""
        self.flush()
        self._batches = None
        return self._logs.final()


def finish(model: Any) -> Any:
    """Return the final logs of the function that `model` has run last, None when it has run none."""
    function = _running.pop(model, None)
    return None if function is None else function.final()


class _Steps:
    """One step of all local replicas, from an iterator or on one batch; both return (outputs, weights)."""

    def __init__(self, model: Any, step_function: Callable[[Any], Any], collect: Callable[..., Any]) -> None:
        import tensorflow as tf

        self._model = model
        self._strategy = model.distribute_strategy
        self._place = source.place_of(self._strategy)
        self._averages = self._strategy is strategy.supplied
        self._step_function = step_function
        self._collect = collect
        wrap = tf.autograph.experimental.do_not_convert
        if not model.run_eagerly:
            if model.jit_compile:
                say("jit_compile is left out: collectives between members can't be compiled by XLA")
            wrap = _function
        self._from_shares = wrap(lambda iterator: self._run(*iterator.get_next(), may_starve=False))
        self._from_starving = wrap(lambda iterator: self._run(*iterator.get_next(), may_starve=True))
        self._from_distributed = wrap(lambda iterator: self._run(iterator.get_next(), None, may_starve=False))
        self._from_batch = wrap(self._divide_and_run)
        both = (self._from_shares, self._from_starving)
        self._with_logs = {one: _function(self._and_collect(one)) for one in both}
        self._many = {one: _function(self._repeat(one)) for one in both}
        self._can_repeat: Dict[Any, bool] = {}

    @property
    def has_one_replica(self) -> bool:
        """Whether `with_logs` and `many` work: threads of several local replicas can't share their collectives."""
        return self._place.last - self._place.first == 1 and not self._model.run_eagerly

    def can_repeat(self, batches: Batches) -> bool:
        """Whether `many` works: within one call of TensorFlow a collective can't change its shape.

        Gathers do, as those of an embedding's gradient. `with_logs` must have run, so that the step is known.
        """
        one = self._one(batches)
        if one not in self._can_repeat:
            traced = self._with_logs[one].get_concrete_function(batches.iterator).graph.as_graph_def()
            nodes = itertools.chain(traced.node, *(function.node_def for function in traced.library.function))
            self._can_repeat[one] = not any(node.op.startswith("CollectiveGather") for node in nodes)
        return self._can_repeat[one]

    def on_batches(self, batches: Batches) -> Any:
        """Run one step on the next batch."""
        batches.take()
        if batches.is_distributed:
            return self._from_distributed(batches.iterator)
        return self._one(batches)(batches.iterator)

    def with_logs(self, batches: Batches) -> Any:
        """Run one step on the next batch; return (logs, metric states) after it, in one call of TensorFlow."""
        batches.take()
        return self._with_logs[self._one(batches)](batches.iterator)

    def many(self, batches: Batches, count: int) -> Any:
        """Run `count` steps, whose batches are taken already; return (logs, metric states) after them."""
        import tensorflow as tf

        return self._many[self._one(batches)](batches.iterator, tf.constant(count))

    def on_batch(self, batch: Any) -> Any:
        """Run one step on a whole batch of arrays: train_on_batch, test_on_batch."""
        import tensorflow as tf

        return self._from_batch(
            tf.nest.map_structure(lambda a: None if a is None else tf.convert_to_tensor(a), batch)
        )

    def _one(self, batches: Batches) -> Any:
        return self._from_starving if batches.may_starve else self._from_shares

    def _and_collect(self, one: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda iterator: self._collect(*one(iterator))

    def _repeat(self, one: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        import tensorflow as tf

        def many(iterator: Any, count: Any) -> Any:
            first = one(iterator)
            flat = tf.nest.flatten(first, expand_composites=True)

            def again(k: Any, *_: Any) -> Any:
                return k + 1, *tf.nest.flatten(one(iterator), expand_composites=True)

            shapes = [tf.TensorShape([]), *(tf.TensorShape([None] * leaf.shape.rank) for leaf in flat)]
            _, *flat = tf.while_loop(lambda k, *_: k < count, again, [1, *flat], shape_invariants=shapes)
            return self._collect(*tf.nest.pack_sequence_as(first, flat, expand_composites=True))

        return many

    def _divide_and_run(self, batch: Any) -> Any:
        place = self._place
        part, known = share.divide(batch, place.replicas, place.first, place.last)
        return self._run(part, known, may_starve=True)

    def _run(self, part: Any, known: Any, *, may_starve: bool) -> Any:
        def replica(part: Any, known: Any) -> Tuple[Any, Any]:
            return self._on_replica(part, known, may_starve)

        return self._strategy.run(replica, args=(part, known))

    def _on_replica(self, part: Any, known: Any, may_starve: bool) -> Tuple[Any, Any]:
        import tensorflow as tf

        place = self._place
        if known is None:
            weight = tf.constant(1 / place.replicas, tf.float32)
        else:
            replica = share.replica_id()
            weight = share.weigh(known, replica, place.replicas)
            if place.last - place.first > 1:
                part = share.narrow(part, known, replica, place.replicas, place.first)
        part = tf.nest.map_structure(lambda leaf: None if isinstance(leaf, tf.experimental.Optional) else leaf, part)
        variables = logs.metric_variables(self._model) if may_starve else []
        before = [tf.identity(v.value) for v in variables]
        with share.running(share.Share(weight, self._averages)):
            outputs = self._step_function(part)
        for variable, value in zip(variables, before):
            # What a share without examples did to the metrics did not happen.
            variable.value.assign(tf.where(weight > 0, tf.convert_to_tensor(variable.value), value))
        return tf.nest.map_structure(_as_tensor, outputs), weight


def _as_tensor(output: Any) -> Any:
    import tensorflow as tf

    return tf.convert_to_tensor(output) if isinstance(output, (int, float)) else output


def _function(step: Callable[..., Any]) -> Any:
    import tensorflow as tf

    return tf.function(tf.autograph.experimental.do_not_convert(step), reduce_retracing=True)
