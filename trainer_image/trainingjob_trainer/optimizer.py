"""The optimizer, set up so that it takes gradients that are summed already.

Keras 3's optimizer sums gradients over the replicas itself, variable by variable, after it has clipped each replica's
own ones: clipping would then depend on the number of members. The loop sums first, in one collective. So the
optimizer's own sum is switched off on the instance; Keras has no public switch for it.
"""

from __future__ import annotations

from typing import Any

from trainingjob_trainer.document import Training
from trainingjob_trainer.errors import SpecError
from trainingjob_trainer.keras_objects import build

FIELD = "spec.training.optimizer"
CLIPPING = {"value": "clipvalue", "norm": "clipnorm", "globalNorm": "global_clipnorm"}
SUMMING = "_all_reduce_sum_gradients"


def build_optimizer(training: Training, variables: Any) -> Any:
    """Make the optimizer and its variables, for the model's trainable `variables`.

    Raises:
        SpecError: unknown name or parameter, or what the job says in a field of its own as well.
    """
    import keras

    optimizer = build("optimizer", training.optimizer, FIELD)
    if optimizer.gradient_accumulation_steps:
        raise SpecError(
            f"{FIELD}.gradient_accumulation_steps",
            "would change what a step is; write spec.training.gradientAccumulation, which gives the same result as "
            "without",
        )
    _clip(optimizer, training)
    use_summed_gradients(optimizer)
    if training.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        use_summed_gradients(optimizer)
    optimizer.build(variables)
    return optimizer


def use_summed_gradients(optimizer: Any) -> None:
    """Switch off the optimizer's own sum over replicas.

    Raises:
        RuntimeError: this version of Keras has no such step, so nobody knows what it does instead.
    """
    import keras

    if not callable(getattr(optimizer, SUMMING, None)):
        raise RuntimeError(f"Keras {keras.__version__} is unknown to this trainer: its optimizer has no {SUMMING}")
    setattr(optimizer, SUMMING, _as_they_are)


def _as_they_are(grads_and_vars: Any) -> Any:
    return grads_and_vars


def _clip(optimizer: Any, training: Training) -> None:
    if training.clipping is None:
        return
    name, limit = training.clipping
    own = [key for key in CLIPPING.values() if getattr(optimizer, key) is not None]
    if own:
        field = f"spec.training.gradientClipping.{name}"
        raise SpecError(field, f"is {limit:g}, and the optimizer has {own[0]} as well; leave out one of them")
    # Keras clips after the sum here, because the sum comes before its apply; with float16 after unscaling, too.
    setattr(optimizer, CLIPPING[name], limit)
