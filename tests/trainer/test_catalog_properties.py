"""What the operator's judge accepts, the trainer makes with Keras: over parameters drawn from types and from nonsense."""

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainingjob_trainer.keras_objects import build

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "operator")]

from trainingjob_operator.core import keras_catalog as catalog  # noqa: E402
from trainingjob_operator.core.keras_canonical import canonical  # noqa: E402
from trainingjob_operator.core.keras_catalog import Parameter  # noqa: E402
from trainingjob_operator.core.keras_judge import faults  # noqa: E402
from trainingjob_operator.core.keras_types import Constant, KerasKind, Listed, Number, Plain, Type  # noqa: E402

KINDS = ("optimizer", "schedule", "loss", "metric", "initializer", "regularizer", "constraint", "layer", "cell")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["", "x", "same", "relu", "l2"]),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["L2", "Dense", "x"]), below, max_size=2)
    ),
    max_leaves=4,
)


def numbers(of: Number) -> st.SearchStrategy[Any]:
    bounds = dict(of.bounds)
    low, high = bounds.get(">=", bounds.get(">")), bounds.get("<=", bounds.get("<"))
    if of.whole:
        low = -4 if low is None else int(low)
        return st.integers(low, int(high) if high is not None else low + 8).filter(of.fits)
    low = -4.0 if low is None else low
    return (st.floats(low, high if high is not None else low + 8) | st.integers(-3, 8)).filter(of.fits)


def of_type(expected: Type, depth: int) -> st.SearchStrategy[Any]:
    """Values of a type."""
    options = []
    for option in expected.options:
        if isinstance(option, Number):
            options.append(numbers(option))
        elif isinstance(option, Plain):
            options.append(st.booleans() if option.of == "bool" else st.sampled_from(["a", "some_name", "b c"]))
        elif isinstance(option, Constant):
            options.append(st.just(option.value))
        elif isinstance(option, KerasKind) and depth < 2:
            options.append(objects(option.kind, depth + 1))
        elif isinstance(option, Listed):
            length = option.length
            items = of_type(option.item, depth)
            lists = st.lists(items, min_size=length or int(option.some), max_size=length or 3)
            options.append(lists.map(sorted) if option.ascending else lists)
    return st.one_of(options or [st.none()])


@st.composite
def objects(draw: st.DrawFn, kind: str, depth: int = 0, one: str | None = None) -> Any:
    """Objects of a kind: mostly of the right types, now and then with nonsense in one parameter."""
    known = catalog.kind(kind)
    name = one or draw(st.sampled_from(sorted(known.objects)))
    if kind == "activation":
        return name
    about: dict[str, Parameter] = {key: item for key, item in known.parameters(name).items() if item.type is not None}
    optional = draw(st.lists(st.sampled_from(sorted(about)), unique=True, max_size=4)) if about else []
    value = {key: draw(of_type(item.type, depth)) for key, item in about.items() if item.required or key in optional}
    if value and depth == 0 and draw(st.integers(0, 3)) == 0:
        value[draw(st.sampled_from(sorted(value)))] = draw(JSON)
    return {name: value}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_judge_accepts_keras_makes(kind: str) -> None:
    made = {"accepted": 0, "refused": 0}

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(objects(kind))
    def holds(value: Any) -> None:
        if list(faults(value, kind, "f")):
            made["refused"] += 1
            return
        made["accepted"] += 1
        if "WeightedBinaryCrossentropy" in value:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build("layer" if kind == "cell" else kind, canonical(value, kind), "f")

    holds()
    assert made["accepted"] > 50, made
    assert made["refused"] > 4 or kind == "constraint", made


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(KINDS),
    JSON | st.dictionaries(st.sampled_from(["Adam", "Dense", "L2", "F1Score"]), JSON, max_size=2),
)
def test_the_judge_never_raises(kind: str, value: Any) -> None:
    assert all(fault.message and fault.field.startswith("f") for fault in faults(value, kind, "f"))
