"""The model that `spec.training.model` says, built inside the strategy's scope, and its precision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trainingjob_trainer.builders import call_builder
from trainingjob_trainer.errors import SpecError, one_line
from trainingjob_trainer.keras_objects import build
from trainingjob_trainer.presets import build_preset

FIELD = "spec.training.model"
KINDS = ("preset", "layers", "json", "builder")


def set_precision(precision: str, *, on_gpu: bool) -> None:
    """Set Keras's policy: weights stay float32, calculations take the half as wide type.

    Raises:
        SpecError: float16 on a CPU, which is 15 to 20 times slower there.
    """
    import keras

    if precision == "float16" and not on_gpu:
        raise SpecError(
            "spec.training.precision",
            "is 'float16', which CPUs calculate 15 to 20 times slower; write bfloat16, or give the job a nodePool "
            "with GPUs",
        )
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")


def build_model(spec: Mapping[str, Any], x_spec: Any) -> Any:
    """Make the model.

    Args:
        spec: `spec.training.model`.
        x_spec: TensorSpec of one batch of inputs, or a dict or tuple of them.

    Raises:
        SpecError: names what does not fit, and where it stands.
    """
    kinds = [kind for kind in KINDS if spec.get(kind) is not None]
    if len(kinds) != 1:
        raise SpecError(FIELD, f"has {', '.join(kinds) or 'nothing'}; write exactly one of {', '.join(KINDS)}")
    kind = kinds[0]
    value, field = spec[kind], f"{FIELD}.{kind}"
    if kind == "preset":
        model = build_preset(value, _single_shape(x_spec, field), field)
    elif kind == "layers":
        model = _sequential(value, x_spec, field)
    elif kind == "json":
        model = _from_json(value, field)
    else:
        model = _from_builder(value, field)
    return _checked(model, x_spec, field)


def output_shape(model: Any, x_spec: Any) -> tuple[int | None, ...]:
    """Return the shape of the model's one output, with the batch axis as None.

    Raises:
        SpecError: the model gives several tensors.
    """
    outputs = model.outputs[0] if getattr(model, "outputs", None) else model(_symbolic(x_spec))
    if not hasattr(outputs, "shape"):
        raise SpecError(FIELD, f"gives a {type(outputs).__name__}; training takes models with one output tensor")
    return (None, *outputs.shape[1:])


def _symbolic(x_spec: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), x_spec)


def _sequential(layers: Any, x_spec: Any, field: str) -> Any:
    import keras

    if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
        raise SpecError(field, "is empty or no list; write at least one layer")
    shape = _single_shape(x_spec, field)
    model = keras.Sequential([keras.Input(shape, dtype=x_spec.dtype.name)])
    for index, value in enumerate(layers):
        where = f"{field}[{index}]"
        layer = build("layer", value, where)
        if isinstance(layer, keras.layers.InputLayer):
            raise SpecError(
                where, f"is an input layer; the input is the data's, of shape {list(shape)}. Leave it out"
            )
        try:
            model.add(layer)
        except Exception as error:  # shapes that do not fit, said by Keras in its own way
            raise SpecError(where, f"does not fit here: {one_line(error)}") from error
    return model


def _from_json(text: Any, field: str) -> Any:
    import keras

    try:
        return keras.models.model_from_json(text if isinstance(text, str) else json.dumps(text))
    except Exception as error:
        raise SpecError(field, f"is no model that Keras can read: {one_line(error)}") from error


def _from_builder(spec: Mapping[str, Any], field: str) -> Any:
    import keras

    model = call_builder(spec, field)
    if not isinstance(model, keras.Model):
        raise SpecError(
            field, f"{spec.get('function')} returned {type(model).__name__}; it must return a keras.Model"
        )
    return model


def _checked(model: Any, x_spec: Any, field: str) -> Any:
    """Build what has no weights yet, and refuse what the loop cannot train."""
    if not model.built:
        try:
            model(_symbolic(x_spec))
        except Exception as error:
            raise SpecError(field, f"cannot take the data's inputs: {one_line(error)}") from error
    if not model.built:
        raise SpecError(field, "has no weights yet; build it in the builder, as in model.build((None, 28, 28, 1))")
    if isinstance(getattr(model, "outputs", None), list) and len(model.outputs) != 1:
        raise SpecError(field, f"has {len(model.outputs)} outputs; training takes models with one. Use spec.program")
    if not model.trainable_variables:
        raise SpecError(field, "has nothing to train: no layer has trainable weights")
    return model


def _single_shape(x_spec: Any, field: str) -> tuple[int | None, ...]:
    shape = getattr(x_spec, "shape", None)
    if shape is None:
        raise SpecError(field, "takes one input, and the data set has several; use a builder, or one feature as x")
    return tuple(shape[1:])
