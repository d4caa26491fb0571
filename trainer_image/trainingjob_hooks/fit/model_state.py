"""State of a model in training: its variables, its optimizers', and what its metrics have added up so far.

Weights and optimizer state are equal on all members, so the chief's are saved. Metrics are not: each member adds up
its own part of the epoch, so their sum is saved; the chief goes on from that and the others from zero.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from trainingjob._checkpoint_restore import assign_all, members, parts, sum_over_members
from trainingjob._checkpoint_variables import build_optimizer, is_built, is_optimizer, optimizer_variables, short_name


class ModelState:
    """The variables of one model. Ask when they exist, and again each time: training may make more."""

    def __init__(self, model: Any, strategy: Any) -> None:
        self._model = model
        self._strategy = strategy

    def variables(self) -> Dict[str, Any]:
        """Return name → variable of the model and its optimizers."""
        found = _named("model", self._weights())
        for name, optimizer in self._optimizers().items():
            found.update(_named(f"optimizer/{name}", optimizer_variables(optimizer)))
        return found

    def builds(self) -> Dict[str, List[int]]:
        """Return for each optimizer which of the model's variables it trains, by number: how to build it again."""
        numbers = {id(variable): number for number, variable in enumerate(self._weights())}
        found = {}
        for name, optimizer in self._optimizers().items():
            if is_built(optimizer):
                trained = _trained(optimizer, self._weights())
                found[name] = [numbers[id(v)] for v in trained if id(v) in numbers]
        return found

    def restore(self, arrays: Mapping[str, Any], builds: Mapping[str, List[int]], path: str) -> None:
        """Set the variables that `variables` names, after building optimizers as they were.

        Raises:
            ValueError: the checkpoint is that of another model.
        """
        weights = self._weights()
        for name, optimizer in self._optimizers().items():
            trained = [weights[number] for number in builds.get(name, ()) if number < len(weights)]
            if trained:
                build_optimizer(optimizer, trained)
        ours = {name: array for name, array in arrays.items() if name.startswith(("model/", "optimizer/"))}
        assign_all(self.variables(), ours, path)

    def restore_weights(self, arrays: Mapping[str, Any], path: str) -> None:
        """Set the model's own variables only."""
        ours = {name: array for name, array in arrays.items() if name.startswith("model/")}
        assign_all(_named("model", self._weights()), ours, path)

    def _weights(self) -> List[Any]:
        """The model's variables, seeds of its random layers included, without those of metrics and optimizers."""
        others = [variable for metric in self._model.metrics for variable in metric.variables]
        for optimizer in self._optimizers().values():
            others += optimizer_variables(optimizer)
        taken = {id(variable) for variable in others}
        return [variable for variable in self._model.variables if id(variable) not in taken]

    def _optimizers(self) -> Dict[str, Any]:
        found = {}
        compiled = getattr(self._model, "optimizer", None)
        if compiled is not None and is_optimizer(compiled):
            found["optimizer"] = compiled
        for name, value in sorted(vars(self._model).items()):
            if is_optimizer(value) and all(value is not other for other in found.values()):
                found[name] = value
        return found

    def metric_variables(self) -> Dict[str, Any]:
        """Return name → variable of all metrics that there are by now."""
        seen: Dict[int, Any] = {}
        for metric in self._model.metrics:
            for variable in metric.variables:
                seen.setdefault(id(variable), variable)
        return _named("metric", list(seen.values()))

    def metric_totals(self) -> Dict[str, Any]:
        """Return name → the gang's state of every metric variable. All members must call it."""
        import numpy

        variables = self.metric_variables()
        local = {name: _local_total(variable) for name, variable in variables.items()}
        if members(self._strategy) == 1 or not local:
            return local
        packed = numpy.concatenate([numpy.ravel(array).astype(numpy.float64) for array in local.values()])
        total, start, summed = sum_over_members(self._strategy, packed), 0, {}
        for name, array in local.items():
            value = total[start : start + array.size].reshape(array.shape)
            start += array.size
            if _is_equal_everywhere(variables[name]) or _is_mean(variables[name]):
                value = value / members(self._strategy)
            summed[name] = value.astype(array.dtype)
        return summed

    def restore_metrics(self, totals: Mapping[str, Any], is_chief: bool, *, add: bool = False) -> bool:
        """Go on from the totals of an epoch that was left in the middle; whether there were all of those metrics.

        With `add` they are added to what the metrics hold already.
        """
        variables = self.metric_variables()
        if {n: tuple(v.shape) for n, v in variables.items()} != {n: a.shape for n, a in totals.items()}:
            return False
        for name, variable in variables.items():
            value, everywhere = totals[name], _is_equal_everywhere(variable) or _is_mean(variable)
            for number, part in enumerate(parts(variable)):
                mine = value if everywhere or (is_chief and number == 0) else value * 0
                if add:
                    part.assign_add(mine)
                else:
                    part.assign(mine)
        return True

    def before_results(self, function: Callable[[], None]) -> None:
        """Call `function` once, before the model's metrics are next asked for their results outside of a step."""
        import tensorflow as tf

        model, results = self._model, self._model.get_metrics_result

        def first(*args: Any, **kwargs: Any) -> Any:
            if tf.executing_eagerly():
                vars(model).pop("get_metrics_result", None)
                function()
            return results(*args, **kwargs)

        object.__setattr__(model, "get_metrics_result", first)


def _named(prefix: str, variables: List[Any]) -> Dict[str, Any]:
    return {f"{prefix}/{number}/{short_name(variable)}": variable for number, variable in enumerate(variables)}


def _local_total(variable: Any) -> Any:
    values = [part.numpy() for part in parts(variable)]
    if len(values) == 1 or _is_equal_everywhere(variable):
        return values[0]
    total = sum(values[1:], values[0])
    return total / len(values) if _is_mean(variable) else total


def _inner(variable: Any) -> Any:
    inner = getattr(variable, "value", None)
    return variable if inner is None or callable(inner) else inner


def _is_equal_everywhere(variable: Any) -> bool:
    """Whether the strategy itself keeps the copies alike (mirrored)."""
    inner = _inner(variable)
    is_distributed = isinstance(getattr(inner, "values", None), tuple)
    return is_distributed and getattr(getattr(inner, "synchronization", None), "name", "") != "ON_READ"


def _is_mean(variable: Any) -> bool:
    aggregation: Any = getattr(_inner(variable), "aggregation", None)
    return getattr(aggregation, "name", aggregation) in ("MEAN", "mean")


def _trained(optimizer: Any, weights: List[Any]) -> List[Any]:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    trained: Optional[List[Any]] = getattr(inner, "_trainable_variables", None)
    if trained is not None:
        return list(trained)
    keys: Optional[Dict[Any, int]] = getattr(inner, "_index_dict", None)
    if keys is not None and hasattr(inner, "_var_key"):
        found: List[Tuple[int, Any]] = [(keys[inner._var_key(v)], v) for v in weights if inner._var_key(v) in keys]
        return [variable for _, variable in sorted(found, key=lambda pair: pair[0])]
    return [variable for variable in weights if getattr(variable, "trainable", False)]
