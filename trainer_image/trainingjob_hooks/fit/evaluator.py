"""`fit` of the evaluator: the program is the trainer's, unchanged; it does not train, but evaluates each checkpoint.

The chief writes checkpoints; this process reads each new one, evaluates on the program's own validation data and
reports `val_…` with the checkpoint's step. When the chief has said that training is complete and the last checkpoint
was evaluated, `fit` returns the History of the training, and the program goes on with the final weights.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

import trainingjob
from trainingjob._checkpoint import Checkpoints
from trainingjob_hooks.fit.callbacks import Memory
from trainingjob_hooks.fit.model_state import ModelState
from trainingjob_hooks.fit.report import numbers
from trainingjob_hooks.log import say

POLL_SECONDS = 1.0
_pause = threading.Event()  # never set: waits, and can be set by who has to end it


def run(
    model: Any, call: Any, checkpoints: Checkpoints, arguments: Mapping[str, Any], evaluate: Callable[..., Any]
) -> Any:
    """Follow the folder of one `fit` call to its end; return its History."""
    data = _validation(call.framework, arguments)
    if data is None:
        say("fit has no validation_data, so the evaluator has nothing to evaluate on and only follows the training")
    history = call.framework.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    model.history = history
    callbacks = call.callbacks  # of the program; none of their hooks is called here
    last: Optional[int] = None
    while True:
        end = checkpoints.completed()  # asked first: what it names is in the folder then
        for step in [step for step in checkpoints.steps() if last is None or step > last]:
            found = checkpoints.read(step)
            if found is None:
                continue  # removed meanwhile, there are newer ones
            _take(model, checkpoints, [*callbacks, history], data, evaluate, found)
            last = call.step = step
            if data is not None:
                _report(call, evaluate(model, **data), found[1])
        if end is not None and (last is None or last >= end):
            return history
        _pause.wait(POLL_SECONDS)


def _take(
    model: Any,
    checkpoints: Checkpoints,
    callbacks: Sequence[Any],
    data: Optional[Mapping[str, Any]],
    evaluate: Callable[..., Any],
    found: Any,
) -> None:
    """Set the model's weights, and what History and the program's callbacks knew: it may read them after `fit`."""
    arrays, position = found
    if not getattr(model, "built", True):
        if data is None:
            raise ValueError("the evaluator cannot build the model: give fit validation_data, or call model.build")
        evaluate(model, **{**data, "steps": 1})
    ModelState(model, model.distribute_strategy).restore_weights(arrays, checkpoints.path)
    Memory(callbacks).restore(position.get("callbacks", ()), arrays)


def _report(call: Any, logs: Mapping[str, Any], position: Mapping[str, Any]) -> None:
    values: Dict[str, float] = {f"val_{name}": value for name, value in numbers(logs).items()}
    step = call.offset + int(position["step"])
    trainingjob.report(step=step, epoch=int(position["epoch"]) + (1 if position["batch"] else 0), **values)
    shown = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
    say(f"evaluated step {step}: {shown}")


def _validation(framework: Any, arguments: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Return what `evaluate` must be given to do what `fit` would have done at the end of an epoch."""
    given = arguments.get("validation_data")
    split = arguments.get("validation_split")
    if given is None and split:
        arrays = (arguments.get("x"), arguments.get("y"), arguments.get("sample_weight"))
        given = framework.split_validation(arrays, float(split))
    if given is None:
        return None
    parts = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    x, y, weight = (*parts, None, None)[:3]
    return {
        "x": x,
        "y": y,
        "sample_weight": weight,
        "batch_size": arguments.get("validation_batch_size") or arguments.get("batch_size"),
        "steps": arguments.get("validation_steps"),
        "verbose": 0,
        "return_dict": True,
    }
