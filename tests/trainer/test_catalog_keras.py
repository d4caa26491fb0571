"""The operator's catalog of Keras against the Keras that is installed: it is complete, current, and tells the truth."""

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from trainingjob_trainer.keras_objects import build

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "operator"), str(ROOT / "trainer_image/hack")]

from trainingjob_operator.core import keras_catalog as catalog  # noqa: E402
from trainingjob_operator.core.keras_canonical import canonical  # noqa: E402
from trainingjob_operator.core.keras_judge import faults  # noqa: E402

MODULES: dict[str, Any] = {
    "optimizer": keras.optimizers, "schedule": keras.optimizers.schedules, "loss": keras.losses,
    "metric": keras.metrics, "initializer": keras.initializers, "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}  # fmt: skip
#: The parameters that a class can't be without.
REQUIRED: dict[str, Any] = {
    "axis": -1, "bin_boundaries": [0.0, 1.0], "boundaries": [10], "cell": "LSTMCell", "decay_rate": 0.5,
    "decay_steps": 10, "dims": [2, 1], "equation": "ab,bc->ac", "factor": 0.5, "filters": 4, "first_decay_steps": 10,
    "height": 8, "height_factor": 0.5, "initial_learning_rate": 0.1, "input_dim": 4, "kernel_size": 3, "mean": 0.0,
    "n": 2, "num_bins": 4, "num_classes": 3, "num_tokens": 4, "output_dim": 4, "output_shape": 4, "output_size": 2,
    "pool_size": 2, "pos_weight": 2.0, "precision": 0.5, "rate": 0.5, "recall": 0.5, "scale": 0.5, "sensitivity": 0.5,
    "specificity": 0.5, "stddev": 0.5, "target_class_ids": [0], "target_shape": [-1], "units": 4, "values": [0.1, 0.01],
    "variance": 1.0, "vocabulary": ["a", "b"], "width": 8, "width_factor": 0.5, "activation": "relu",
}  # fmt: skip
BY_NAME: dict[str, dict[str, Any]] = {
    "Bidirectional": {"layer": {"LSTM": {"units": 4}}},
    "IntegerLookup": {"vocabulary": [5, 6]},
    "RNN": {"cell": {"LSTMCell": {"units": 4}}},
    "RandomPosterization": {"factor": 4},
    "SpectralNormalization": {"layer": {"Dense": {"units": 4}}},
    "StackedRNNCells": {"cells": [{"LSTMCell": {"units": 4}}, {"GRUCell": {"units": 4}}]},
    "TimeDistributed": {"layer": {"Dense": {"units": 4}}},
}  # fmt: skip


def smallest(kind: str, name: str) -> dict[str, Any]:
    """An object with nothing but what is required."""
    needed = [key for key, about in catalog.kind(kind).parameters(name).items() if about.required]
    return {name: {key: BY_NAME.get(name, REQUIRED).get(key, REQUIRED.get(key)) for key in needed}}


def make(kind: str, value: Any) -> Any:
    """What the trainer makes of an object that the judge found right."""
    assert list(faults(value, kind, "f")) == []
    if kind == "loss" and "WeightedBinaryCrossentropy" in value:
        from trainingjob_trainer.losses import PerExample

        return PerExample(canonical(value, kind), (4,), (4, 1))
    return build("layer" if kind == "cell" else kind, canonical(value, kind), "f")


def everything(*kinds: str) -> list[Any]:
    return [pytest.param(kind, name, id=f"{kind}-{name}") for kind in kinds for name in catalog.kind(kind).objects]


def test_the_catalog_is_what_the_generator_writes() -> None:
    generator: ModuleType = importlib.import_module("keras_catalog")
    written = generator.CATALOG.read_text(encoding="utf-8")
    assert generator.render(generator.catalog()) == written, (
        f"Keras {keras.__version__} is another one than the catalog's, {catalog.keras_version()}: run "
        "trainer_image/hack/keras_catalog.py and read the difference"
    )


@pytest.mark.parametrize("kind", [*MODULES, "layer"])
def test_every_class_of_keras_is_an_object_or_refused_with_a_reason(kind: str) -> None:
    known = catalog.kind(kind)
    module = {**MODULES, "layer": keras.layers}[kind]
    cells = catalog.kind("cell").objects if kind == "layer" else ()
    for name, item in vars(module).items():
        if inspect.isclass(item):
            assert name in known.objects or name in known.aliases or known.refused.get(name) or name in cells, name


@pytest.mark.parametrize("kind", [kind for kind in MODULES if kind != "schedule"])
def test_every_name_that_keras_takes_is_known_and_means_the_same(kind: str) -> None:
    known = catalog.kind(kind)
    source = inspect.getmodule(MODULES[kind].get)
    for name, item in source.ALL_OBJECTS_DICT.items():  # type: ignore[union-attr]
        found = known.find(name)
        if found is None or found in known.refused:
            assert (
                name in known.refused
                or found in known.refused
                or item.__name__ in (*known.refused, "LossFunctionWrapper")
            ), name
        elif name not in known.automatic:
            assert catalog.fold(found) in (catalog.fold(item.__name__), catalog.fold(item.__name__) + "loss"), name


def test_every_name_of_an_activation_is_known() -> None:
    for name in inspect.getmodule(keras.activations.get).ALL_OBJECTS_DICT:  # type: ignore[union-attr]
        found = catalog.kind("activation").find(name)
        assert keras.activations.get(found) is keras.activations.get(name)


@pytest.mark.parametrize(("kind", "name"), everything(*MODULES, "layer", "cell"))
def test_every_object_of_the_catalog_is_made_with_what_is_required_alone(kind: str, name: str) -> None:
    made = make(kind, smallest(kind, name))
    assert type(made).__name__ in (name, "PerExample")


@pytest.mark.parametrize(("kind", "name"), everything(*MODULES, "layer", "cell"))
def test_every_default_of_the_catalog_is_one_that_keras_takes(kind: str, name: str) -> None:
    """What a parameter is when nobody says it, said."""
    value = smallest(kind, name)
    about = catalog.kind(kind).parameters(name)
    value[name] = {
        **{key: item.default for key, item in about.items() if item.type and not item.required},
        **value[name],
    }
    assert type(make(kind, value)).__name__ in (name, "PerExample")


@pytest.mark.parametrize(("kind", "name"), everything(*MODULES, "layer", "cell"))
def test_what_is_required_is_refused_by_keras_too_when_it_is_missing(kind: str, name: str) -> None:
    value = smallest(kind, name)
    unready = ("Normalization", "IntegerLookup", "StringLookup", "TextVectorization")  # Keras would want adapt()
    ours = ("Dice", "Tversky", "WeightedBinaryCrossentropy")
    if name in (*unready, *ours):
        return
    for key in value[name]:
        without = {name: {other: item for other, item in value[name].items() if other != key}}
        assert any(fault.field == f"f.{name}.{key}" for fault in faults(without, kind, "f"))
        with pytest.raises(Exception, match=r".") as caught:
            build("layer" if kind == "cell" else kind, without, "f")
        assert not isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("name", [name for name in catalog.kind("loss").objects if name != "CTC"])  # of sequences
def test_every_loss_gives_one_number_for_each_example(name: str) -> None:
    from trainingjob_trainer.losses import PerExample

    binary = name == "WeightedBinaryCrossentropy"
    numbers = name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy" or binary
    outputs = keras.ops.convert_to_tensor(np.full((4, 1 if binary else 3), 1 / 3, "float32"))
    labels = np.array([0, 1, 1, 0]) if numbers else np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    loss = PerExample(canonical(smallest("loss", name), "loss"), tuple(labels.shape), tuple(outputs.shape))
    assert loss(keras.ops.convert_to_tensor(labels), outputs).shape == (4,)


@pytest.mark.parametrize("name", catalog.kind("metric").objects)
def test_every_metric_is_reported_under_the_name_that_the_operator_expects(name: str) -> None:
    from trainingjob_trainer.metrics import MetricSet

    value = canonical(smallest("metric", name), "metric")
    outputs = (4, 2) if name == "BinaryIoU" else (4, 3)
    labels = (4,) if name.startswith("Sparse") or name in ("IoU", "MeanIoU") else outputs
    found = MetricSet([value], labels, outputs)
    names = list(found.results(np.zeros(found.size)))
    expected = value[name]["name"]
    several = name in ("F1Score", "FBetaScore")  # one for each class, unless they are averaged
    assert names == ([f"{expected}_{number}" for number in range(3)] if several else [expected])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "classes"),
    [
        ({"MobileNetV2": {"alpha": 0.35, "classes": 5}}, 5),
        ({"ResNet50": {"classes": 3, "weights": None}}, 3),
        ({"MobileNetV3Small": {"classes": 4, "minimalistic": True, "dropout_rate": 0.1}}, 4),
        ({"CNN": {"filters": [4], "classes": 7}}, 7),
        ({"MLP": {"hidden": [4, 4], "classes": 6}}, 6),
        ({"Linear": {"units": 2}}, 2),
    ],
    ids=str,
)
def test_presets_are_made_with_the_parameters_of_the_catalog(value: Any, classes: int) -> None:
    from trainingjob_trainer.presets import build_preset

    assert list(faults(value, "preset", "f")) == []
    assert build_preset(canonical(value, "preset"), (32, 32, 3), "f").output_shape[-1] == classes


def test_every_application_of_keras_is_a_preset() -> None:
    functions = {name for name, item in vars(keras.applications).items() if inspect.isfunction(item)}
    assert functions | {"CNN", "Linear", "MLP"} == set(catalog.kind("preset").objects)
