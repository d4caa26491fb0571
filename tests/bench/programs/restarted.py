"""A small CNN in a loop of one's own, with checkpoints, as users write it. Every finished step is told at once."""

import json
import os
import socket
import time

import keras
import tensorflow as tf

import trainingjob

BATCH = 128

strategy = tf.distribute.MultiWorkerMirroredStrategy()
members = strategy.num_replicas_in_sync
task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"type": "chief", "index": 0})
rank = task["index"] + (task["type"] == "worker")
share = BATCH // members

(x, y), _ = trainingjob.datasets.mnist()
x, y = tf.constant(x[..., None] / 255, tf.float32), tf.constant(y, tf.int64)
steps_per_epoch = len(x) // BATCH

with strategy.scope():
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
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
state = trainingjob.checkpoint(model=model, optimizer=optimizer)


def train_step(images, labels):
    with tf.GradientTape() as tape:
        predicted = model(images, training=True)
        loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, predicted)) / BATCH
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


@tf.function
def train(step):
    epoch, place = step // steps_per_epoch, step % steps_per_epoch
    positions = place * BATCH + rank * share + tf.range(share, dtype=tf.int64)
    rows = tf.random.experimental.index_shuffle(positions, [1, epoch], len(x) - 1)
    loss = strategy.run(train_step, args=(tf.gather(x, rows), tf.gather(y, rows)))
    return strategy.reduce("SUM", loss, axis=None)


listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ["BENCH_SOCKET"]
who = {"member": os.environ["TRAININGJOB_MEMBER"], "pid": os.getpid(), "from": state.step}
for step in range(state.step, 1_000_000):
    loss = float(train(tf.constant(step, tf.int64)))
    listener.sendto(json.dumps({**who, "step": step + 1, "time": time.monotonic()}).encode(), address)
    state.save(step + 1)
    trainingjob.report(step=step + 1, total_steps=1_000_000, batch_size=BATCH, loss=loss)
