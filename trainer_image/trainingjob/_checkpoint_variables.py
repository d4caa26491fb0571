"""Which variables are the state of a model, an optimizer or whatever else a program trains, each with its name.

Names are made of the place in the object's own list (`optimizer/4/momentum`): the names that Keras gives by itself
count the objects of a process, and are others when the program has made one layer more before.
"""

from __future__ import annotations

import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ContextManager, Dict, List, Mapping


def collect(objects: Mapping[str, Any]) -> Dict[str, Any]:
    """Return name → variable of all `objects`; builds optimizers for the models among them.

    Raises:
        TypeError: an object has no variables, so it can't be saved.
        ValueError: a model or an optimizer has no variables yet.
    """
    models = {name: value for name, value in objects.items() if is_model(value)}
    for name, model in models.items():
        if not getattr(model, "built", True):
            raise ValueError(
                f"checkpoint: the model {name!r} has no weights yet; call `{name}.build(input_shape)`, or give its "
                "first layer an input shape, before trainingjob.checkpoint"
            )
    for name, value in objects.items():
        if is_optimizer(value):
            _build_for(name, value, models)
    found: Dict[str, Any] = {}
    for name, value in objects.items():
        found.update(named(name, value))
    return found


def named(prefix: str, value: Any) -> Dict[str, Any]:
    """Return name → variable of one object: a variable, a list or dict of objects, or what has `.variables`."""
    if is_variable(value):
        return {prefix: value}
    if isinstance(value, (list, tuple)):
        return _merged({f"{prefix}/{number}": item for number, item in enumerate(value)})
    if isinstance(value, dict):
        return _merged({f"{prefix}/{key}": item for key, item in value.items()})
    if is_optimizer(value):
        variables = optimizer_variables(value)
    elif hasattr(value, "variables"):
        variables = _list(value.variables)
    elif is_variable(getattr(value, "state", None)):  # tf.random.Generator
        variables = [value.state]
    else:
        raise TypeError(
            f"checkpoint: {prefix} is a {type(value).__name__}, which has no variables; give it Keras models and "
            "optimizers, tf.Variable, tf.Module, or lists of them"
        )
    return {f"{prefix}/{number}/{short_name(variable)}": variable for number, variable in enumerate(variables)}


def is_variable(value: Any) -> bool:
    """Whether `value` is a variable of TensorFlow or Keras."""
    return hasattr(value, "assign") and hasattr(value, "shape") and hasattr(value, "dtype")


def is_optimizer(value: Any) -> bool:
    """Whether `value` is an optimizer of any Keras."""
    return hasattr(value, "apply_gradients") and hasattr(value, "variables")


def is_model(value: Any) -> bool:
    """Whether `value` has trainable variables of its own: a Keras model or layer, a tf.Module."""
    return hasattr(value, "trainable_variables") and hasattr(value, "variables") and not is_optimizer(value)


def optimizer_variables(optimizer: Any) -> List[Any]:
    """Return the state of an optimizer, with the learning rate, which tf-keras leaves out of `variables`."""
    variables = _list(optimizer.variables)
    rate = getattr(optimizer, "_learning_rate", None)
    if is_variable(rate) and all(rate is not variable for variable in variables):
        variables.append(rate)
    hyper = getattr(optimizer, "_hyper", {})  # the legacy optimizers keep learning_rate, momentum … here
    variables += [value for _, value in sorted(hyper.items()) if is_variable(value)]
    return variables


def build_optimizer(optimizer: Any, variables: List[Any]) -> None:
    """Make the state that an optimizer keeps for `variables`, if it has none yet."""
    if is_built(optimizer):
        return
    with scope(strategy_of(variables)):
        if hasattr(optimizer, "build"):
            optimizer.build(variables)
        else:  # the legacy optimizers of tf-keras
            optimizer._create_all_weights(variables)


def is_built(optimizer: Any) -> bool:
    """Whether an optimizer has made its state."""
    built = getattr(optimizer, "built", getattr(optimizer, "_built", None))
    return bool(built) if built is not None else len(_list(optimizer.variables)) > 1


def strategy_of(variables: Any) -> Any:
    """Return the strategy under which variables were made, the current one if that is plain; never None."""
    import tensorflow

    for variable in variables:
        inner = getattr(variable, "value", None)
        inner = variable if inner is None or callable(inner) else inner
        strategy = getattr(inner, "distribute_strategy", None)
        if strategy is not None and isinstance(getattr(inner, "values", None), tuple):
            return strategy
    return tensorflow.distribute.get_strategy()


def scope(strategy: Any) -> ContextManager[Any]:
    """The strategy's scope; nothing when it is entered already."""
    import tensorflow

    if tensorflow.distribute.get_strategy() is strategy:
        return contextlib.nullcontext()
    scope: ContextManager[Any] = strategy.scope()
    return scope


def short_name(variable: Any) -> str:
    """What a variable is to its owner: `kernel` of `dense_3/kernel:0`, `momentum` of `dense_3_kernel_momentum`."""
    import re

    name = re.sub(r"_\d+$", "", str(getattr(variable, "name", "")).split("/")[-1].split(":")[0])
    return name.rsplit("_", 1)[-1] if name.count("_") > 1 else name


def _build_for(name: str, optimizer: Any, models: Mapping[str, Any]) -> None:
    if is_built(optimizer):
        return
    trainable = [variable for model in models.values() for variable in _list(model.trainable_variables)]
    if len(models) != 1 or not trainable:
        raise ValueError(
            f"checkpoint: the optimizer {name!r} is not built, and it could be for any of {len(models)} models; "
            f"call `{name}.build(model.trainable_variables)` first"
        )
    build_optimizer(optimizer, trainable)


def _list(variables: Any) -> List[Any]:
    return list(variables() if callable(variables) and not isinstance(variables, (list, tuple)) else variables)


def _merged(items: Mapping[str, Any]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for name, item in items.items():
        found.update(named(name, item))
    return found
