"""Programs that can't be spread over members, or that do not want to be: one case, named by the argument."""

import os
import sys

import keras
import numpy as np
import results
import tensorflow as tf

RANK = 0 if os.environ.get("TRAININGJOB_MEMBER", "chief-0") == "chief-0" else 1


def fit():
    from fit_basics import data, make_model

    model = make_model()
    model.fit(*data(20), verbose=0)
    return {"strategy": type(model.distribute_strategy).__name__}


def loop_without_strategy():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.ones((3, 2))))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return {"replicas": tf.distribute.get_strategy().num_replicas_in_sync}


def different_lengths():
    from fit_basics import data, make_model

    make_model().fit(*data(64 + 64 * RANK), verbose=0)


def different_data():
    from fit_basics import make_model

    x = np.random.default_rng().normal(size=(32, 8)).astype("float32")
    make_model().fit(x, (x[:, 0] > 0).astype("int32"), verbose=0)
    return {}


def sharded_by_the_program():
    """AutoShardPolicy.OFF: TensorFlow's way, in which every member goes through what it is given."""
    from fit_basics import data, make_model

    x, y = data(64)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = tf.data.Dataset.from_tensor_slices((x[RANK::2], y[RANK::2])).batch(16).with_options(options)
    model = make_model()
    history = model.fit(dataset, epochs=2, verbose=0)
    return {"loss": history.history["loss"], "weights": [w.tolist() for w in model.get_weights()]}


def own_mirrored_strategy():
    from fit_basics import data, make_model

    with tf.distribute.MirroredStrategy().scope():
        model = make_model()
    model.fit(*data(20), verbose=0)
    return {"strategy": type(model.distribute_strategy).__name__}


def weights_that_differ():
    from fit_basics import data, make_model

    model = make_model()
    if RANK:
        model.set_weights([w + 1 for w in model.get_weights()])
    model.fit(*data(32), verbose=0, shuffle=False)
    return {"weights": [w.tolist() for w in model.get_weights()]}


if __name__ == "__main__":
    results.write(globals()[sys.argv[1]]())
