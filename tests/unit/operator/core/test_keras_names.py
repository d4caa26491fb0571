"""Keras objects as people write them: what is accepted, and what a refusal says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.core import keras_catalog as catalog
from trainingjob_operator.core.keras_names import canonical, judge_object, metric_name

GOOD: list[tuple[str, Any]] = [
    ("optimizer", "adam"),
    ("optimizer", "ADAM"),  # Keras's own get() takes optimizers in any case
    ("optimizer", "RMSprop"),
    ("optimizer", {"Adam": None}),
    ("optimizer", {"Adam": {"learning_rate": 1, "clipnorm": 1}}),
    ("optimizer", {"adamw": {"weight_decay": 0.01, "use_ema": True}}),
    ("optimizer", {"SGD": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 2000}}}}),
    ("optimizer", {"SGD": {"learning_rate": {"PiecewiseConstantDecay": {"boundaries": [10], "values": [1, 0.1]}}}}),
    ("loss", "mse"),
    ("loss", "MSE"),
    ("loss", "sparse_categorical_crossentropy"),
    ("loss", "crossentropy"),
    ("loss", {"BinaryFocalCrossentropy": {"gamma": 2, "apply_class_balancing": True}}),
    ("loss", {"WeightedBinaryCrossentropy": {"pos_weight": 3, "from_logits": True}}),
    ("loss", {"Huber": {"delta": 2}}),
    ("metric", "accuracy"),
    ("metric", {"accuracy": {"name": "hits"}}),
    ("metric", {"F1Score": {"average": "macro", "threshold": None}}),
    ("metric", {"MeanIoU": {"num_classes": 3}}),
    ("metric", {"AUC": {"curve": "PR", "name": "auc_pr"}}),
    ("layer", "Flatten"),
    ("layer", {"MaxPool2D": {}}),
    ("layer", {"Conv2D": {"filters": 32, "kernel_size": [3, 3], "activation": "relu", "padding": "same"}}),
    (
        "layer",
        {"Dense": {"units": 10, "kernel_initializer": "he_normal", "kernel_regularizer": {"L2": {"l2": 1e-4}}}},
    ),
    ("layer", {"Dense": {"units": 10, "activation": None, "kernel_regularizer": "l2"}}),
    ("layer", {"Bidirectional": {"layer": {"LSTM": {"units": 8, "return_sequences": True}}}}),
    ("layer", {"TimeDistributed": {"layer": {"Dense": {"units": 8}}}}),
    ("layer", {"RNN": {"cell": [{"LSTMCell": {"units": 8}}, {"GRUCell": {"units": 8}}]}}),
    ("layer", {"RandomRotation": {"factor": [-0.1, 0.1]}}),
    ("preset", "MobileNetV2"),
    ("preset", {"ResNet50": {"classes": 10, "weights": None}}),
    ("preset", {"CNN": {"filters": [8, 16], "classes": 3}}),
    ("preset", {"MLP": {"hidden": []}}),
]

BAD: list[tuple[str, Any, str, str]] = [
    # names
    ("optimizer", "adem", "f", "is not an optimizer of Keras; did you mean Adam?"),
    ("optimizer", "Dense", "f", "is not an optimizer of Keras: Dense is a layer"),
    ("optimizer", "mse", "f", "MeanSquaredError is a loss"),
    ("optimizer", "MultiOptimizer", "f", "it is made of code: use spec.program"),
    ("optimizer", "Optimizer", "f", "it is a base class"),
    ("optimizer", "qqqqq", "f", "the names are Keras's, as in {Adam: {learning_rate: 0.001}}"),
    ("loss", "cross_entropy", "f", "did you mean crossentropy?"),
    ("loss", "Mean_Squared_Error", "f", "did you mean MeanSquaredError?"),
    ("loss", "circle", "f", "it compares a batch's examples with each other"),
    ("metric", "F1", "f", "did you mean F1Score?"),
    ("metric", "f1score", "f", "did you mean F1Score?"),
    ("metric", "Huber", "f", "Huber is a loss"),
    ("layer", "flatten", "f", "did you mean Flatten?"),
    ("layer", "softmax", "f", "is not a layer of Keras; did you mean Softmax?"),  # also an activation
    ("layer", "LSTMCell", "f", "LSTMCell is a cell and goes into RNN"),
    ("layer", "Concatenate", "f", "it takes several inputs, and a list of layers has one: use model.builder"),
    ("layer", "Lambda", "f", "it is made of code"),
    ("layer", "InputLayer", "f", "leave it out: the input's shape is the data's"),
    ("preset", "ResNet51", "f", "is not a preset of keras.applications; did you mean ResNet50?"),
    ("preset", "Conv2D", "f", "Conv2D is a layer"),
    # form
    ("optimizer", 7, "f", "must be the name of an optimizer, or one name with its parameters"),
    ("optimizer", None, "f", "must be the name of an optimizer"),
    ("optimizer", {}, "f", "must be the name of an optimizer"),
    ("optimizer", {"Adam": 1}, "f.Adam", "must be an object of parameters, as in {Adam: {learning_rate: 0.001}}"),
    ("optimizer", {"Adam": {}, "learning_rate": 1}, "f", "must have one key, the name of an optimizer"),
    # parameters
    ("optimizer", {"Adam": {"lr": 1}}, "f.Adam.lr", "is not a parameter of Adam; there are: amsgrad, beta_1"),
    ("optimizer", {"Adam": {"learningRate": 1}}, "f.Adam.learningRate", "did you mean learning_rate?"),
    ("optimizer", {"Adam": {"learning_rate": "x"}}, "f.Adam.learning_rate", "must be a number of at least 0 or a schedule"),
    ("optimizer", {"Adam": {"learning_rate": "0.1"}}, "f.Adam.learning_rate", "must be a number of at least 0"),
    ("optimizer", {"Adam": {"learning_rate": True}}, "f.Adam.learning_rate", "must be a number of at least 0"),
    ("optimizer", {"Adam": {"learning_rate": -1}}, "f.Adam.learning_rate", "must be a number of at least 0"),
    ("optimizer", {"Adam": {"learning_rate": 10**400}}, "f.Adam.learning_rate", "must be a number"),
    ("optimizer", {"Adam": {"beta_1": 1}}, "f.Adam.beta_1", "a number of more than 0 and of less than 1"),
    ("optimizer", {"Adam": {"amsgrad": "yes"}}, "f.Adam.amsgrad", "must be true or false"),
    ("optimizer", {"Adam": {"clipnorm": 1, "clipvalue": 2}}, "f.Adam.clipvalue", "clips in one way, and clipnorm is set too"),
    ("optimizer", {"Adam": {"gradient_accumulation_steps": 2}}, "f.Adam.gradient_accumulation_steps",
     "write spec.training.gradientAccumulation instead"),
    ("optimizer", {"sgd": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 1}}}},
     "f.sgd.learning_rate.CosineDecay.decay_steps", "is required by CosineDecay: a whole number of at least 1"),
    ("optimizer", {"SGD": {"learning_rate": {"Dense": {}}}}, "f.SGD.learning_rate", "Dense is a layer"),
    ("optimizer", {"SGD": {"learning_rate": {"PiecewiseConstantDecay": {"boundaries": [1], "values": [1]}}}},
     "f.SGD.learning_rate.PiecewiseConstantDecay.values", "must have one value more than boundaries: 2, and has 1"),
    ("loss", {"MeanSquaredError": {"reduction": "sum"}}, "f.MeanSquaredError.reduction", "always the mean over the global batch"),
    ("loss", "WeightedBinaryCrossentropy", "f.WeightedBinaryCrossentropy.pos_weight", "is required"),
    ("metric", {"F1Score": {"average": "makro"}}, "f.F1Score.average", "must be one of macro, micro, weighted; did you mean macro?"),
    ("metric", {"IoU": {"num_classes": 2, "target_class_ids": [2]}}, "f.IoU.target_class_ids", "the last one is 1"),
    ("metric", {"AUC": {"num_labels": 2}}, "f.AUC.num_labels", "write multi_label: true too"),
    ("layer", {"Dense": {}}, "f.Dense.units", "is required by Dense: a whole number of at least 1"),
    ("layer", {"Dense": {"units": 0}}, "f.Dense.units", "must be a whole number of at least 1"),
    ("layer", {"Dense": {"units": 2.5}}, "f.Dense.units", "must be a whole number"),
    ("layer", {"Dense": {"units": 2, "activation": "rellu"}}, "f.Dense.activation", "is not an activation of Keras; did you mean relu?"),
    ("layer", {"Dense": {"units": 2, "activation": {"relu": {"max_value": 6}}}}, "f.Dense.activation.relu.max_value",
     "relu takes no parameters: remove it"),
    ("layer", {"Dense": {"units": 2, "kernel_regularizer": {"L2": {"l2": -1}}}}, "f.Dense.kernel_regularizer.L2.l2",
     "must be a number of at least 0"),
    ("layer", {"Dense": {"units": 2, "name": "a/b"}}, "f.Dense.name", "must be a text without /"),
    ("layer", {"Dropout": {"rate": 2}}, "f.Dropout.rate", "must be a number from 0 to 1"),
    ("layer", {"Conv2D": {"filters": 3, "kernel_size": [3]}}, "f.Conv2D.kernel_size", "or a list of 2, each a whole number"),
    ("layer", {"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "causal"}}, "f.Conv2D.padding", "must be one of same, valid"),
    ("layer", {"Conv2D": {"filters": 3, "kernel_size": 3, "groups": 2}}, "f.Conv2D.groups", "must divide filters, 3"),
    ("layer", {"Conv2D": {"filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2}}, "f.Conv2D.dilation_rate", "keep one"),
    ("layer", {"LSTM": {"units": 3, "stateful": True}}, "f.LSTM.stateful", "leave it out"),
    ("layer", {"Bidirectional": {"layer": {"Dense": {"units": 2}}}}, "f.Bidirectional.layer", "must be a recurrent layer"),
    ("layer", {"RNN": {"cell": [{"LSTMCell": {"units": 8}}, {"GRUCell": {}}]}}, "f.RNN.cell[1].GRUCell.units", "is required"),
    ("layer", {"StringLookup": {"vocabulary": ["a", "a"]}}, "f.StringLookup.vocabulary", "must hold each entry once"),
    ("layer", {"Reshape": {"target_shape": [-1, -1]}}, "f.Reshape.target_shape", "once"),
    ("layer", {"RandomRotation": {"factor": [0.2, 0.1]}}, "f.RandomRotation.factor", "the smaller one first"),
    ("preset", {"ResNet50": {"weights": "imagenet"}}, "f.ResNet50.weights", "presets begin with random weights"),
    ("preset", {"ResNet50": {"input_shape": [32, 32, 3]}}, "f.ResNet50.input_shape", "the input's shape is the data's"),
    ("preset", {"CNN": {"filters": []}}, "f.CNN.filters", "must be a list"),
]  # fmt: skip


def ids(value: Any) -> str:
    return str(value)[:70]


@pytest.mark.parametrize(("kind", "value"), GOOD, ids=ids)
def test_what_keras_takes_is_accepted(kind: str, value: Any) -> None:
    assert [str(problem) for problem in judge_object(value, kind, "f")] == []


@pytest.mark.parametrize(("kind", "value", "field", "says"), BAD, ids=ids)
def test_a_refusal_names_the_field_and_what_to_write(kind: str, value: Any, field: str, says: str) -> None:
    (problem,) = judge_object(value, kind, "f")
    assert problem.field == field
    assert says in problem.message


def test_every_mistake_in_an_object_is_named() -> None:
    value = {"Conv2D": {"kernel_size": 0, "padding": "smae", "kernal_initializer": "zeros"}}
    assert {problem.field for problem in judge_object(value, "layer", "l[0]")} == {
        "l[0].Conv2D.kernel_size", "l[0].Conv2D.padding", "l[0].Conv2D.kernal_initializer", "l[0].Conv2D.filters",
    }  # fmt: skip


def test_objects_within_objects_have_an_end() -> None:
    value: Any = {"Dense": {"units": 1}}
    for _ in range(5000):
        value = {"TimeDistributed": {"layer": value}}
    (problem,) = judge_object(value, "layer", "f")
    assert "nested deeper than 12" in problem.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["Adam", "units", "Dense"]), below),
    max_leaves=8,
)


@given(st.sampled_from(sorted(catalog.kinds())), JSON)
def test_no_json_is_too_strange_to_be_judged(kind: str, value: Any) -> None:
    assert all(problem.message for problem in judge_object(value, kind, "f"))


@given(st.sampled_from(["Dense", "Conv2D", "LSTM", "Normalization", "RNN"]), st.dictionaries(
    st.sampled_from(["units", "filters", "kernel_size", "mean", "variance", "cell", "strides", "groups"]), JSON))  # fmt: skip
def test_no_parameter_is_too_strange_to_be_judged(name: str, parameters: Any) -> None:
    assert all(problem.message for problem in judge_object({name: parameters}, "layer", "f"))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("optimizer", "adam", {"Adam": {}}),
        ("optimizer", {"sgd": {"learning_rate": 1, "nesterov": True}}, {"SGD": {"learning_rate": 1.0, "nesterov": True}}),
        ("optimizer", {"SGD": {"learning_rate": {"exponential_decay": {"initial_learning_rate": 1, "decay_steps": 5, "decay_rate": 1}}}},
         {"SGD": {"learning_rate": {"ExponentialDecay": {"initial_learning_rate": 1.0, "decay_steps": 5, "decay_rate": 1.0}}}}),
        ("loss", "mse", {"MeanSquaredError": {}}),
        ("loss", "ce", {"ce": {}}),
        ("metric", "mse", {"MeanSquaredError": {"name": "mse"}}),
        ("metric", {"auc": {"curve": "PR"}}, {"AUC": {"name": "auc", "curve": "PR"}}),
        ("metric", "accuracy", {"accuracy": {"name": "accuracy"}}),
        ("layer", {"MaxPool2D": {"pool_size": [2, 2]}}, {"MaxPooling2D": {"pool_size": [2, 2]}}),
        ("layer", {"Dense": {"units": 3, "activation": "swish", "kernel_regularizer": "l2"}},
         {"Dense": {"units": 3, "activation": "silu", "kernel_regularizer": {"L2": {}}}}),
        ("layer", {"RNN": {"cell": [{"LSTMCell": {"units": 8}}]}}, {"RNN": {"cell": [{"LSTMCell": {"units": 8}}]}}),
        ("layer", {"RandomRotation": {"factor": [0, 1]}}, {"RandomRotation": {"factor": [0.0, 1.0]}}),
        ("preset", {"ResNet50": {"weights": None, "classes": 5}}, {"ResNet50": {"classes": 5}}),
    ],
    ids=ids,
)  # fmt: skip
def test_one_form_for_every_spelling(kind: str, value: Any, expected: Any) -> None:
    found = canonical(value, kind)
    assert found == expected
    assert repr(found).replace("'", "") == repr(expected).replace("'", "")  # 1 and 1.0 are equal, and not the same
    assert canonical(found, kind) == found


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("mse", "mse"), ("MeanSquaredError", "mean_squared_error"), ("AUC", "auc"), ({"AUC": {"name": "area"}}, "area"),
        ("acc", "acc"), ("F1Score", "f1_score"), ("FBetaScore", "fbeta_score"), ("Precision", "precision"),
        ("TopKCategoricalAccuracy", "top_k_categorical_accuracy"), ("RecallAtPrecision", "recall_at_precision"),
    ],
)  # fmt: skip
def test_metrics_are_reported_as_keras_shows_them(value: Any, name: str) -> None:
    assert metric_name(value) == name


def test_the_catalog_holds_keras() -> None:
    assert catalog.keras_version() == "3.15.1"
    counts = {kind: len(catalog.kind(kind).objects) for kind in catalog.kinds()}
    assert counts["optimizer"] >= 14
    assert counts["loss"] >= 22
    assert counts["metric"] >= 42
    assert counts["layer"] >= 110


def test_every_type_of_the_catalog_has_words() -> None:
    for kind in catalog.kinds():
        for name in catalog.kind(kind).objects:
            for key, about in catalog.kind(kind).parameters(name).items():
                assert about.why_not or (about.type and about.type.words()), f"{name}.{key}"


def test_every_alias_is_a_name() -> None:
    for kind in map(catalog.kind, catalog.kinds()):
        for alias, name in kind.aliases.items():
            assert name in kind.objects or name in kind.refused, alias
