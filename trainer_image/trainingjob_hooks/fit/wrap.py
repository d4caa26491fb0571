"""Around `fit` and `evaluate`: each call gets our callbacks beside those of the program.

Calls of `fit` are counted. The first has the job's checkpoint folder, the k-th the folder `fit-k` in it: a program
that fits one model after the other, or the same one with other settings, finds each call's own state. A call that was
finished before the program was killed gives its weights and its History again and trains nothing.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from typing import Any, Iterator, List, Mapping, Optional

from trainingjob import _checkpoint_job as job
from trainingjob._checkpoint import Checkpoints
from trainingjob._checkpoint_restore import broadcast_read
from trainingjob_hooks.fit import evaluator, report, saving, stopping
from trainingjob_hooks.fit.schedule import Agreed

_calls = 0
_steps = 0  # of the calls of fit that have ended
_running: List[Call] = []


class Call:
    """One call of `fit`."""

    def __init__(self, framework: Any, number: int, arguments: Mapping[str, Any]) -> None:
        self.framework = framework
        self.number = number
        self.epochs = int(arguments.get("epochs", 1) or 1)
        self.batch_size = batch_size(arguments)
        #: Steps of earlier calls of fit.
        self.offset = _steps
        #: Steps of this call before the running epoch, and up to now.
        self.before = 0
        self.step = 0
        #: The batch that the first epoch begins with.
        self.first_batch = 0
        #: Those of the program, and the History that it gets back.
        self.callbacks: List[Any] = []


def install(cls: Any, framework: Any, spec: Mapping[str, Any]) -> None:
    """Wrap `fit` and `evaluate` of the class of models `cls`."""
    fit, evaluate = cls.fit, cls.evaluate
    signature, evaluate_signature = inspect.signature(fit), inspect.signature(evaluate)

    @functools.wraps(fit)
    def wrapped_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _running:  # a callback that fits a model of its own is the program's affair
            return fit(self, *args, **kwargs)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        with _counted(framework, bound.arguments) as call:
            checkpoints, schedule = _checkpoints(spec, call.number)
            if job.is_evaluator(os.environ) and checkpoints is not None:
                call.callbacks = _listed(bound.arguments.get("callbacks"))
                return evaluator.run(self, call, checkpoints, bound.arguments, evaluate)
            found = None
            if checkpoints is None:
                job.end_on_sigterm()
            else:
                found = broadcast_read(checkpoints, self.distribute_strategy)
                framework.before_fit(self, bound.arguments, found[1] if found is not None else None)
            saver = saving.Saving(call, checkpoints, schedule, found) if checkpoints is not None else None
            bound.arguments["callbacks"] = _with_ours(self, call, bound.arguments.get("callbacks"), saver, spec)
            try:
                return fit(*bound.args, **bound.kwargs)
            finally:
                framework.after_fit(self)

    @functools.wraps(evaluate)
    def wrapped_evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _running:
            return evaluate(self, *args, **kwargs)
        bound = evaluate_signature.bind(self, *args, **kwargs)
        given = bound.arguments.get("callbacks")
        if not isinstance(given, framework.callbacks.CallbackList):
            bound.arguments["callbacks"] = [*_listed(given), framework.make(report.TestReport)]
        return evaluate(*bound.args, **bound.kwargs)

    cls.fit, cls.evaluate = wrapped_fit, wrapped_evaluate


def is_running() -> bool:
    """Whether a `fit` of the program runs now."""
    return bool(_running)


@contextlib.contextmanager
def _counted(framework: Any, arguments: Mapping[str, Any]) -> Iterator[Call]:
    global _calls, _steps
    _calls += 1
    call = Call(framework, _calls, arguments)
    _running.append(call)
    try:
        yield call
    finally:
        _running.remove(call)
        _steps += call.step


def _checkpoints(spec: Mapping[str, Any], number: int) -> Any:
    settings = job.folder(spec)
    if settings is None:
        return None, None
    path = str(settings["path"]).rstrip("/")
    is_chief = job.is_chief(os.environ)
    folder = path if number == 1 else f"{path}/fit-{number}"
    return Checkpoints(folder, int(settings.get("keep", 3)), is_chief=is_chief), Agreed(settings, is_chief)


def _with_ours(model: Any, call: Call, given: Any, saver: Optional[saving.Saving], spec: Mapping[str, Any]) -> Any:
    """Return the program's callbacks with ours around them."""
    framework = call.framework
    is_list = isinstance(given, framework.callbacks.CallbackList)
    theirs = list(given.callbacks) if is_list else _listed(given)
    if not any(isinstance(callback, framework.callbacks.History) for callback in theirs):
        theirs.append(framework.callbacks.History())  # Keras would add it after ours
    if spec.get("stopWhen"):
        theirs.append(framework.make(stopping.StopWhen, spec["stopWhen"]))
    call.callbacks = theirs
    after = [framework.make(saving.Last, call, saver)] if saver is not None else []
    all_ = [framework.make(saving.First, call, saver), *theirs, *after, framework.make(report.Report, call)]
    if not is_list:
        return all_
    for callback in all_:
        if not any(callback is known for known in given.callbacks):
            callback.set_model(model)
            callback.set_params(given.params)
    given.callbacks[:] = all_
    return given


def _listed(callbacks: Any) -> List[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [item for entry in callbacks for item in _listed(entry)]
    return [callbacks]


def batch_size(arguments: Mapping[str, Any]) -> Optional[int]:
    """Examples of a step, over all members, as far as it can be told without looking into the data."""
    if arguments.get("batch_size"):
        return int(arguments["batch_size"])
    data = arguments.get("x")
    while data is not None and type(data).__module__.startswith("tensorflow."):
        size = getattr(data, "_batch_size", None)
        if size is not None:
            return int(size)
        inputs = data._inputs() if hasattr(data, "_inputs") else []
        if not inputs:
            return None
        data = inputs[0]
    own = getattr(data, "batch_size", None)
    if isinstance(own, int):
        return own
    is_arrays = hasattr(data, "shape") or (isinstance(data, (list, tuple, dict)))
    return 32 if is_arrays else None
