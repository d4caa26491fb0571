"""Keras `fit` as users write it. The clock is a callback that looks at every batch, or, with the argument
`reported`, there is none, and the hooks' reports tell the step.
"""

import sys

import keras
from clock import Clock

import trainingjob

BATCH = 128
TIMES = 8  # the digits so many times over: an epoch shall take seconds


class Ticks(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self._clock, self._step = Clock(), 0

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        self._clock.tick(self._step)


(x, y), _ = trainingjob.datasets.mnist()
x = (x[..., None] / 255).astype("float32").repeat(TIMES, 0)
y = y.repeat(TIMES, 0)
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
model.fit(x, y, batch_size=BATCH, epochs=1_000, verbose=2, callbacks=[] if "reported" in sys.argv else [Ticks()])
