"""Programs that know of workers and make their own MultiWorkerMirroredStrategy: a fit, and a custom loop."""

import sys

import keras
import results
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()

from fit_basics import data, make_model, outcome  # noqa: E402


def fit():
    x, y = data(50)
    with strategy.scope():
        model = make_model()
    found = outcome(model, model.fit(x, y, shuffle=False, batch_size=16, epochs=2, verbose=0, validation_data=(x, y)))
    return {**found, "evaluate": model.evaluate(x, y, verbose=0), "predict": model.predict(x, verbose=0)}


def loop():
    """TensorFlow's tutorial: distributed dataset, loss over the global batch, sums of gradients, a Keras metric."""
    x, y = data(48)
    with strategy.scope():
        model = make_model()
        accuracy = keras.metrics.SparseCategoricalAccuracy()
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

    def step(inputs):
        images, labels = inputs
        with tf.GradientTape() as tape:
            predicted = model(images, training=True)
            loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, predicted)) / 16
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        accuracy.update_state(labels, predicted)
        return loss

    @tf.function
    def train(inputs):
        return strategy.reduce("SUM", strategy.run(step, args=(inputs,)), axis=None)

    losses = []
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    for inputs in strategy.experimental_distribute_dataset(dataset.with_options(options)):
        losses.append(float(train(inputs)))
    return {
        "losses": losses,
        "accuracy": float(accuracy.result()),
        "weights": [w.tolist() for w in model.get_weights()],
    }


if __name__ == "__main__":
    found = {}
    for case in (loop, fit):
        if case.__name__ in sys.argv[1:] or not sys.argv[1:]:
            found[case.__name__] = case()
            results.write(found)
