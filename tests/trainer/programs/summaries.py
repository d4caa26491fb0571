"""Custom loops that write `tf.summary.scalar` and know nothing of a job. `summaries.py CASE FOLDER`"""

import argparse

import results
import tensorflow as tf


def eager(folder: str) -> None:
    """The loop of TensorFlow's own tutorial: a writer for training, one for testing."""
    train = tf.summary.create_file_writer(f"{folder}/train")
    test = tf.summary.create_file_writer(f"{folder}/test")
    other = tf.summary.create_file_writer(f"{folder}/other")
    count = tf.Variable(0, dtype=tf.int64)
    for step in range(10):
        count.assign(step)
        with train.as_default():
            tf.summary.scalar("loss", 1.0 / (step + 1), step=count)
            tf.summary.scalar("learning rate", 0.5, step=step)
            tf.summary.histogram("weights", [1.0, 2.0], step=step)
        with test.as_default(step):
            tf.summary.scalar("loss", tf.constant(9.0 - step))
        with other.as_default(), tf.summary.record_if(step < 5):
            tf.summary.scalar("loss", 100.0 + step, step=step)
            with tf.name_scope("part"):
                tf.compat.v2.summary.scalar("loss", 7.0, step=step)
    tf.summary.scalar("unwritten", 1.0, step=77)
    with tf.summary.create_noop_writer().as_default():
        tf.summary.scalar("noop", 1.0, step=78)
    with train.as_default():
        tf.summary.scalar("odd", float("nan"), step=9)
    train.close()


def graph(folder: str) -> None:
    """All of the loop in one `tf.function`, and the last value right before the program's end."""
    writer = tf.summary.create_file_writer(folder)

    @tf.function
    def train(first: tf.Tensor) -> None:
        for step in tf.range(first, first + 100):
            with writer.as_default():
                tf.summary.scalar("loss", 1.0 / tf.cast(step + 1, tf.float32), step=step)
                tf.summary.scalar("vanishing", float("nan"), step=step)

    for first in range(0, 1000, 100):
        train(tf.constant(first, tf.int64))


def saved(folder: str) -> None:
    """A module that could be saved with its writer still can."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.writer = tf.summary.create_file_writer(folder, experimental_trackable=True)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def call(self, x: tf.Tensor) -> tf.Tensor:
            with self.writer.as_default():
                tf.summary.scalar("inside", x, step=1)
            return x + 1

    module = Module()
    module.call(tf.constant(1.0))
    tf.saved_model.save(module, f"{folder}/saved")


def own_report(folder: str) -> None:
    """A program that reports by itself and writes for TensorBoard, too: by epochs there."""
    import trainingjob

    writer = tf.summary.create_file_writer(folder)
    for epoch in range(3):
        trainingjob.report(step=100 * (epoch + 1), loss=0.5)
        with writer.as_default():
            tf.summary.scalar("epoch_accuracy", 0.1 * epoch, step=epoch)


def fit(folder: str) -> None:
    """`fit` with the callback that TensorBoard users have, and one of the program's own."""
    import keras

    class Rate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            with tf.summary.create_file_writer(f"{folder}/rate").as_default():
                tf.summary.scalar("rate", 0.25, step=epoch)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = tf.ones((64, 2)), tf.ones((64, 1))
    model.fit(
        *x,
        batch_size=8,
        epochs=2,
        verbose=0,
        validation_data=x,
        callbacks=[keras.callbacks.TensorBoard(folder, update_freq=1), Rate()],
    )
    model.evaluate(*x, verbose=0, callbacks=[keras.callbacks.TensorBoard(folder)])


def gang(folder: str) -> None:
    """Every member writes the loss of the whole gang, inside of `strategy.run`, into a folder of its own."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rank = strategy.cluster_resolver.task_type
    writer = tf.summary.create_file_writer(f"{folder}/{rank}")

    @tf.function
    def train(step: tf.Tensor) -> tf.Tensor:
        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            loss = context.all_reduce("MEAN", 1.0 / tf.cast(step + 1, tf.float32))
            with writer.as_default():
                tf.summary.scalar("loss", loss, step=step)
            return loss

        return strategy.reduce("MEAN", strategy.run(replica), axis=None)

    for step in range(50):
        train(tf.constant(step, tf.int64))


CASES = {case.__name__: case for case in (eager, graph, saved, own_report, fit, gang)}

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=CASES)
parser.add_argument("folder")
arguments = parser.parse_args()
CASES[arguments.case](arguments.folder)
results.write({"done": arguments.case})
