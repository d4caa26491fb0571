"""What `fit` of a user's own program gets beside its own callbacks: reports, checkpoints, an early end, an evaluator.

    wrap.py        around `fit` and `evaluate`: which callbacks a call gets; calls that are done already
    report.py      progress and metrics to the job, without holding training up
    saving.py      resume and save: restores before the first step, saves when it is due
    model_state.py variables of model, optimizers and metrics, and how they are read and set in a gang
    callbacks.py   what callbacks remember, as plain values and arrays
    schedule.py    when a save is due, so that all members agree
    stopping.py    spec.stopWhen
    evaluator.py   the evaluator's `fit`: no training, but each new checkpoint evaluated
    frameworks.py  the three Keras that there are: where a run begins, what their logs mean
    legacy.py      tf-keras and Keras 2: beginning in the middle of an epoch

All of it uses what Keras documents for callbacks, except where a run has to begin in the middle of an epoch. So
`program.keras: {patchFit: false}`, which keeps Keras's insides as they are, turns off only that last part: then saves
fall on the ends of epochs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping


def install(when_imported: Callable[[str, Callable[[Any], None]], None], spec: Mapping[str, Any]) -> None:
    """Register the hooks for `fit` of Keras 3 on TensorFlow, tf_keras and Keras 2."""
    from trainingjob_hooks.fit import frameworks, wrap

    settings = dict(spec)

    def keras3(module: Any) -> None:
        wrap.install(module.TensorFlowTrainer, frameworks.Keras3(settings), settings)

    def legacy(module: Any) -> None:
        wrap.install(module.Model, frameworks.Legacy(settings, module), settings)

    when_imported("keras.src.backend.tensorflow.trainer", keras3)
    when_imported("tf_keras.src.engine.training", legacy)
    when_imported("keras.src.engine.training", legacy)
