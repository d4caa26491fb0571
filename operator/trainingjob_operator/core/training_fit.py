"""Whether model, loss and labels fit together, where the spec alone makes that certain.

A softmax over one unit, a loss of probabilities over logits, ten outputs for one-hot vectors of five: some of these
Keras trains without a word, to a model that has learned nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.api.training import Training
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.keras_names import notation
from trainingjob_operator.core.training_data import Labels, labels_of
from trainingjob_operator.core.training_keras import MODEL, parts

LOSS = "spec.training.loss"
_CATEGORICAL = ("CategoricalCrossentropy", "CategoricalFocalCrossentropy")
#: Loss of class numbers, in spite of its name.
_GENERALIZED = "CategoricalGeneralizedCrossEntropy"
_BINARY = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "WeightedBinaryCrossentropy")
_SPARSE = ("SparseCategoricalCrossentropy", _GENERALIZED)
_PROBABILITIES = {"softmax": (*_CATEGORICAL, "SparseCategoricalCrossentropy"), "sigmoid": _BINARY}
#: Choose by the shapes, so there is nothing that does not fit.
_AUTOMATIC = ("ce", "crossentropy")
#: Take labels that are of another shape than outputs.
_FREE = ("CTC", *_AUTOMATIC, *_SPARSE)


@dataclass(frozen=True)
class Output:
    """What the model ends in; None is unknown."""

    units: int | None = None
    activation: str | None = None
    units_field: str = MODEL
    activation_field: str = MODEL


def output_of(training: Training) -> Output:
    """Return what is known of a model's last layer."""
    model = training.model
    if model.preset is not None:
        name, given = parts(model.preset, "preset")
        field = f"{MODEL}.preset.{name}"
        if name == "Linear":
            return Output(given.get("units", 1), "linear", f"{field}.units", field)
        classes = given.get("classes", 10 if name in ("CNN", "MLP") else 1000)
        activation = given.get("classifier_activation", "softmax")
        return Output(classes, _activation(activation), f"{field}.classes", f"{field}.classifier_activation")
    return _last_layers(model.layers) if model.layers else Output()


def _last_layers(layers: list[Any]) -> Output:
    field = f"{MODEL}.layers[{len(layers) - 1}]"
    name, given = parts(layers[-1], "layer")
    activation, activation_field = None, field
    if name in ("Activation", "Softmax") and len(layers) > 1:
        activation = "softmax" if name == "Softmax" else _activation(given.get("activation"))
        before, field = layers[-2], f"{MODEL}.layers[{len(layers) - 2}]"
        name, given = parts(before, "layer")
        if name == "Dense" and _activation(given.get("activation")) != "linear":
            return Output()
    elif name == "Dense":
        activation, activation_field = _activation(given.get("activation")), f"{field}.Dense.activation"
    if name != "Dense":
        return Output()
    return Output(given.get("units"), activation, f"{field}.Dense.units", activation_field)


def _activation(value: Any) -> str:
    read = notation(value)
    return "linear" if read is None else read[0]


def judge_fit(training: Training) -> Iterator[Problem]:
    """Yield where model, loss, labels, class weights and metrics can't go together."""
    output, labels = output_of(training), labels_of(training.dataset)
    loss, given = parts(training.loss, "loss")
    if output.units == 1 and output.activation == "softmax":
        yield Problem(
            output.units_field,
            "1",
            "softmax over one unit is always 1: write activation sigmoid, or a unit for each class",
        )
        return
    yield from _units(training, output, labels, loss)
    yield from _probabilities(training, output, loss, given)
    yield from _form(training, output, labels, loss)
    yield from _class_weights(training, output, labels, loss)
    yield from _one_unit_metrics(training, output)


def _units(training: Training, output: Output, labels: Labels, loss: str) -> Iterator[Problem]:
    classes = training.pipeline.one_hot
    if output.units is None:
        return
    if output.units == 1 and loss in (*_CATEGORICAL, *_SPARSE):
        yield Problem(
            output.units_field,
            "1",
            f"{loss} needs a unit for each class: write their number, or BinaryCrossentropy as loss",
        )
    elif classes is not None and labels.whole is not False and output.units != classes and loss not in _FREE:
        yield Problem(
            output.units_field, str(output.units), f"must be the number of classes, pipeline.oneHot: {classes}"
        )
    elif labels.classes is not None and output.units < labels.classes and loss in _SPARSE:
        yield Problem(
            output.units_field, str(output.units), f"the labels have {labels.classes} classes: write {labels.classes}"
        )


def _probabilities(training: Training, output: Output, loss: str, given: dict[str, Any]) -> Iterator[Problem]:
    logits = given.get("from_logits", False)
    written = (notation(training.loss) or ("",))[0]
    for activation, losses in _PROBABILITIES.items():
        if loss in losses and logits and output.activation == activation:
            yield Problem(
                f"{LOSS}.{written}.from_logits",
                "true",
                f"the model's last activation is {activation}, so outputs are probabilities already: remove "
                "from_logits, or the activation",
            )
        elif loss in losses and not logits and output.activation == "linear":
            yield Problem(
                f"{LOSS}",
                loss,
                f"takes probabilities, and the model's last layer has no activation: write activation {activation} "
                f"there, or {{{loss}: {{from_logits: true}}}}",
            )


def _form(training: Training, output: Output, labels: Labels, loss: str) -> Iterator[Problem]:
    """Class numbers, one-hot vectors or measured numbers: each loss takes one of them."""
    one_hot = training.pipeline.one_hot
    if one_hot is not None:
        if loss in _SPARSE:
            better = loss.removeprefix("Sparse")
            change = f"write {better}, or remove" if better != loss else "remove"
            yield Problem(
                LOSS, loss, f"takes class numbers, and pipeline.oneHot makes vectors: {change} pipeline.oneHot"
            )
        return
    classification = (*_CATEGORICAL, *_SPARSE, *_BINARY)
    if labels.whole is False and labels.single and loss in classification:
        yield Problem(LOSS, loss, "is for classes, and these labels are measured: write mse, mae or huber")
    elif loss in _BINARY and labels.classes is not None and labels.classes > 2 and output.units == 1:
        yield Problem(
            LOSS,
            loss,
            f"is for two classes, and the labels have {labels.classes}: write SparseCategoricalCrossentropy",
        )
    elif labels.single and loss in _CATEGORICAL:
        size = labels.classes or output.units
        yield Problem(
            LOSS,
            loss,
            "takes one-hot vectors, and the labels are class numbers: write pipeline.oneHot: "
            f"{size or 'and the number of classes'}, or SparseCategoricalCrossentropy",
        )
    elif labels.single and output.units is not None and output.units > 1 and loss not in _FREE:
        yield Problem(
            output.units_field,
            str(output.units),
            f"{loss} compares outputs with labels one by one, and an example has one label: write units 1"
            + (", or pipeline.oneHot" if labels.whole else ""),
        )


def _class_weights(training: Training, output: Output, labels: Labels, loss: str) -> Iterator[Problem]:
    weights = training.class_weights
    if not weights:
        return
    if labels.whole is False:
        yield Problem("spec.training.classWeights", "", "is for classes, and these labels are measured: remove it")
        return
    several = output.units if output.units and output.units > 1 and loss in (*_SPARSE, *_CATEGORICAL) else None
    classes = training.pipeline.one_hot or labels.classes or several
    for name in weights:
        if classes is not None and int(name) >= classes:
            yield Problem(
                f"spec.training.classWeights.{name}",
                name,
                f"there is no such class: {classes} are numbered 0 to {classes - 1}",
            )


def _one_unit_metrics(training: Training, output: Output) -> Iterator[Problem]:
    for index, metric in enumerate(training.metrics or ()):
        name, given = parts(metric, "metric")
        if output.units == 1 and name in ("F1Score", "FBetaScore") and given.get("threshold") is None:
            yield Problem(
                f"spec.training.metrics[{index}].{(notation(metric) or (name,))[0]}.threshold",
                "",
                "is needed with one output: without it every example counts as positive, write threshold: 0.5",
            )
