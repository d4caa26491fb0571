"""A custom loop with trainingjob.checkpoint: Keras model, optimizer, a variable and a random generator of its own.

    resume_loop.py [--die-at STEP] [--term-at STEP [--term-rank RANK]] [--steps N] [--units N] [--pause SECONDS]
                   [--chief-only] [--wait-at STEP FILE]…

SIGTERM comes to the member of that rank, or to all, RANK times 30 ms apart; the step it comes in is the given one.
With --chief-only no other member calls `save`. --wait-at stands after that step until there is such a file.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time

import numpy as np
import tensorflow as tf

import trainingjob

sys.path.insert(0, os.path.dirname(__file__))
import results

parser = argparse.ArgumentParser()
parser.add_argument("--die-at", type=int, default=0)
parser.add_argument("--die-after", default="/", metavar="FILE", help="die when it is there: saving goes on beside")
parser.add_argument("--term-at", type=int, default=0)
parser.add_argument("--term-rank", type=int, default=-1)
parser.add_argument("--chief-only", action="store_true")
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--units", type=int, default=8)
parser.add_argument("--wait-at", nargs=2, action="append", default=[])
args = parser.parse_args()

several = len(json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})) > 1
strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
role, _, index = os.environ.get("TRAININGJOB_MEMBER", "chief-0").partition("-")
rank = 0 if role == "chief" else 1 + int(index)
members = strategy.num_replicas_in_sync
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(64, 6)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")

with strategy.scope():
    tf.keras.utils.set_random_seed(1 + rank)  # members start apart on purpose: what is resumed is the chief's
    model = tf.keras.Sequential(
        [tf.keras.layers.Input((6,)), tf.keras.layers.Dense(args.units, "relu"), tf.keras.layers.Dense(1)]
    )
    optimizer = tf.keras.optimizers.Adam(0.01)
    total = tf.Variable(0.0, name="total", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    noise = tf.random.Generator.from_seed(5)

state = trainingjob.checkpoint(model=model, optimizer=optimizer, extra=[total, noise])
seen = state.position.get("seen", [])


@tf.function
def step_of(x, y):
    def replica(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / 16
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return tf.distribute.get_replica_context().all_reduce("sum", loss)

    return strategy.experimental_local_results(strategy.run(replica, args=(x, y)))[0]


losses = []
for step in range(state.step, args.steps):
    batch = np.random.default_rng(step).permutation(64)[:16]
    mine = np.array_split(batch, members)[rank if members > 1 else 0]
    shift = noise.normal([]) if members == 1 else 0.0
    losses.append(float(step_of(X[mine], Y[mine] + shift)))
    if members == 1:
        total.assign_add(losses[-1])
    seen = [*seen, int(batch[0])][-3:]
    trainingjob.report(step=step + 1)
    if args.term_at == step + 1 and args.term_rank in (-1, rank):
        threading.Timer(0.03 * rank, os.kill, (os.getpid(), signal.SIGTERM)).start()
    time.sleep(args.pause)
    if rank == 0 or not args.chief_only:
        state.save(step + 1, seen=seen)
    for at, file in args.wait_at:
        while step + 1 == int(at) and not os.path.exists(file):
            time.sleep(0.05)
    if args.die_at == step + 1 and rank == 0:
        while not os.path.exists(args.die_after):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

results.write(
    {
        "weights": [w.numpy().ravel().astype(float).tolist() for w in model.trainable_variables],
        "losses": losses,
        "total": float(total.numpy()),
        "seen": seen,
        "start": state.step,
    }
)
