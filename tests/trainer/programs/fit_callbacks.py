"""Keras's own callbacks in a script that knows of no workers. All files are below the folder that is its argument."""

import os
import sys

import keras
import results
from fit_basics import data, make_model, outcome


class Recorder(keras.callbacks.Callback):
    """A program's own callback: looks at the logs of every batch."""

    def __init__(self):
        super().__init__()
        self.batches, self.tests, self.rates = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append([batch, float(logs["loss"]), float(logs["accuracy"])])

    def on_test_batch_end(self, batch, logs=None):
        self.tests.append([batch, float(logs["loss"])])

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def every_batch():
    x, y = data(70)
    model, recorder = make_model(), Recorder()
    found = outcome(
        model,
        model.fit(x, y, shuffle=False, epochs=2, verbose=0, callbacks=[recorder], validation_data=(x[:40], y[:40])),
    )
    return {**found, "batches": recorder.batches, "tests": recorder.tests, "rates": recorder.rates}


def early_stop_and_plateau():
    x, y = data(70)
    model, recorder = make_model(keras.optimizers.Adam(0.3)), Recorder()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.99)
    model.fit(
        x,
        y,
        shuffle=False,
        epochs=30,
        verbose=0,
        callbacks=[stop, slower, schedule, recorder],
        validation_data=data(40, 1),
    )
    return {**outcome(model, model.history), "stopped": stop.stopped_epoch, "rates": recorder.rates}


def writers(folder):
    x, y = data(70)
    model = make_model()
    path = os.path.join(folder, "best-{epoch:02d}.weights.h5")
    callbacks = [
        keras.callbacks.ModelCheckpoint(path, save_weights_only=True),
        keras.callbacks.ModelCheckpoint(os.path.join(folder, "last.keras"), save_freq=3),
        keras.callbacks.CSVLogger(os.path.join(folder, "log.csv")),
        keras.callbacks.TensorBoard(os.path.join(folder, "board"), update_freq=2),
        keras.callbacks.BackupAndRestore(os.path.join(folder, "backup"), delete_checkpoint=False),
    ]
    return outcome(
        model, model.fit(x, y, shuffle=False, epochs=2, verbose=0, callbacks=callbacks, validation_data=(x, y))
    )


def restored(folder):
    """A second run in the same folder: BackupAndRestore goes on where the first one, of two epochs, has ended."""
    x, y = data(70)
    model = make_model()
    backup = keras.callbacks.BackupAndRestore(os.path.join(folder, "backup"), delete_checkpoint=False)
    history = model.fit(x, y, shuffle=False, epochs=4, verbose=0, callbacks=[backup])
    return {**outcome(model, history), "epochs": history.epoch}


if __name__ == "__main__":
    found = {}
    for case in (every_batch, early_stop_and_plateau):
        found[case.__name__] = case()
    for case in (writers, restored):
        found[case.__name__] = case(sys.argv[1])
        results.write(found)
