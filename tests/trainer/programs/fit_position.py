"""Which examples each step sees, and a fit that begins in the middle. Labels are the examples' numbers."""

import os
import sys

import keras
import numpy as np
import results
import tensorflow as tf

SEEDED = "seeded" in sys.argv[1:]
if SEEDED:
    keras.utils.set_random_seed(11)


class Numbers(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        part = np.arange(index * 4, min(index * 4 + 4, 22), dtype="float32")
        return part[:, None], part


def unshuffled_dataset():
    return tf.data.Dataset.range(22).map(lambda i: (tf.cast(i, tf.float32)[None], i))


NUMBERS = np.arange(22, dtype="float32")
INPUTS = {
    "arrays": lambda: {"x": NUMBERS[:, None], "y": NUMBERS, "batch_size": 4},
    "arrays in batches": lambda: {"x": NUMBERS[:, None], "y": NUMBERS, "batch_size": 4, "shuffle": "batch"},
    "arrays in order": lambda: {"x": NUMBERS[:, None], "y": NUMBERS, "batch_size": 4, "shuffle": False},
    "arrays in parts": lambda: {"x": NUMBERS[:, None], "y": NUMBERS, "batch_size": 4, "steps_per_epoch": 4},
    "dataset": lambda: {"x": unshuffled_dataset().shuffle(22).batch(4)},
    "dataset in parts": lambda: {"x": unshuffled_dataset().shuffle(22).batch(4).repeat(), "steps_per_epoch": 4},
    "py_dataset": lambda: {"x": Numbers()},
}


def steps(name, start=None):
    """Return [epoch, batch, a number that tells which examples the step saw] for every step."""
    from_hooks = start is not None
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)])
    # The loss of a step is a mean over its examples of a number that tells which they are.
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, p: p[:, 0] + p[:, 0] ** 2)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            seen.append([self.epoch, batch, float(logs["loss"])])

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    if from_hooks:
        from trainingjob_hooks.keras3 import position

        position.start_at(model, *start)
    model.fit(**INPUTS[name](), epochs=4, verbose=0, callbacks=[Look()])
    return seen


if __name__ == "__main__":
    found = {}
    hooked = bool(os.environ.get("TRAININGJOB_SPEC"))
    wanted = sys.argv[sys.argv.index("--start") + 1 :] if "--start" in sys.argv else None
    for name in INPUTS:
        start = [int(v) for v in wanted] if wanted else None
        found[name] = steps(name, start)
    results.write(found)
