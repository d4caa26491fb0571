"""The compiled steps: k of them in one call, one collective each, and one more for everything that is reported.

A call returns one float64 vector that is the same on all members:

    [metric sums …, loss times examples, examples, *control]

`control` is what members tell each other (control.py), summed like the rest.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from trainingjob_trainer.batches import Batches
from trainingjob_trainer.cluster import Cluster
from trainingjob_trainer.forward import Forward, is_averaged
from trainingjob_trainer.losses import PerExample
from trainingjob_trainer.metrics import MetricSet

#: Members leave so long after their last sum, so that the slowest need not log that somebody has gone.
LINGER_SECONDS = 0.1


class Steps:
    """Training and evaluation of one model under one strategy."""

    def __init__(
        self,
        cluster: Cluster,
        model: Any,
        optimizer: Any,
        loss: PerExample,
        metrics: MetricSet,
        accumulation: int = 1,
    ) -> None:
        self._cluster, self._strategy = cluster, cluster.strategy
        self._model, self._optimizer = model, optimizer
        self._loss, self._metrics = loss, metrics
        self._accumulation = accumulation
        self._forward = Forward(model)

    def wait_for_all(self) -> None:
        """Return when every member has called this and none needs the others any more: now it may leave.

        The first sum is there when all have come. The second tells that all have the first: who leaves straight
        after a sum can break it for a member that still waits for its last piece. The second may well be broken.
        """
        import tensorflow as tf

        if self._cluster.member.members == 1:
            return
        together = tf.function(lambda: self._sum_over_members(tf.ones([1], tf.float64)), autograph=False)
        together().numpy()
        with contextlib.suppress(tf.errors.OpError):
            together().numpy()
            time.sleep(LINGER_SECONDS)

    def leave_together(self) -> None:
        """Do `wait_for_all` where all is saved: a member that is gone already is no trouble any more."""
        import tensorflow as tf

        with contextlib.suppress(tf.errors.OpError):
            self.wait_for_all()

    def function(self, kind: str, batches: Batches) -> Callable[..., Any]:
        """Return the compiled function of one kind, `train` or `evaluate`, over these batches.

        It takes (batches.iterator, [step, last step + 1] as int64, control as float64) and returns the vector.
        """
        import tensorflow as tf

        replica_step = self._train_replica if kind == "train" else self._evaluate_replica

        def call(iterator: Any, steps: Any, control: Any) -> Any:
            def body(step: Any, totals: Any) -> tuple[Any, Any]:
                batch = self._parts(batches.take(iterator, step))
                sums = self._strategy.run(replica_step, args=batch)
                return step + 1, totals + self._local_sum(sums)

            start = (steps[0], tf.zeros([self._metrics.size + 2], tf.float64))
            _, totals = tf.while_loop(lambda step, _: step < steps[1], body, start, parallel_iterations=1)
            return self._sum_over_members(tf.concat([totals, control], 0))

        return tf.function(call, autograph=False)  # type: ignore[no-any-return]

    def _train_replica(self, x: Any, y: Any, mask: Any, weight: Any, count: Any) -> Any:
        gradients, states, sums = self._gradients(x, y, mask, weight, count)
        gradients, states = self._sum_over_replicas(gradients, states)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        self._assign(states)
        return sums

    def _evaluate_replica(self, x: Any, y: Any, mask: Any, weight: Any, count: Any) -> Any:
        import tensorflow as tf

        del count
        outputs, _, added = self._forward(x, self._forward.initial(), training=False)
        loss = _weighted_sum(self._loss(y, outputs), weight)
        return self._sums(y, outputs, mask, tf.cast(loss, tf.float64), added)

    def _gradients(self, x: Any, y: Any, mask: Any, weight: Any, count: Any) -> tuple[list[Any], list[Any], Any]:
        """Return this replica's part of the gradients, the states after it, and its sums."""
        import tensorflow as tf

        variables = self._model.trainable_variables
        if self._accumulation == 1:
            gradients, states, sums = self._micro_step((x, y, mask, weight), count, self._forward.initial())
            return [None if g is None else tf.convert_to_tensor(g) for g in gradients], states, sums
        pieces = tf.nest.map_structure(lambda tensor: _pieces(tensor, self._accumulation), (x, y, mask, weight))
        known = self._have_gradient(pieces, count)

        def body(index: Any, gradients: list[Any], states: list[Any], sums: Any) -> tuple[Any, ...]:
            part = tf.nest.map_structure(lambda tensor: tensor[index], pieces)
            more, states, more_sums = self._micro_step(part, count, states)
            more = [tf.convert_to_tensor(g) for g, has in zip(more, known, strict=True) if has]
            return index + 1, [a + b for a, b in zip(gradients, more, strict=True)], states, sums + more_sums

        zeros = [tf.zeros(v.shape, v.dtype) for v, has in zip(variables, known, strict=True) if has]
        start = (
            tf.zeros([], tf.int32),
            zeros,
            self._forward.initial(),
            tf.zeros([self._metrics.size + 2], tf.float64),
        )
        _, summed, states, sums = tf.while_loop(
            lambda index, *_: index < self._accumulation, body, start, parallel_iterations=1
        )
        left = iter(summed)
        return [next(left) if has else None for has in known], states, sums

    def _have_gradient(self, pieces: Any, count: Any) -> list[bool]:
        """Which variables the loss depends on. Traced in a graph of its own that is thrown away."""
        import tensorflow as tf

        found: list[bool] = []

        def trace() -> Any:
            part = tf.nest.map_structure(lambda tensor: tf.zeros(tensor.shape[1:], tensor.dtype), pieces)
            gradients, _, sums = self._micro_step(part, tf.ones([]), self._forward.initial())
            found.extend(gradient is not None for gradient in gradients)
            return sums

        del count
        tf.function(trace, autograph=False).get_concrete_function()
        return found

    def _micro_step(self, batch: Any, count: Any, states: list[Any]) -> tuple[Any, ...]:
        import tensorflow as tf

        x, y, mask, weight = batch
        with tf.GradientTape() as tape:
            outputs, states, added = self._forward(x, states, training=True)
            data_loss = _weighted_sum(self._loss(y, outputs), weight)
            share = (
                self._cluster.replicas * self._accumulation
            )  # what does not depend on the batch counts once in all
            scaled = self._optimizer.scale_loss(data_loss / count + added / share)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return gradients, states, self._sums(y, outputs, mask, tf.cast(data_loss, tf.float64), added)

    def _sums(self, y: Any, outputs: Any, mask: Any, loss: Any, added: Any) -> Any:
        import tensorflow as tf

        examples = tf.reduce_sum(tf.cast(mask, tf.float64))
        tail = tf.stack([loss + tf.cast(added, tf.float64) * examples, examples])
        return tf.concat([self._metrics.sums(y, outputs, mask), tail], 0)

    def _sum_over_replicas(self, gradients: list[Any], states: list[Any]) -> tuple[list[Any], list[Any]]:
        """Sum the gradients and average the states, all in one collective (one for each number type, to be exact)."""
        import tensorflow as tf

        if self._cluster.replicas == 1:
            return gradients, states
        averaged = [is_averaged(variable) for variable in self._forward.states]
        values = [gradient for gradient in gradients if gradient is not None]
        values += [
            state / tf.cast(self._cluster.replicas, state.dtype)
            for state, shared in zip(states, averaged, strict=True)
            if shared
        ]
        summed = iter(_packed_all_reduce(values))
        gradients = [None if gradient is None else next(summed) for gradient in gradients]
        return gradients, [next(summed) if shared else s for s, shared in zip(states, averaged, strict=True)]

    def _assign(self, states: list[Any]) -> None:
        import tensorflow as tf

        if not states:
            return

        def update(strategy: Any, values: list[Any]) -> None:
            for variable, value in zip(self._forward.states, values, strict=True):
                strategy.extended.update(variable.value, lambda v, new: v.assign(new), args=(value,), group=False)

        if self._cluster.replicas == 1:
            for variable, value in zip(self._forward.states, states, strict=True):
                variable.assign(value)
        else:
            tf.__internal__.distribute.interim.maybe_merge_call(update, self._strategy, states)

    def _parts(self, batch: Any) -> Any:
        """Give each replica of this member its rows of the member's batch."""
        import tensorflow as tf

        local = self._cluster.local_replicas
        if local == 1:
            return batch

        def rows(context: Any) -> Any:
            index = context.replica_id_in_sync_group - self._cluster.first_replica
            return tf.nest.map_structure(lambda tensor: _rows(tensor, index, local), batch)

        return self._strategy.experimental_distribute_values_from_function(rows)

    def _local_sum(self, sums: Any) -> Any:
        import tensorflow as tf

        return tf.add_n(list(self._strategy.experimental_local_results(sums)))

    def _sum_over_members(self, totals: Any) -> Any:
        import tensorflow as tf

        if self._cluster.member.members == 1:
            return totals
        local = self._cluster.local_replicas

        def reduce(value: Any) -> Any:
            context = tf.distribute.get_replica_context()
            if local > 1:  # the totals are the member's: one of its replicas brings them
                first = tf.equal(context.replica_id_in_sync_group % local, 0)
                value = tf.where(first, value, tf.zeros_like(value))
            value = tf.identity(value)  # on this replica's device, which tells all_reduce who takes part
            return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

        return self._strategy.experimental_local_results(self._strategy.run(reduce, args=(totals,)))[0]


def _weighted_sum(losses: Any, weight: Any) -> Any:
    import tensorflow as tf

    # An example without weight adds nothing, even if its loss is no number: padding may be anything.
    return tf.reduce_sum(tf.where(weight > 0, losses * tf.cast(weight, losses.dtype), tf.zeros_like(losses)))


def _packed_all_reduce(values: list[Any]) -> list[Any]:
    """Sum each tensor over all replicas, as one vector for each number type."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    summed: list[Any] = [None] * len(values)
    for dtype in sorted({value.dtype for value in values}, key=str):
        chosen = [index for index, value in enumerate(values) if value.dtype == dtype]
        flat = tf.concat([tf.reshape(values[index], [-1]) for index in chosen], 0)
        flat = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
        sizes = [values[index].shape.num_elements() for index in chosen]
        for index, part in zip(chosen, tf.split(flat, sizes), strict=True):
            summed[index] = tf.reshape(part, values[index].shape)
    return summed


def _rows(tensor: Any, index: int, parts: int) -> Any:
    if tensor.shape.rank == 0:
        return tensor
    rows = tensor.shape[0] // parts
    return tensor[index * rows : (index + 1) * rows]


def _pieces(tensor: Any, count: int) -> Any:
    """Reshape (rows, …) to (count, rows / count, …); rows that are missing repeat the last one, without weight."""
    import tensorflow as tf

    rows = tensor.shape[0]
    missing = -rows % count
    if missing:
        last = tensor[-1:] if tensor.shape.rank > 1 or not tensor.dtype.is_floating else tf.zeros_like(tensor[-1:])
        tensor = tf.concat([tensor, tf.repeat(last, missing, 0)], 0)
    return tf.reshape(tensor, [count, (rows + missing) // count, *tensor.shape[1:]])
