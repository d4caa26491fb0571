"""Models by one name: three of our own, and everything that keras.applications has, with random weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainingjob_trainer.errors import SpecError, nearest, one_line
from trainingjob_trainer.keras_objects import notation


def build_preset(value: Any, input_shape: Sequence[int | None], field: str) -> Any:
    """Make the model that `{MLP: {hidden: [64]}}`, `CNN` or `{ResNet50: {classes: 10}}` says.

    Args:
        value: the preset as KERAS_OBJECT.
        input_shape: of one example, without the batch.
        field: where it stands in the spec.
    """
    import keras

    name, parameters = notation(value, field)
    own: Mapping[str, Callable[..., Any]] = {"Linear": linear, "MLP": mlp, "CNN": cnn}
    applications = {key: item for key, item in vars(keras.applications).items() if inspect.isfunction(item)}
    if name in own:
        known = set(list(inspect.signature(own[name]).parameters)[1:])
        _refuse_unknown(parameters, known, f"{field}.{name}")
        return _call(own[name], (tuple(input_shape),), parameters, f"{field}.{name}")
    if name not in applications:
        raise SpecError(field, f"{name!r} is no preset.{nearest(name, [*own, *applications])}")
    make = applications[name]
    _refuse_unknown(parameters, set(inspect.signature(make).parameters), f"{field}.{name}")
    if parameters.get("weights") is not None:
        raise SpecError(
            f"{field}.{name}.weights",
            f"is {parameters['weights']!r}; presets start with random weights, pods do not download any. "
            "Load them in a builder from a volume",
        )
    parameters.setdefault("input_shape", tuple(input_shape))
    return _call(make, (), {**parameters, "weights": None}, f"{field}.{name}")


def linear(shape: tuple[int | None, ...], units: int = 1) -> Any:
    """One dense layer without activation: linear regression."""
    import keras

    return keras.Sequential([keras.Input(shape), *_flat(shape), keras.layers.Dense(units, dtype="float32")])


def mlp(shape: tuple[int | None, ...], hidden: Sequence[int] = (64,), classes: int = 10) -> Any:
    """Dense layers with relu, and softmax over the classes."""
    import keras

    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    return keras.Sequential([keras.Input(shape), *_flat(shape), *layers, _softmax(classes)])


def cnn(shape: tuple[int | None, ...], filters: Sequence[int] = (32, 64), classes: int = 10) -> Any:
    """3x3 convolutions with relu and max pooling, and softmax over the classes. Images [H, W] count as grey ones."""
    import keras

    layers: list[Any] = [] if len(shape) == 3 else [keras.layers.Reshape((*shape, 1))]
    for count in filters:
        layers += [keras.layers.Conv2D(count, 3, activation="relu"), keras.layers.MaxPooling2D()]
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Flatten(), _softmax(classes)])


def _flat(shape: tuple[int | None, ...]) -> list[Any]:
    import keras

    return [] if len(shape) == 1 else [keras.layers.Flatten()]


def _softmax(classes: int) -> Any:
    import keras

    # In float32 whatever the precision: probabilities near 1 are what the loss lives from.
    return keras.layers.Dense(classes, activation="softmax", dtype="float32")


def _refuse_unknown(parameters: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in parameters:
        if key not in known:
            hint = nearest(key, known) or f" It has {', '.join(sorted(known))}."
            raise SpecError(f"{where}.{key}", f"is no parameter of this preset.{hint}")


def _call(make: Callable[..., Any], args: tuple[Any, ...], parameters: Mapping[str, Any], where: str) -> Any:
    try:
        return make(*args, **parameters)
    except Exception as error:  # Keras's own text is the reason
        raise SpecError(where, one_line(error)) from error
