"""What `fit` takes as input: weights, validation, steps, generators, PyDatasets, in a script that knows of no workers."""

import sys

import keras
import numpy as np
import results
import tensorflow as tf
from fit_basics import data, make_model, outcome


class Digits(keras.utils.PyDataset):
    """Six batches of 10, the last of 4."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = data(54)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        part = slice(index * 10, index * 10 + 10)
        return self.x[part], self.y[part]


def fit(model, *args, **kwargs):
    return outcome(model, model.fit(*args, verbose=0, **{"epochs": 2, **kwargs}))


def sample_weight():
    x, y = data(50)
    w = np.linspace(0.1, 2, 50).astype("float32")
    model = make_model()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    return fit(model, x, y, sample_weight=w, batch_size=16, shuffle=False, validation_data=(x, y, w))


def class_weight():
    x, y = data(50)
    return fit(make_model(), x, y, class_weight={0: 1.0, 1: 5.0}, batch_size=16, shuffle=False)


def class_weight_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(data(50)).batch(16)
    return fit(make_model(), dataset, class_weight={0: 1.0, 1: 5.0})


def steps_per_epoch():
    dataset = tf.data.Dataset.from_tensor_slices(data(50)).repeat().batch(8)
    return fit(make_model(), dataset, steps_per_epoch=5, epochs=3, validation_data=dataset, validation_steps=2)


def steps_of_arrays():
    x, y = data(50)
    return fit(make_model(), x, y, batch_size=8, steps_per_epoch=3, epochs=4, shuffle=False)


def initial_epoch():
    x, y = data(50)
    return fit(
        make_model(),
        x,
        y,
        batch_size=8,
        initial_epoch=2,
        epochs=4,
        shuffle=False,
        validation_freq=2,
        validation_data=(x, y),
    )


def steps_per_execution():
    x, y = data(52)
    model = make_model()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=4)
    found = fit(model, x, y, batch_size=8, shuffle=False, validation_data=(x, y))
    return {**found, "predict": model.predict(x, batch_size=8, verbose=0)}


def generator():
    def batches():
        for _ in range(4):
            for k in range(0, 50, 11):
                yield x[k : k + 11], y[k : k + 11]

    x, y = data(50)
    return fit(make_model(), batches(), steps_per_epoch=7, epochs=2)


def py_dataset():
    return fit(make_model(), Digits(), shuffle=False, validation_data=Digits())


def py_dataset_threads():
    return fit(make_model(), Digits(workers=2), shuffle=False)


def train_on_batch():
    x, y = data(21)
    model = make_model()
    logs = [model.train_on_batch(x[:n], y[:n], return_dict=True) for n in (21, 1, 12)]
    return {"logs": logs, "weights": [w.tolist() for w in model.get_weights()]}


def dictionaries():
    """Two inputs and two outputs by name, in a dataset with sample weights, and batches as small as 1."""
    keras.utils.set_random_seed(3)
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    h = keras.layers.Concatenate()([a, b])
    outputs = {"p": keras.layers.Dense(2, activation="softmax", name="p")(h), "q": keras.layers.Dense(1, name="q")(h)}
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(
        keras.optimizers.SGD(0.1),
        {"p": "sparse_categorical_crossentropy", "q": "mse"},
        loss_weights={"p": 1.0, "q": 0.3},
        metrics={"p": ["accuracy"], "q": ["mae"]},
    )
    x, y = data(25)
    dataset = tf.data.Dataset.from_tensor_slices(({"a": x, "b": x[::-1]}, {"p": y, "q": x[:, :1]})).batch(12)
    found = fit(model, dataset)
    arrays = fit(model, {"a": x, "b": x[::-1]}, {"p": y, "q": x[:, :1]}, batch_size=12, shuffle=False)
    return {"dataset": found, "arrays": arrays, "predict": model.predict({"a": x, "b": x}, verbose=0)}


def two_fits():
    x, y = data(40)
    model = make_model()
    return {"first": fit(model, x, y, shuffle=False), "second": fit(model, x[:20], y[:20], shuffle=False)}


CASES = {
    f.__name__: f
    for f in (
        sample_weight, class_weight, class_weight_dataset, steps_per_epoch, steps_of_arrays, initial_epoch,
        steps_per_execution, generator, py_dataset, py_dataset_threads, train_on_batch, dictionaries, two_fits,
    )
}  # fmt: skip

if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:] or CASES:
        found[name] = CASES[name]()
        results.write(found)
