"""What people put into a model and its compile(), in a script that knows of no workers."""

import sys

import keras
import numpy as np
import results
import tensorflow as tf
from fit_basics import data, make_model, outcome


def fit(model, *args, **kwargs):
    return outcome(model, model.fit(*args, verbose=0, shuffle=False, **{"epochs": 2, "batch_size": 16, **kwargs}))


class Guide(keras.Model):
    """A custom train_step as Keras's guide has it: own loss, own metrics, nothing compiled but the optimizer."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae = keras.metrics.MeanAbsoluteError(name="mae")

    def call(self, x):
        return self.dense(x)

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = keras.ops.mean((predicted - y) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.loss_tracker.update_state(loss)
        self.mae.update_state(y, predicted)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, batch):
        x, y = batch
        predicted = self(x, training=False)
        self.loss_tracker.update_state(keras.ops.mean((predicted - y) ** 2))
        self.mae.update_state(y, predicted)
        return {m.name: m.result() for m in self.metrics}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae]


class Compiled(keras.Model):
    """A custom train_step over compute_loss and compute_metrics, which also returns a number of its own."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2, activation="softmax")

    def call(self, x):
        return self.dense(x)

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {
            **{m.name: m.result() for m in self.metrics},
            "confidence": keras.ops.mean(keras.ops.max(predicted, -1)),
        }


def custom_step():
    keras.utils.set_random_seed(3)
    model = Guide()
    model.compile(keras.optimizers.Adam(0.05))
    x, _ = data(50)
    return fit(model, x, x[:, :1] * 2, epochs=3, validation_data=(x[:21], x[:21, :1]))


def custom_step_compiled():
    keras.utils.set_random_seed(3)
    model = Compiled()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return fit(model, *data(48))


def clipping():
    found = {}
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        model = make_model(keras.optimizers.SGD(0.5, **{name: 0.02}))
        found[name] = fit(model, *data(50))
    return found


def accumulation():
    return fit(make_model(keras.optimizers.SGD(0.3, gradient_accumulation_steps=2)), *data(50))


def ema_and_decay():
    return fit(
        make_model(keras.optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=3)), *data(50)
    )


def loss_scale():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=2.0**40)
    model = make_model(optimizer)
    found = fit(model, *data(50))
    return {**found, "scale": float(optimizer.dynamic_scale), "rate": np.array(optimizer.learning_rate).tolist()}


def many_metrics():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
    metrics = [
        keras.metrics.AUC(), keras.metrics.Precision(), keras.metrics.Recall(), keras.metrics.F1Score(threshold=0.5),
        keras.metrics.MeanIoU(num_classes=2), keras.metrics.R2Score(), keras.metrics.BinaryAccuracy(),
    ]  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=metrics)
    x, y = data(50)
    return fit(model, x, y[:, None].astype("float32"), validation_data=(x[:33], y[:33, None].astype("float32")))


def reductions():
    found = {}
    x, _ = data(50)
    w = np.linspace(0.1, 2, 50).astype("float32")
    for reduction in ("sum", "mean_with_sample_weight", "mean"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.001), keras.losses.MeanSquaredError(reduction=reduction))
        found[reduction] = fit(model, x, x[:, :1], sample_weight=w)
    return found


def masks():
    """Sequences of different lengths: the loss is a mean over what is not padding, over the whole batch."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(2)
    x = rng.integers(1, 20, (50, 7))
    x[np.arange(7)[None, :] >= rng.integers(1, 8, 50)[:, None]] = 0
    model = keras.Sequential([
        keras.layers.Embedding(20, 4, mask_zero=True), keras.layers.SimpleRNN(5, return_sequences=True),
        keras.layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return fit(model, x, x % 3, validation_data=(x[:17], x[:17] % 3))


def batch_normalization():
    """With synchronized=True its statistics are the global batch's, as on one worker."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((8,)), keras.layers.Dense(6), keras.layers.BatchNormalization(synchronized=True), keras.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy")
    return fit(model, *data(48), batch_size=12, validation_data=data(20, 1))


def regularized():
    """Losses that layers add: of weights, of activities, and by add_loss."""

    class Adds(keras.layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * keras.ops.mean(x**2))
            return x

    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((8,)), keras.layers.Dense(6, kernel_regularizer="l2", activity_regularizer="l2"), Adds(), keras.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy")
    return fit(model, *data(50))


def eager():
    model = make_model()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return fit(model, *data(20), batch_size=7)


def metrics_outside():
    """A metric that the script updates itself, and metrics of the model read after fit."""
    model = make_model()
    x, y = data(48)
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    own = keras.metrics.SparseCategoricalAccuracy()
    own.update_state(y, model.predict(x, verbose=0))
    model.evaluate(x, y, verbose=0)
    return {"own": float(own.result()), "of the model": {m.name: m.result() for m in model.metrics}}


CASES = {
    f.__name__: f
    for f in (
        custom_step, custom_step_compiled, clipping, accumulation, ema_and_decay, loss_scale, many_metrics, reductions,
        masks, batch_normalization, regularized, eager, metrics_outside,
    )
}  # fmt: skip

if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:] or CASES:
        found[name] = CASES[name]()
        results.write(found)
