"""`fit` under a MultiWorkerMirroredStrategy of the program's own, with Keras 3 or tf-keras.

    fit_two_keras.py [--record]

With --record it writes down the logs of every step: what a report of that step has to say, on any number of members.
"""

import argparse
import os
import time

import numpy as np
import results
import tensorflow as tf

if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tf_keras as keras
else:
    import keras

parser = argparse.ArgumentParser()
parser.add_argument("--record", action="store_true")
args = parser.parse_args()
EXAMPLES, BATCH, EPOCHS = 256, 16, 3

random = np.random.default_rng(3)
x = random.normal(size=(EXAMPLES, 6)).astype("float32")
y = (x.sum(1) > 0).astype("float32")
recorded = {}


class Recorder(keras.callbacks.Callback):
    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        recorded[self.steps] = {name: float(value) for name, value in logs.items()}


class Slow(keras.callbacks.Callback):
    """So slow that each step is reported."""

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0.25)


strategy = tf.distribute.MultiWorkerMirroredStrategy()
keras.utils.set_random_seed(5)
with strategy.scope():
    model = keras.Sequential(
        [keras.layers.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1, "sigmoid")]
    )
    model.compile(
        keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")]
    )
data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
history = model.fit(
    data,
    epochs=EPOCHS,
    verbose=0,
    validation_data=data,
    callbacks=[Recorder()] if args.record else [Slow()],
)
results.write(
    {
        "replicas": strategy.num_replicas_in_sync,
        "recorded": recorded,
        "history": {name: [float(value) for value in values] for name, values in history.history.items()},
    }
)
