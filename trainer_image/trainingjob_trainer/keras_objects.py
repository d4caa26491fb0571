"""KERAS_OBJECT: one notation for everything that Keras has a name for.

`Adam`, `adam` or `{Adam: {learning_rate: 0.001}}`; parameters are Keras's own, and those that are Keras objects
themselves nest in the same notation:

    {SGD: {learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 2000}}, momentum: 0.9}}
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from trainingjob_trainer.errors import SpecError, nearest, one_line

#: Kind of object → the module of Keras that has it.
KINDS = {
    "optimizer": "optimizers",
    "loss": "losses",
    "metric": "metrics",
    "layer": "layers",
    "schedule": "optimizers.schedules",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
}
#: Classes of those modules that are no object to train with: bases, tools, and what needs other frameworks.
EXCLUDED = {
    "Optimizer", "OptimizerMap", "MultiOptimizer", "LossScaleOptimizer", "Loss", "Metric", "Mean", "Sum", "Layer",
    "MeanMetricWrapper", "Wrapper", "InputSpec", "Lambda", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TFSMLayer",
    "LearningRateSchedule", "Initializer", "Regularizer", "Constraint",
}  # fmt: skip
ABBREVIATIONS = {
    "mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError", "bce": "BinaryCrossentropy", "kld": "KLDivergence",
    "kl_divergence": "KLDivergence", "rmse": "RootMeanSquaredError", "logcosh": "LogCosh",
}  # fmt: skip
#: A parameter's name (or its end) says which kind its value is, so that a plain name is enough there too.
PARAMETER_KINDS = {
    "learning_rate": "schedule",
    "initializer": "initializer",
    "regularizer": "regularizer",
    "constraint": "constraint",
    "layer": "layer",
    "cell": "layer",
    "cells": "layer",
}
FLOATS = ("learning_rate", "beta", "threshold")  # Keras refuses 1 where it means 1.0


def names_of(kind: str) -> dict[str, Any]:
    """Return class name → class of everything of that kind."""
    import keras

    module: Any = keras
    for part in KINDS[kind].split("."):
        module = getattr(module, part)
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and name not in EXCLUDED and not name.startswith("_")
    }


def notation(value: Any, field: str) -> tuple[str, dict[str, Any]]:
    """Return (name, parameters) of a KERAS_OBJECT.

    Raises:
        SpecError: it is neither a name nor an object with one key.
    """
    if isinstance(value, str) and value:
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        name, parameters = next(iter(value.items()))
        if parameters is None:
            return str(name), {}
        if isinstance(parameters, Mapping):
            return str(name), dict(parameters)
        raise SpecError(
            f"{field}.{name}", f"is {one_line(parameters, 60)!r}; its parameters are an object, as in {{}}"
        )
    wanted = "a name, or an object with one key, the name, and its parameters as in {Adam: {learning_rate: 0.001}}"
    raise SpecError(field, f"is {one_line(value, 60)!r}; write {wanted}")


def build(kind: str, value: Any, field: str) -> Any:
    """Make the Keras object of that kind that `value` says.

    Raises:
        SpecError: unknown name (with the nearest one), or parameters that Keras refuses (with its reason).
    """
    name, parameters = notation(value, field)
    return construct(find(kind, name, field), name, parameters, field)


def find(kind: str, name: str, field: str, extra: Mapping[str, Any] | None = None) -> Any:
    """Return the class of that name: Keras's class name, its snake_case form, or an alias such as `mse`."""
    known = {**names_of(kind), **(extra or {})}
    wanted = ABBREVIATIONS.get(name.lower(), name)
    if wanted in known:
        return known[wanted]
    folded = {_folded(key): value for key, value in known.items()}
    if _folded(wanted) in folded:
        return folded[_folded(wanted)]
    raise SpecError(field, f"{name!r} is no {kind} of Keras.{nearest(name, known)}")


def construct(cls: Any, name: str, parameters: Mapping[str, Any], field: str) -> Any:
    """Call `cls` with the parameters, of which nested objects are built first."""
    where = f"{field}.{name}"
    known = parameters_of(cls)
    ready = {}
    for key, value in parameters.items():
        if known is not None and key not in known:
            hint = nearest(key, known) or f" It has {', '.join(sorted(known))}."
            raise SpecError(f"{where}.{key}", f"is no parameter of {cls.__name__}.{hint}")
        ready[key] = _parameter(key, value, f"{where}.{key}")
    try:
        return cls(**ready)
    except SpecError:
        raise
    except Exception as error:  # Keras raises whatever it likes; its text is the reason
        raise SpecError(where, one_line(error)) from error


def parameters_of(cls: Any) -> set[str] | None:
    """Names of the parameters that a Keras class takes, those of its bases too; None when it takes any."""
    names: set[str] = set()
    for base in inspect.getmro(cls) if inspect.isclass(cls) else (cls,):
        initializer = base.__init__ if inspect.isclass(base) else base
        if base is object or (inspect.isclass(base) and "__init__" not in vars(base)):
            continue
        signature = inspect.signature(initializer).parameters
        names.update(
            key
            for key, parameter in signature.items()
            if key != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        )
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.values()):
            return names
        if base.__name__ == "BaseOptimizer":  # its **kwargs are refused in its own words
            return names
        if base.__name__ == "Layer":  # its **kwargs are two old spellings, looked into by hand
            return names | {"input_shape", "input_dim", "batch_input_shape"}
    return None


def _parameter(key: str, value: Any, field: str) -> Any:
    kind = PARAMETER_KINDS.get(key) or PARAMETER_KINDS.get(key.rpartition("_")[2])
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and (key in FLOATS or key.endswith("learning_rate")):
        return float(value)
    if kind is not None and (isinstance(value, Mapping) or (isinstance(value, str) and kind == "layer")):
        return build(kind, value, field)
    if isinstance(value, list):
        return [_parameter(key, item, f"{field}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value)), str):
        return _of_any_kind(value, field)
    return value


def _of_any_kind(value: Mapping[str, Any], field: str) -> Any:
    name, parameters = next(iter(value.items()))
    if not (parameters is None or isinstance(parameters, Mapping)):
        return dict(value)
    for kind in KINDS:
        if name in names_of(kind):
            return build(kind, value, field)
    known = {key for kind in KINDS for key in names_of(kind)}
    raise SpecError(field, f"{name!r} is no object of Keras.{nearest(name, known)}")


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
