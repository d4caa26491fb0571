"""Names and parameters of Keras in `spec.training`: optimizer, loss, metrics, model."""

import ast
import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from trainingjob_operator.api.data import PythonObject
from trainingjob_operator.api.training import Training
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core import keras_catalog as catalog
from trainingjob_operator.core.keras_names import judge_object, metric_name, notation

MODEL = "spec.training.model"
_CLIPPING = {"norm": "clipnorm", "globalNorm": "global_clipnorm", "value": "clipvalue"}
#: What model.to_json() writes as class_name of models that Keras can make without further code.
_MODEL_CLASSES = ("Functional", "Model", "Sequential")


def judge_keras(training: Training) -> Iterator[Problem]:
    """Yield what is wrong with each Keras object of a training, and with names that two of them have."""
    yield from judge_object(training.optimizer, "optimizer", "spec.training.optimizer")
    yield from judge_object(training.loss, "loss", "spec.training.loss")
    for index, metric in enumerate(training.metrics or ()):
        yield from judge_object(metric, "metric", f"spec.training.metrics[{index}]")
    yield from _metric_names(training)
    yield from _clipping(training)
    model = training.model
    if model.preset is not None:
        yield from judge_object(model.preset, "preset", f"{MODEL}.preset")
    for index, layer in enumerate(model.layers or ()):
        yield from judge_object(layer, "layer", f"{MODEL}.layers[{index}]")
    yield from _layer_names(model.layers or [])
    if model.keras_json is not None:
        yield from _json(model.keras_json)
    for field, builder in (
        (f"{MODEL}.builder", model.builder),
        ("spec.training.dataset.builder", training.dataset.builder),
    ):
        if builder is not None:
            yield from _builder(builder, training, field)


def metric_names(training: Training) -> dict[str, bool]:
    """Return the names under which metrics are reported, and whether one gives several numbers: NAME_0, NAME_1."""
    return {_reported(metric_name(metric)): _several(metric) for metric in training.metrics or ()}


def parts(value: Any, kind: str) -> tuple[str, dict[str, Any]]:
    """Return Keras's name of an object and its parameters, for an object that is right."""
    written, given = notation(value) or ("", {})
    return catalog.kind(kind).find(written) or written, given if isinstance(given, dict) else {}


def _several(metric: Any) -> bool:
    name, given = parts(metric, "metric")
    if name == "R2Score":
        return "class_aggregation" in given and given["class_aggregation"] is None
    if isinstance(given.get("thresholds"), list) and name != "AUC":
        return len(given["thresholds"]) > 1
    return name in ("F1Score", "FBetaScore") and given.get("average") is None


def _reported(name: str) -> str:
    # as the trainer writes it, for the status
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name)[:50]


def _metric_names(training: Training) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, name in enumerate(_reported(metric_name(metric)) for metric in training.metrics or ()):
        if name in seen:
            yield Problem(
                f"spec.training.metrics[{index}]",
                name,
                f"has the same name as metrics[{seen[name]}]: remove it, or give it a name of its own, as in "
                f"{{AUC: {{name: auc_pr, curve: PR}}}}",
            )
        elif name == "loss":
            yield Problem(
                f"spec.training.metrics[{index}]",
                name,
                "is the name of the loss itself: give the metric another name",
            )
        seen.setdefault(name, index)


def _clipping(training: Training) -> Iterator[Problem]:
    if training.gradient_clipping is None:
        return
    _, given = parts(training.optimizer, "optimizer")
    for own in _CLIPPING.values():
        if given.get(own) is not None:
            yield Problem(
                "spec.training.gradientClipping",
                "",
                f"the optimizer has {own} already, and gradients are clipped in one way: remove one of them",
            )


def _layer_names(layers: list[Any]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, layer in enumerate(layers):
        written, given = notation(layer) or ("", {})
        name = given.get("name") if isinstance(given, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield Problem(
                    f"{MODEL}.layers[{index}].{written}.name",
                    name,
                    f"is the name of layers[{seen[name]}] too: names of layers must differ",
                )
            seen.setdefault(name, index)


def _json(text: str) -> Iterator[Problem]:
    field = f"{MODEL}.json"
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Problem(field, text[:60], f"is not JSON ({error}): write what model.to_json() returns")
        return
    if not isinstance(config, dict) or "class_name" not in config or not isinstance(config.get("config"), dict):
        yield Problem(field, text[:60], "is not a Keras model: write what model.to_json() returns")
    elif config["class_name"] not in _MODEL_CLASSES:
        yield Problem(
            f"{field}.class_name",
            str(config["class_name"])[:60],
            f"only {', '.join(_MODEL_CLASSES)} can be made without their code: use model.builder",
        )


def _builder(builder: PythonObject, training: Training, field: str) -> Iterator[Problem]:
    """Look for the function in the job's own files; what the image holds is not known here."""
    inline = training.source.inline.files if training.source and training.source.inline else {}
    module, _, function = builder.function.partition(":")
    path = module.replace(".", "/")
    text = inline.get(f"{path}.py", inline.get(f"{path}/__init__.py"))
    if text is None:
        return
    defined = _defined(text)
    if defined is not None and function not in defined and "*" not in defined:
        near = difflib.get_close_matches(function, defined, n=1)
        hint = f"; did you mean {module}:{near[0]}?" if near else ""
        yield Problem(f"{field}.function", builder.function, f"the file {path}.py has no {function}{hint}")


def _defined(text: str) -> set[str] | None:
    """Return the names that a module binds anywhere, `*` for a star import; None when that can't be told here."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the trainer's Python may be a newer one
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "setattr")
        ):
            return None
    return names
