"""Logs of the whole gang: the states of all metrics are summed in one packed collective, results computed from that.

Adding up states and computing then is exact for every metric, where a mean of the members' results is not (precision,
AUC, …), and one collective instead of one for each value is what makes it cheap. Still it costs a few milliseconds,
so it is done when it is due: at the end of an epoch or evaluation, at every step when a callback wants the logs of
every batch, and otherwise at every `INTERVAL`-th step, between which the latest logs are shown again.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

#: Steps from one set of logs to the next, when no callback looks at those of every batch.
INTERVAL = 10


class Logs:
    """The logs of one kind of step (train or test) of one model."""

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        self._model = model
        self._strategy = model.distribute_strategy
        self._step = 0
        self._latest: Optional[Tuple[Any, Any]] = None  # outputs and weight of a step that `shown` does not know
        self._states: List[Any] = []
        #: The latest logs, None before the first step of an epoch or evaluation.
        self.shown: Optional[Any] = None
        collect = tf.autograph.experimental.do_not_convert(self.collect)
        self._compute = collect if model.run_eagerly else tf.function(collect, reduce_retracing=True)

    def after_step(self, outputs: Any, weight: Any, *, every: bool) -> Any:
        """Return the logs to show after a step that returned `outputs` on this member."""
        self._latest = (outputs, weight)
        if every or self._step % INTERVAL == 0 or self.shown is None:
            self.show(*self._compute(outputs, weight))
        self._step += 1
        return self.shown

    def show(self, logs: Any, states: List[Any]) -> None:
        """Take what `collect` returned after the step that was the last one until now."""
        self.shown, self._states, self._latest = logs, states, None

    def final(self) -> Optional[Any]:
        """Return the logs after the last step, None when there was none; metrics then hold the gang's state."""
        if self._latest is not None:
            self.show(*self._compute(*self._latest))
        final, self.shown, self._step = self.shown, None, 0
        variables = metric_variables(self._model)
        if final is not None and not any(_is_distributed(v) for v in variables):
            for variable, state in zip(variables, self._states):
                variable.value.assign(state)
        return final

    def collect(self, outputs: Any, weight: Any) -> Tuple[Any, List[Any]]:
        """Return the gang's logs and the gang's metric states; a collective, to be called outside of replicas."""
        import tensorflow as tf
        from keras.src.backend import StatelessScope

        variables = metric_variables(self._model)
        leaves = tf.nest.flatten(outputs, expand_composites=False)
        scalars = [i for i, leaf in enumerate(leaves) if _is_scalar(self._strategy, leaf)]

        def gather(outputs: Any, weight: Any) -> Any:
            mine = tf.nest.flatten(outputs, expand_composites=False)
            weight = tf.cast(weight, tf.float64)
            # A share without weight may have computed anything, and 0 x NaN is NaN.
            values = [tf.where(weight > 0, tf.cast(mine[i], tf.float64) * weight, 0) for i in scalars]
            packed = [tf.reshape(value, [-1]) for value in values + [_state(v) for v in variables]]
            if not packed:
                return tf.zeros([0], tf.float64)
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(packed, 0))

        total = self._strategy.run(gather, args=(outputs, weight))
        total = self._strategy.experimental_local_results(total)[0]
        for place, i in enumerate(scalars):
            leaves[i] = tf.cast(total[place], _first(self._strategy, leaves[i]).dtype)
        states = _unpack(total[len(scalars) :], variables, self._strategy.num_replicas_in_sync)
        leaves = [_first(self._strategy, leaf) for leaf in leaves]
        logs = tf.nest.pack_sequence_as(outputs, leaves, expand_composites=False)
        if isinstance(logs, dict):
            with StatelessScope(state_mapping=list(zip(variables, states))):
                results = self._model.get_metrics_result()
            if set(results) == set(logs):  # Keras's own rule, in _get_metrics_result_or_logs
                logs = results
        return logs, states


def metric_variables(model: Any) -> List[Any]:
    """Return the variables of all metrics of `model`, each once."""
    seen: Dict[int, Any] = {}
    for metric in model.metrics:
        for variable in metric.variables:
            seen.setdefault(id(variable), variable)
    return list(seen.values())


def _is_distributed(variable: Any) -> bool:
    return hasattr(variable.value, "_distributed_container") or hasattr(variable.value, "distribute_strategy")


def _state(variable: Any) -> Any:
    """Return this replica's part of a metric's variable; called in a replica."""
    import tensorflow as tf

    return tf.cast(variable.value, tf.float64)


def _unpack(total: Any, variables: List[Any], replicas: int) -> List[Any]:
    import tensorflow as tf

    states, begin = [], 0
    for variable in variables:
        size = variable.shape.num_elements()
        state = tf.reshape(total[begin : begin + size], variable.shape)
        if variable.aggregation == "mean":
            state = state / replicas
        states.append(tf.cast(state, variable.value.dtype))
        begin += size
    return states


def _first(strategy: Any, leaf: Any) -> Any:
    return strategy.experimental_local_results(leaf)[0]


def _is_scalar(strategy: Any, leaf: Any) -> bool:
    import tensorflow as tf

    value = _first(strategy, leaf)
    return bool(tf.is_tensor(value) and value.shape.rank == 0 and (value.dtype.is_floating or value.dtype.is_integer))
