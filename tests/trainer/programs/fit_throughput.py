"""Examples per second of the MNIST CNN, global batch 128: `fit` as people write it, or the best hand-written loop.

fit_throughput.py fit | loop        both on all members that TF_CONFIG names
"""

import sys
import time

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(2)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import results  # noqa: E402

BATCH, STEPS, PER_CALL, ROUNDS = 128, 60, 10, 4


def images():
    rng = np.random.default_rng(0)
    return rng.random((7680, 28, 28, 1), dtype="float32"), rng.integers(0, 10, 7680)


def make_model():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def fit(verbose):
    """One epoch is one round; the first is for tracing."""
    x, y = images()
    model = make_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    times = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            times.append(time.perf_counter() - self.start)

    model.fit(x, y, batch_size=BATCH, epochs=ROUNDS + 1, verbose=verbose, callbacks=[Clock()])
    return times[1:]


def loop():
    """Local arrays, ten steps a call, one collective a step, loss and accuracy once a call."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    members = strategy.num_replicas_in_sync
    rank = (
        strategy.cluster_resolver.task_id + (1 if strategy.cluster_resolver.task_type == "worker" else 0)
        if members > 1
        else 0
    )
    share = BATCH // members
    x, y = (tf.constant(a) for a in images())
    with strategy.scope():
        model = make_model()
        optimizer = keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            predicted = model(images, training=True)
            loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, predicted)) / BATCH
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return tf.stack([loss, tf.reduce_sum(tf.cast(tf.argmax(predicted, 1) == labels, tf.float32)) / BATCH])

    @tf.function
    def train(first):
        total = tf.zeros(2)
        for k in tf.range(first, first + PER_CALL):
            positions = tf.cast(k, tf.int64) * BATCH + rank * share + tf.range(share, dtype=tf.int64)
            rows = tf.random.experimental.index_shuffle(positions % 7680, [7, 0], tf.constant(7679, tf.int64))
            total += strategy.run(step, args=(tf.gather(x, rows), tf.gather(y, rows)))
        return strategy.reduce("SUM", total, axis=None)

    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for k in range(0, STEPS, PER_CALL):
            train(tf.constant(k)).numpy()
        times.append(time.perf_counter() - start)
    return times[1:]


if __name__ == "__main__":
    times = loop() if sys.argv[1] == "loop" else fit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    results.write({"examples_per_second": [BATCH * STEPS / t for t in times]})
