"""`spec.output`: the trained model as one file or folder, there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from trainingjob_trainer.document import Output
from trainingjob_trainer.errors import SpecError, one_line

NAMES = {"keras": "model.keras", "savedModel": "saved_model"}


def export(model: Any, output: Output) -> str:
    """Write the model below `output.path` and return where. The chief alone calls it, after training.

    Raises:
        SpecError: the place cannot be written to, or the model cannot be saved in this format.
    """
    import tensorflow as tf

    target = os.path.join(output.path, NAMES[output.format])
    with tempfile.TemporaryDirectory(prefix="trainingjob-") as folder:
        local = os.path.join(folder, NAMES[output.format])
        try:
            if output.format == "keras":
                model.save(local)
            else:
                model.export(local, verbose=False)
        except Exception as error:  # Keras's text is the reason
            raise SpecError(
                "spec.output.format", f"{output.format} cannot hold this model: {one_line(error)}"
            ) from error
        try:
            tf.io.gfile.makedirs(output.path)
            _move(local, target)
        except (OSError, tf.errors.OpError) as error:
            raise SpecError("spec.output.path", f"{output.path} cannot be written to: {one_line(error)}") from error
    return target


def _move(local: str, target: str) -> None:
    """Copy beside the target, then rename: who looks sees the old model or the new one."""
    import tensorflow as tf

    gfile = tf.io.gfile
    beside = f"{target}.writing"
    if gfile.exists(beside):
        gfile.rmtree(beside) if gfile.isdir(beside) else gfile.remove(beside)
    _copy(local, beside)
    if gfile.isdir(target):
        gfile.rmtree(target)
    gfile.rename(beside, target, overwrite=True)


def _copy(local: str, target: str) -> None:
    import tensorflow as tf

    if not os.path.isdir(local):
        with open(local, "rb") as source, tf.io.gfile.GFile(target, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        return
    tf.io.gfile.makedirs(target)
    for name in sorted(os.listdir(local)):
        _copy(os.path.join(local, name), f"{target}/{name}")
