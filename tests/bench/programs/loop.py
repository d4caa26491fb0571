"""The best training loop that we can write by hand for digits in memory, for one process and for several.

What made it fast, measured on two CPUs (images per second with 10 steps a call): examples gathered inside the graph
25,000; tf.data over indices, with prefetch, 22,000; tf.data.from_tensor_slices 19,000, and 10,500 to 18,000 with one step a
call. STEPS_PER_CALL is the first argument.
"""

import json
import os
import sys

import keras
import tensorflow as tf
from clock import Clock

import trainingjob

BATCH = 128
STEPS_PER_CALL = int(sys.argv[1])

several = "TF_CONFIG" in os.environ
strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
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


def train_step(images, labels):
    with tf.GradientTape() as tape:
        predicted = model(images, training=True)
        loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, predicted)) / BATCH
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(sum_over_members(gradients) if members > 1 else gradients, model.trainable_variables)
    return loss


def sum_over_members(gradients):
    """One collective for all of them: each costs milliseconds, whatever its size."""
    flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)
    flat = tf.distribute.get_replica_context().all_reduce("SUM", flat)
    parts = tf.split(flat, [gradient.shape.num_elements() for gradient in gradients])
    return [tf.reshape(part, gradient.shape) for part, gradient in zip(parts, gradients, strict=True)]


@tf.function
def train(start):
    total = tf.zeros(())
    for step in tf.range(start, start + STEPS_PER_CALL):
        epoch, place = step // steps_per_epoch, step % steps_per_epoch
        positions = place * BATCH + rank * share + tf.range(share, dtype=tf.int64)
        rows = tf.random.experimental.index_shuffle(positions, [1, epoch], len(x) - 1)
        total += strategy.run(train_step, args=(tf.gather(x, rows), tf.gather(y, rows)))
    return total


clock, step = Clock(), 0
while True:
    loss = train(tf.constant(step, tf.int64))
    step += STEPS_PER_CALL
    loss.numpy()
    clock.tick(step)
