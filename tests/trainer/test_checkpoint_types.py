"""Checkpoints with TensorFlow: types that numpy lacks, variables of every kind, other file systems, optimizers unbuilt."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import trainingjob
from trainingjob._checkpoint import Checkpoints, broadcast_restore
from trainingjob._checkpoint_state import State


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    document = {"version": 1, "checkpoint": {"path": str(tmp_path / "c"), "everySteps": 1, "keep": 3}}
    monkeypatch.setenv("TRAININGJOB_SPEC", json.dumps(document))
    return tmp_path / "c"


TYPES = [
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "int8",
    "uint8",
    "int32",
    "int64",
    "bool",
    "complex64",
    "float8_e4m3fn",
]


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_kept_to_the_bit(tmp_path: Path, name: str) -> None:
    bits = np.random.default_rng(0).integers(0, 2, 64).astype("uint8") if name == "bool" else None
    element = tf.dtypes.as_dtype(name).as_numpy_dtype
    raw = np.random.default_rng(1).integers(0, 120, 64 * np.dtype(element).itemsize).astype("uint8")
    value = bits.astype(bool) if bits is not None else raw.view(element)
    checkpoints = Checkpoints(str(tmp_path), is_chief=True)
    checkpoints.write(1, {"v": value, "scalar": np.asarray(value[0])}, {})
    read = checkpoints.read()
    assert read is not None
    assert read[0]["v"].dtype == value.dtype
    assert read[0]["v"].tobytes() == value.tobytes()
    assert read[0]["scalar"].shape == ()


def test_a_bfloat16_variable_is_restored(tmp_path: Path) -> None:
    variable = tf.Variable(tf.constant([1.0, -0.0, float("nan"), 3.140625], tf.bfloat16))
    checkpoints = Checkpoints(str(tmp_path), is_chief=True)
    checkpoints.write(4, {"v": variable}, {"step": 4})
    other = tf.Variable(tf.zeros(4, tf.bfloat16))
    assert broadcast_restore(checkpoints, {"v": other}, None) == {"step": 4}
    assert tf.bitcast(other, tf.uint16).numpy().tolist() == tf.bitcast(variable, tf.uint16).numpy().tolist()


def test_an_address_goes_through_tensorflow_file_systems() -> None:
    checkpoints = Checkpoints("ram://bucket/job", keep=2, is_chief=True)
    assert checkpoints.read() is None
    for step in (1, 2, 3):
        checkpoints.write(step, {"x": np.arange(5)}, {"step": step})
    checkpoints.complete(3)
    follower = Checkpoints("ram://bucket/job", is_chief=False)
    assert follower.steps() == [2, 3]
    assert follower.completed() == 3
    read = follower.read()
    assert read is not None
    assert read[1] == {"step": 3}
    assert read[0]["x"].tolist() == [0, 1, 2, 3, 4]


def model_and_optimizer(name: str) -> tuple[Any, Any]:
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
    return model, getattr(tf.keras.optimizers, name)()


def train(model: Any, optimizer: Any) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.ones((4, 3))) ** 2)
    optimizer.apply_gradients(
        zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    )


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "RMSprop", "Ftrl", "Nadam", "Lion", "Adamax"]
)
def test_an_optimizer_that_is_not_built_gets_its_state(job: Path, name: str) -> None:
    model, optimizer = model_and_optimizer(name)
    state = trainingjob.checkpoint(model=model, optimizer=optimizer)
    train(model, optimizer)
    state.save(1)
    state.finish()
    again, unbuilt = model_and_optimizer(name)
    assert trainingjob.checkpoint(model=again, optimizer=unbuilt).step == 1
    for mine, theirs in zip(
        [*again.variables, *unbuilt.variables], [*model.variables, *optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    train(model, optimizer)
    train(again, unbuilt)
    np.testing.assert_array_equal(again.variables[0].numpy(), model.variables[0].numpy())


class Plain(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(tf.random.normal([3]), name="w")
        self.b = tf.Variable(0.0, name="b", trainable=False)


def test_modules_variables_lists_and_generators(job: Path) -> None:
    def objects() -> dict[str, Any]:
        return {
            "module": Plain(),
            "several": [tf.Variable(1.0), {"inner": tf.Variable([2, 3])}],
            "one": tf.Variable("x" == "y"),
            "noise": tf.random.Generator.from_non_deterministic_state(),
            "metric": tf.keras.metrics.Mean(),
        }

    first, second = objects(), objects()
    first["metric"].update_state([1.0, 2.0])
    first["several"][0].assign(7.0)
    state = trainingjob.checkpoint(**first)
    with state:
        state.save(3, note="here")
    found = trainingjob.checkpoint(**second)
    assert (found.step, found.position) == (3, {"step": 3, "note": "here"})
    np.testing.assert_array_equal(second["module"].w, first["module"].w)
    assert float(second["several"][0]) == 7.0
    assert float(second["metric"].result()) == 1.5
    np.testing.assert_array_equal(second["noise"].normal([3]), first["noise"].normal([3]))


def test_what_has_no_variables_is_refused_with_a_list_of_what_has(job: Path) -> None:
    with pytest.raises(TypeError, match="step is a int, which has no variables; give it Keras models"):
        trainingjob.checkpoint(step=3)


def test_a_model_without_weights_is_refused_with_the_remedy(job: Path) -> None:
    with pytest.raises(ValueError, match=r"'net' has no weights yet; call `net.build"):
        trainingjob.checkpoint(net=tf.keras.Sequential([tf.keras.layers.Dense(2)]))


def test_outside_of_a_job_it_does_nothing() -> None:
    assert "TRAININGJOB_SPEC" not in os.environ
    state = trainingjob.checkpoint(model=object())
    assert isinstance(state, State)
    state.save(4)
    state.finish()
    assert state.step == 0


def test_saving_when_nothing_is_due_costs_next_to_nothing(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timeit

    document = {"version": 1, "checkpoint": {"path": str(job), "everySteps": 10**9}}
    monkeypatch.setenv("TRAININGJOB_SPEC", json.dumps(document))
    model, optimizer = model_and_optimizer("Adam")
    state = trainingjob.checkpoint(model=model, optimizer=optimizer)
    assert min(timeit.repeat(lambda: state.save(5), number=1000, repeat=5)) / 1000 < 20e-6
