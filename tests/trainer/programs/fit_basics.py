"""An ordinary Keras 3 script: nothing in it knows of workers. Several fits, each from the same start."""

import sys

import keras

if __import__("os").environ.get("DBG"):
    keras.config.disable_traceback_filtering()
import numpy as np
import results
import tensorflow as tf


def data(n=100, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype("float32")
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype("int32")
    return x, y


def make_model(optimizer=None, metrics=("accuracy",)):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(optimizer or keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def outcome(model, history):
    return {"history": history.history, "weights": [w.tolist() for w in model.get_weights()]}


def numpy_even():
    """96 examples in batches of 32: 2 members share each evenly, 3 do not."""
    x, y = data(96)
    model = make_model()
    return outcome(
        model, model.fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0, validation_data=data(40, 1))
    )


def numpy_uneven():
    """65 examples in batches of 32: the last batch has one example, fewer than members."""
    x, y = data(65)
    model = make_model()
    return outcome(model, model.fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0, validation_split=0.2))


def evaluate_and_predict():
    x, y = data(50)
    model = make_model()
    model.fit(x, y, epochs=1, shuffle=False, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(7)
    return {
        "evaluate": model.evaluate(x, y, batch_size=7, verbose=0, return_dict=True),
        "evaluate_dataset": model.evaluate(dataset, verbose=0),
        "predict": model.predict(x, batch_size=7, verbose=0),
        "predict_dataset": model.predict(dataset, verbose=0),
        "predict_one": model.predict(x[:1], verbose=0),
        "predict_on_batch": model.predict_on_batch(x[:5]),
        "test_on_batch": model.test_on_batch(x, y),
    }


def tf_dataset():
    x, y = data(70)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(70, seed=5).batch(16)
    model = make_model()
    return outcome(model, model.fit(dataset, epochs=3, verbose=0, validation_data=dataset.take(2)))


CASES = {f.__name__: f for f in (numpy_even, numpy_uneven, evaluate_and_predict, tf_dataset)}

if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:] or CASES:
        found[name] = CASES[name]()
        results.write(found)
