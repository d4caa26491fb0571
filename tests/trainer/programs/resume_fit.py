"""A `fit` script that knows nothing of checkpoints: Adam, shuffled data, validation, callbacks with a memory.

    resume_fit.py [numpy|dataset|unknown] [--die-at STEP [--die-after FILE] | --term-at STEP] [--epochs N] [--fits N]
                  [--dropout] [--lazy] [--stop] [--grouped] [--term-rank RANK] [--pause SECONDS] [--wait-at STEP FILE]

With --die-at the process that is the chief kills itself (SIGKILL) after that many steps of its own, but not before there
is the FILE of --die-after: saving goes on beside training. With --grouped no
callback looks at single batches, so that the hooks run several steps in one call. SIGTERM comes to the member of
--term-rank, or with -1 to all of them, a few milliseconds apart. --wait-at stands after that step of the training until
there is such a file.
"""

import argparse
import os
import signal
import sys
import threading
import time

import numpy as np

if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tensorflow as tf
    import tf_keras as keras
else:
    import tensorflow as tf

    keras = tf.keras

sys.path.insert(0, os.path.dirname(__file__))
import results

parser = argparse.ArgumentParser()
parser.add_argument("data", nargs="?", default="numpy")
parser.add_argument("--die-at", type=int, default=0)
parser.add_argument("--die-after", default="/")
parser.add_argument("--term-at", type=int, default=0)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--term-rank", type=int, default=0)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--fits", type=int, default=1)
parser.add_argument("--dropout", action="store_true")
parser.add_argument("--normalize", action="store_true")
parser.add_argument("--lazy", action="store_true")
parser.add_argument("--stop", action="store_true")
parser.add_argument("--grouped", action="store_true")
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--wait-at", nargs=2, default=[])
args = parser.parse_args()
EXAMPLES, BATCH = 200, 24  # a last batch of 8 in each epoch of 9

if args.seed:
    keras.utils.set_random_seed(args.seed)
random = np.random.default_rng(3)
x = random.normal(size=(EXAMPLES, 12)).astype("float32")
y = (x @ random.normal(size=12) + 0.3 * random.normal(size=EXAMPLES) > 0).astype("float32")


class Counter(keras.callbacks.Callback):
    """A callback of the user's own: what it counts must not begin again."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(float(logs["loss"]))


class Death(keras.callbacks.Callback):
    """The end of a node, at a step of this process."""

    if args.grouped:
        needs_batch_logs = False

    def on_train_batch_end(self, batch, logs=None):
        done[0] += 1
        time.sleep(args.pause)
        if args.wait_at and int(model.optimizer.iterations.numpy()) == int(args.wait_at[0]):
            while not os.path.exists(args.wait_at[1]):
                time.sleep(0.05)
        if done[0] == args.term_at and args.term_rank in (-1, rank):
            threading.Timer(0.005 * rank, os.kill, (os.getpid(), signal.SIGTERM)).start()
        if args.die_at and done[0] >= args.die_at and is_chief:
            while not os.path.exists(args.die_after):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)


done = [0]
role, _, index = os.environ.get("TRAININGJOB_MEMBER", "chief-0").partition("-")
rank = 0 if role == "chief" else 1 + int(index)
is_chief = rank == 0
layers = [] if args.lazy else [keras.layers.Input((12,))]
layers.append(keras.layers.Dense(16, activation="relu"))
if args.normalize:
    layers.append(keras.layers.BatchNormalization())
if args.dropout:
    layers.append(keras.layers.Dropout(0.3))
layers.append(keras.layers.Dense(1, activation="sigmoid"))
model = keras.Sequential(layers)
model.compile(
    optimizer=keras.optimizers.Adam(0.02),
    loss="binary_crossentropy",
    metrics=["accuracy", keras.metrics.AUC(name="auc")],
)
counter = Counter()
plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=0, min_delta=10.0, cooldown=0)
early = keras.callbacks.EarlyStopping(
    monitor="val_loss",
    patience=2 if args.stop else 100,
    min_delta=10.0 if args.stop else 0,
    restore_best_weights=True,
)
histories = []
for _ in range(args.fits):
    if args.data in ("dataset", "unknown"):
        data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(EXAMPLES)
        if args.data == "unknown":  # how many batches there are
            data = data.filter(lambda *_: True)
        kwargs = {"x": data.batch(BATCH)}
    else:
        kwargs = {"x": x, "y": y, "batch_size": BATCH}
    history = model.fit(
        **kwargs,
        epochs=args.epochs,
        verbose=0,
        validation_data=(x[:64], y[:64]),
        callbacks=[*([] if args.grouped else [counter]), plateau, early, Death()],
    )
    histories.append({key: [float(v) for v in values] for key, values in history.history.items()})
evaluated = model.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True)
rate = model.optimizer.learning_rate
results.write(
    {
        "weights": [np.asarray(w).ravel().astype(float).tolist() for w in model.get_weights()],
        "histories": histories,
        "epochs": list(history.epoch),
        "iterations": int(model.optimizer.iterations.numpy()),
        "rate": float(rate.numpy() if hasattr(rate, "numpy") else rate),
        "counted": counter.batches,
        "losses": counter.losses,
        "early": {"wait": early.wait, "best": float(early.best), "stopped": early.stopped_epoch},
        "evaluated": {key: float(value) for key, value in evaluated.items()},
        "steps": done[0],
    }
)
