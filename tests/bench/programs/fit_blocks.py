"""Keras `fit` as users write it, in blocks with and without the callback that reports (`blocks.py`)."""

import copy

import blocks
import keras
import tensorflow as tf

import trainingjob
from trainingjob_hooks.fit import wrap
from trainingjob_hooks.fit.report import Report

BATCH = 128

(x, y), _ = trainingjob.datasets.mnist()
data = tf.data.Dataset.from_tensor_slices(((x[..., None] / 255).astype("float32"), y))
data = data.cache().shuffle(1000).repeat().batch(BATCH).prefetch(2)
keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
callbacks_with_ours = wrap._with_ours
reporting = True


def chosen(*given):
    """What the hooks add, with several that report where they shall, and with none where not."""
    all_ = callbacks_with_ours(*given)
    others = [callback for callback in all_ if not isinstance(callback, Report)]
    (report,) = (callback for callback in all_ if isinstance(callback, Report))
    return [*others, *(copy.copy(report) for _ in range(blocks.TIMES * reporting))]


def train(steps, with_reports):
    global reporting
    reporting = with_reports
    model.fit(data, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)


wrap._with_ours = chosen
blocks.main(train)
