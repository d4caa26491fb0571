"""No iterator of `fit` has tf.data's tuner, which can hold up its end for a minute, unless the program asks for it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator

from trainingjob_hooks.keras3 import source
from trainingjob_hooks.keras3.iterator import Input

X = np.zeros((6, 2), "float32")


def dataset_with(**autotune: Any) -> tf.data.Dataset:
    options = tf.data.Options()
    for name, value in autotune.items():
        setattr(options.autotune, name, value)
    return tf.data.Dataset.from_tensor_slices(X).with_options(options).batch(2).prefetch(tf.data.AUTOTUNE)


@pytest.mark.parametrize("x", [X, dataset_with()], ids=["arrays", "dataset"])
def test_what_fit_iterates_over_has_no_tuner(x: Any) -> None:
    keras_iterator = TFEpochIterator(tf.distribute.get_strategy(), x=x, batch_size=2 if x is X else None)
    found = Input(keras_iterator, fit=None).dataset
    assert found.options().autotune.enabled is False
    assert len(list(found)) == 3


def test_a_program_may_ask_for_it() -> None:
    assert source.untuned(dataset_with(enabled=True)).options().autotune.enabled is True


def test_parallelism_that_a_program_chose_stays() -> None:
    assert source.untuned(dataset_with(initial_parallelism=3)).options().autotune.initial_parallelism == 3


def test_without_a_tuner_parallel_calls_are_as_many_as_there_are_cpus() -> None:
    assert source.untuned(dataset_with()).options().autotune.initial_parallelism > 0
