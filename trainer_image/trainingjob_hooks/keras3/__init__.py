"""Keras 3 `fit`, `evaluate` and `predict` on many workers, with the numbers of one.

What is done, and where:

    seeds.py       members that share no seed get the job's, so that all see the same data and the same weights
    strategy.py    a MultiWorkerMirroredStrategy for a program that makes none; the job's kind of communication
    share.py       the part of a global batch that a replica takes, and its weight among the others
    source.py      input: the same global batches on every member, each keeps its share; order from (seed, pass)
    iterator.py    Keras's epoch iterator over such a source; starts anywhere for a resumed run
    step.py        Keras's train and test functions: one step on a share, the logs of all when they are due
    logs.py        metrics of the whole gang from one packed collective
    predict.py     each member predicts its shares, every member gets all predictions
    mend.py        the optimizer and the losses on shares of any size
    chief.py       callbacks that write files: only the chief's files count
    position.py    where a resumed fit begins
    versions.py    the Keras versions that all this was tested with
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping


def is_wanted(environ: Mapping[str, str], spec: Mapping[str, Any]) -> bool:
    """Whether Keras's `fit` is to be mended: not with `program.keras: {patchFit: false}`, nor on another backend."""
    wanted = spec.get("keras", {}).get("patchFit", True) is not False
    return wanted and environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def install(when_imported: Callable[[str, Callable[[Any], None]], None], spec: Mapping[str, Any]) -> None:
    """Register what has to be mended in TensorFlow and Keras when they are imported."""
    if not is_wanted(os.environ, spec):
        return
    from trainingjob_hooks import gang
    from trainingjob_hooks.keras3 import mend, strategy

    members = gang.read(os.environ)
    when_imported("tensorflow.python.eager.context", lambda module: module.set_global_seed(members.seed))
    if members.role != "evaluator":
        strategy.install(when_imported, members.size, str(spec.get("communication", "auto")))
    when_imported("keras.src.backend.tensorflow.trainer", lambda module: mend.install(module, members))
