"""A custom loop as users write it, in blocks with and without `trainingjob.report` after each step (`blocks.py`).

The loss is looked at only where it is reported, every 20 steps, as loops do that are written with care for speed.
"""

import blocks
import keras
import tensorflow as tf

import trainingjob

BATCH = 128
LOOK = 20

(x, y), _ = trainingjob.datasets.mnist()
data = tf.data.Dataset.from_tensor_slices(((x[..., None] / 255).astype("float32"), y))
batches = iter(data.cache().shuffle(1000).repeat().batch(BATCH).prefetch(2))
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


@tf.function
def step_of(images, labels):
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True))
        loss = tf.reduce_mean(losses)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


done = 0


def train(steps, with_reports):
    global done
    for _ in range(steps):
        loss = step_of(*next(batches))
        done += 1
        for _ in range(blocks.TIMES * with_reports):
            trainingjob.report(step=done, batch_size=BATCH)
        if done % LOOK == 0:
            value = float(loss)
            for _ in range(blocks.TIMES * with_reports):
                trainingjob.report(loss=value)
    loss.numpy()


blocks.main(train)
