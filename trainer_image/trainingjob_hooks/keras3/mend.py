"""Puts the parts together: what Keras's TensorFlow trainer does differently when several replicas fit one model.

Keras 3's own way fails at once (facts: `_maybe_symbolic_build` reduces a structure, `reduce_per_replica` reduces
scalars over axis 0), and where it does not fail it clips gradients before they are added up, averages metrics and
weighs a short last batch like a full one.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import Any, Callable, Dict, List, Optional

from trainingjob_hooks.gang import Gang
from trainingjob_hooks.keras3 import (
    chief,
    iterator,
    members,
    mend_math,
    position,
    predict,
    source,
    step,
    strategy,
    versions,
)
from trainingjob_hooks.log import say


def install(module: Any, gang: Gang) -> None:
    """Mend `keras.src.backend.tensorflow.trainer`, right after it was imported."""
    from keras.src import callbacks, version

    cls = module.TensorFlowTrainer
    if not versions.is_tested(version.__version__):
        if gang.size > 1:
            _refuse(cls, versions.refusal(version.__version__, gang.size))
        return
    iterator.install(module)
    _mend_fit(cls)
    if gang.size > 1 or strategy.has_several_gpus():
        spread(cls)
        if not gang.is_chief:
            chief.install(callbacks)
        _restore_for_all(callbacks)


def spread(cls: Any) -> None:
    """Let the trainer `cls` fit, evaluate and predict on several replicas."""
    _mend_trainer(cls)
    predict.install(cls)
    mend_math.install()


def _refuse(cls: Any, text: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError(text)

    for name in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"):
        setattr(cls, name, refuse)


def _mend_fit(cls: Any) -> None:
    """Know the running `fit`: where it begins, and who looks at the logs of every batch."""
    fit = cls.fit
    signature = inspect.signature(fit)

    @functools.wraps(fit)
    def mended(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments
        with position.fitting(self, int(given.get("initial_epoch", 0) or 0)):
            if source.is_ours(self.distribute_strategy):
                _watched[self] = _is_watched(self, given.get("callbacks"))
            return fit(self, *args, **kwargs)

    cls.fit = mended


_watched: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
_BATCH_HOOKS = tuple(f"on_{kind}batch_{end}" for kind in ("", "train_", "test_") for end in ("begin", "end"))


def _is_watched(model: Any, callbacks: Any) -> bool:
    """Whether a callback of any member looks at single batches: members must put logs together at one time."""
    from keras.src import tree

    found = getattr(callbacks, "callbacks", None) or (tree.flatten(callbacks) if callbacks else [])
    mine = any(_looks_at_batches(callback) for callback in found)
    return bool(members.rows(model.distribute_strategy, [float(mine)]).any())


def _looks_at_batches(callback: Any) -> bool:
    """Whether `callback` wants the logs of every batch, or the weights of just then.

    One of ours says no by `needs_batch_logs = False`: before it looks at weights or counters in the middle of an
    epoch, it calls `step.flush`.
    """
    if getattr(callback, "needs_batch_logs", None) is False:
        return False
    frequency = {"ModelCheckpoint": "save_freq", "TensorBoard": "update_freq", "BackupAndRestore": "save_freq"}
    for kind in type(callback).__mro__:
        if kind.__module__.startswith("keras.src.callbacks."):
            if kind.__name__ in frequency:
                return bool(getattr(callback, frequency[kind.__name__], "epoch") != "epoch")
            if kind.__name__ in ("ProgbarLogger", "History", "CSVLogger"):
                return False
        if _looks(kind.__dict__):
            return True
    return _looks(getattr(callback, "__dict__", {}))  # LambdaCallback sets them


def _looks(attributes: Any) -> bool:
    from keras.src.utils.python_utils import is_default

    return any(name in attributes and not is_default(attributes[name]) for name in _BATCH_HOOKS)


def _mend_trainer(cls: Any) -> None:
    make_function, symbolic_build = cls._make_function, cls._maybe_symbolic_build
    results_or_logs, evaluate = cls._get_metrics_result_or_logs, cls.evaluate
    signature = inspect.signature(evaluate)

    @functools.wraps(make_function)
    def make(self: Any, step_function: Callable[[Any], Any]) -> Any:
        if not source.is_ours(self.distribute_strategy):
            return make_function(self, step_function)
        return step.Function(self, step_function, lambda: _watched.get(self, True))

    @functools.wraps(symbolic_build)
    def build(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
        if not source.is_ours(self.distribute_strategy):
            symbolic_build(self, iterator, data_batch)
            return
        if iterator is not None:
            data_batch = iterator._input.batch_spec()
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)
        if iterator is not None and iterator._input.is_training:
            _agree_on_weights(self)

    @functools.wraps(results_or_logs)
    def results(self: Any, logs: Any) -> Any:
        if not source.is_ours(self.distribute_strategy):
            return results_or_logs(self, logs)
        final = step.finish(self)
        _agree_on_statistics(self)
        return logs if final is None else final

    @functools.wraps(evaluate)
    def evaluated(self: Any, *args: Any, **kwargs: Any) -> Any:
        if source.is_ours(self.distribute_strategy) and not kwargs.get("_use_cached_eval_dataset", False):
            given = signature.bind(self, *args, **kwargs).arguments
            _watched[self] = _is_watched(self, given.get("callbacks"))
        return evaluate(self, *args, **kwargs)

    cls.__init__ = strategy.before(cls.__init__)
    cls._make_function, cls._maybe_symbolic_build = make, build
    cls._get_metrics_result_or_logs, cls.evaluate = results, evaluated


def _agree_on_weights(model: Any) -> None:
    if members.share_values(model.distribute_strategy, _variables(model)):
        say("the members' weights differed at the start of fit: all go on with the chief's")


def _variables(model: Any) -> List[Any]:
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *(optimizer.variables if optimizer is not None else [])]


def _agree_on_statistics(model: Any) -> None:
    """Let BatchNormalization's moving statistics, which every replica keeps of its own shares, be the mean of all."""
    floats = [v for v in model.non_trainable_variables if "float" in str(v.dtype)]
    if floats:
        members.share_values(model.distribute_strategy, floats, mean=True)


def _restore_for_all(callbacks: Any) -> None:
    """Let all members begin with what the chief's BackupAndRestore has found."""
    cls = getattr(callbacks, "BackupAndRestore", None)
    if cls is None:
        return
    begin = cls.on_train_begin

    @functools.wraps(begin)
    def mended(self: Any, logs: Optional[Dict[str, Any]] = None) -> None:
        begin(self, logs)
        ours = self.model.distribute_strategy
        if source.is_ours(ours):
            members.share_values(ours, _variables(self.model))
            epochs = members.rows(ours, [float(self.model._initial_epoch or 0)])
            self.model._initial_epoch = int(epochs[0, 0]) or None

    cls.on_train_begin = mended
