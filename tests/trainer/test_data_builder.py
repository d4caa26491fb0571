"""A data set by a user's own function: what it may return, and what is said when it returns something else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data_files import collect, everything, feed, write_module
from trainingjob_trainer.data import DataError, Stream, open_source
from trainingjob_trainer.errors import ProgramError, SpecError

FIELD = "spec.training.dataset.builder"
MODULE = """
import numpy as np
import tensorflow as tf

X, Y = np.arange(22, dtype=np.float32).reshape(11, 2), np.arange(11)

def arrays(size=11, weighted=False):
    return (X[:size], Y[:size], np.arange(size) / 2) if weighted else (X[:size], Y[:size])

def dataset(how="plain"):
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    return {
        "plain": data,
        "uncounted": data.filter(lambda x, y: y != 3),
        "weighted": data.map(lambda x, y: (x, y, tf.cast(y, tf.float64))),
        "endless": data.repeat(),
        "batched": data.batch(4),
        "shuffled": data.shuffle(11),
        "shuffled below": data.shuffle(11, seed=1).map(lambda x, y: (x + 1, y)),
        "shuffled once": data.shuffle(11, seed=1, reshuffle_each_iteration=False),
        "dict": data.map(lambda x, y: {"x": x, "y": y}),
        "texts": data.map(lambda x, y: (x, tf.strings.as_string(y))),
        "empty": data.take(0),
        "nan": data.map(lambda x, y: (x, tf.where(y == 5, np.nan, 1.0))),
        "fails": data.map(lambda x, y: (tf.debugging.check_numerics(x / tf.cast(5 - y, tf.float32), "oh"), y)),
    }[how]

def returns(what):
    return {"none": None, "one": X, "ragged": ([[1], [1, 2]], [1, 2]), "dict": {"x": X}, "half": (X, None)}[what]

def shrinking(calls=[]):
    def generate():
        calls.append(1)
        yield from zip(X[: 11 if len(calls) < 2 else 9], Y)
    spec = (tf.TensorSpec([2], tf.float32), tf.TensorSpec([], tf.int64))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)

def raises():
    raise KeyError("no such thing")

not_a_function = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"my_data_{tmp_path.name}"
    write_module(tmp_path, name, MODULE, monkeypatch)
    return name


def built(module: str, function: str, **arguments: Any) -> Any:
    return open_source({"builder": {"function": f"{module}:{function}", "arguments": arguments}}, seed=1)


def refused(module: str, function: str, *said: str, field: str = "", **arguments: Any) -> None:
    with pytest.raises(DataError) as caught:
        built(module, function, **arguments)
    assert str(caught.value).startswith(f"{FIELD}{field}: "), caught.value
    for text in said:
        assert text in str(caught.value)


def test_arrays_with_arguments(module: str) -> None:
    x, y, weight = everything(built(module, "arrays", size=5))
    assert x.tolist() == np.arange(10).reshape(5, 2).tolist()
    assert y.tolist() == list(range(5))
    assert weight.tolist() == [1] * 5
    assert everything(built(module, "arrays", weighted=True))[2].tolist() == (np.arange(11) / 2).tolist()


@pytest.mark.parametrize(("how", "labels"), [("plain", range(11)), ("uncounted", [0, 1, 2, *range(4, 11)])])
def test_a_dataset_of_single_examples(module: str, how: str, labels: Any) -> None:
    source = built(module, "dataset", how=how)
    assert isinstance(source, Stream)
    assert source.size == len(labels)
    x, y, _ = everything(source)
    assert y.tolist() == list(labels)
    assert x.tolist() == [[2 * n, 2 * n + 1] for n in labels]


def test_weights_of_a_dataset(module: str) -> None:
    assert everything(built(module, "dataset", how="weighted"))[2].tolist() == list(range(11))


@pytest.mark.parametrize("how", ["plain", "uncounted", "shuffled once"])
def test_a_dataset_is_shuffled_dealt_and_resumed_like_any_other(module: str, how: str) -> None:
    source = built(module, "dataset", how=how)
    alone = collect(feed(source, global_batch=4), 0, 9)
    first = [int(label) for batch in alone[:3] for label, mask in zip(batch[1], batch[2], strict=True) if mask]
    assert len(set(first)) == len(first) == source.size
    assert first != sorted(first)
    for start in (0, 4):
        gang = [collect(feed(source, global_batch=4, parts=3, first_part=part), start, 9) for part in range(3)]
        for number, whole in enumerate(alone[start:]):
            joined = np.concatenate([member[number][1][member[number][2] > 0] for member in gang])
            assert joined.tolist() == whole[1][whole[2] > 0].tolist()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("endless", ["has no end", "remove .repeat()"]),
        ("batched", ["x has the shape (None, 2)", "remove .batch()"]),
        ("shuffled", ["shuffles by itself", "remove .shuffle()"]),
        ("shuffled below", ["shuffles by itself"]),
        ("dict", ["(x, y) or (x, y, weight)"]),
        ("texts", ["y holds string"]),
        ("empty", ["no examples"]),
    ],
)
def test_a_dataset_that_cannot_be_dealt_is_refused(module: str, how: str, said: list[str]) -> None:
    refused(module, "dataset", *said, how=how)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "returned NoneType"),
        ("one", "returned ndarray"),
        ("ragged", "rows of different lengths"),
        ("dict", "returned dict"),
        ("half", "returned tuple of 2"),
    ],
)
def test_something_else_is_refused(module: str, what: str, said: str) -> None:
    refused(module, "returns", said, "return (x, y)", what=what)


def test_a_dataset_that_changes_is_told(module: str) -> None:
    source = built(module, "shrinking")
    own = feed(source, global_batch=4)
    with pytest.raises(tf.errors.OpError) as caught:
        collect(own, 0, own.steps_per_epoch)
    told = own.explain(caught.value)
    assert told is not None
    assert str(told).startswith(f"{FIELD}: gave 11 examples once")


def test_a_label_that_is_no_number_is_told(module: str) -> None:
    own = feed(built(module, "dataset", how="nan"), global_batch=4)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        collect(own, 0, 3)
    assert str(own.explain(caught.value)).startswith(f"{FIELD}: the dataset gave a label or weight that is no finite")


def test_a_dataset_that_fails_keeps_its_own_error(module: str) -> None:
    own = feed(built(module, "dataset", how="fails"), {"shuffle": False}, global_batch=4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="oh : Tensor had Inf") as caught:
        collect(own, 0, 3)
    assert own.explain(caught.value) is None  # it is the user's program, whose traceback is worth more


def test_the_users_own_errors_are_told(module: str) -> None:
    with pytest.raises(ProgramError, match=r"raises raised KeyError: 'no such thing'"):
        built(module, "raises")
    with pytest.raises(ProgramError, match="unexpected keyword argument 'sise'"):
        built(module, "arrays", sise=3)
    for function in ("arrrays", "not_a_function"):
        with pytest.raises(SpecError, match=rf"^{FIELD}\.function: "):
            built(module, function)
    with pytest.raises(SpecError, match="there is no module 'no_such_module'"):
        built("no_such_module", "arrays")
