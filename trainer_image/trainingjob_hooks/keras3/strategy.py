"""Gives a program that makes no strategy a MultiWorkerMirroredStrategy, at the last moment at which that is possible.

Collectives can only be set up before TensorFlow's eager context exists. So when the context is about to be made and
the program has made no strategy of its own, ours is made, and its scope entered for the rest of the process: Keras
then creates every variable in it. A program with a strategy of its own keeps it. A member alone with one accelerator
needs none.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable, Optional

from trainingjob_hooks.log import say

#: The strategy that we made, None when the program made its own or none is needed.
supplied: Optional[Any] = None
#: Name of the class of the first strategy that the program made.
own: Optional[str] = None
_scope: Any = None  # entered, never left
_NOT_MADE_BY_PROGRAMS = ("_DefaultDistributionStrategy", "_DefaultDistributionStrategyV1")

NO_STRATEGY = (
    "this program has its own training loop but makes no strategy, so its members would train apart from each other. "
    "Make one first: strategy = tf.distribute.MultiWorkerMirroredStrategy(), with model and optimizer in "
    "strategy.scope() and the step in strategy.run(); or use model.fit. With program.keras.patchFit: false "
    "every member trains alone."
)


def install(when_imported: Callable[[str, Callable[[Any], None]], None], members: int, communication: str) -> None:
    """Watch for strategies and for the eager context; `communication` is auto, ring or nccl."""
    when_imported("tensorflow.python.distribute.distribute_lib", _watch_strategies)
    when_imported("tensorflow.python.eager.context", lambda module: _watch_context(module, members))
    if communication in ("ring", "nccl"):
        when_imported(
            "tensorflow.python.distribute.collective_all_reduce_strategy",
            lambda module: _set_communication(module, communication),
        )


def _watch_strategies(module: Any) -> None:
    def make(cls: Any, *_: Any, **__: Any) -> Any:
        global own
        if own is None and supplied is None and cls.__name__ not in _NOT_MADE_BY_PROGRAMS:
            own = cls.__name__
        return object.__new__(cls)

    module.StrategyBase.__new__ = staticmethod(make)


def _watch_context(module: Any, members: int) -> None:
    initialize = module.Context.ensure_initialized

    def ensure_initialized(context: Any) -> None:
        if not context._initialized:
            module.Context.ensure_initialized = initialize  # once; what we make comes here again
            if own is None:
                _supply(members)
            elif members > 1 and "CollectiveAllReduceStrategy" not in own:
                say(f"the program makes its own {own}, so it is left as it is: this member trains on its own")
        initialize(context)

    module.Context.ensure_initialized = ensure_initialized


def _set_communication(module: Any, communication: str) -> None:
    cls = module.CollectiveAllReduceStrategy
    initialize = cls.__init__

    def __init__(self: Any, cluster_resolver: Any = None, communication_options: Any = None) -> None:  # noqa: N807
        initialize(self, cluster_resolver, communication_options or _options(communication))

    cls.__init__ = __init__


def _options(communication: str) -> Any:
    from tensorflow.python.distribute import collective_util

    return collective_util.Options(
        implementation=collective_util.CommunicationImplementation(communication.upper()),
    )


def _act_as_numbers(cls: Any) -> None:
    """Let a strategy's variables be numbers like all others of TensorFlow: float(optimizer.learning_rate)."""
    for convert in (float, int):
        name = f"__{convert.__name__}__"
        if name not in cls.__dict__:
            setattr(cls, name, lambda self, convert=convert: convert(self.numpy()))
    if not hasattr(cls, "__array__"):
        cls.__array__ = lambda self, dtype=None, **_: self.numpy().astype(dtype or self.dtype.as_numpy_dtype)


def has_several_gpus() -> bool:
    """Whether this process has more than one GPU: each then holds a replica."""
    from tensorflow.python.framework import config

    return len(config.list_physical_devices("GPU")) > 1


def _supply(members: int) -> None:
    if members == 1 and not has_several_gpus():
        return
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    enter(module.CollectiveAllReduceStrategy)


def enter(make: Callable[[], Any]) -> None:
    """Make the strategy that this process has from now on, and enter its scope for good."""
    global supplied, _scope
    from tensorflow.python.distribute import values
    from tensorflow.python.framework import ops

    _act_as_numbers(values.DistributedVariable)
    supplied = make()
    sys.excepthook = _explaining(sys.excepthook)
    with ops.init_scope():  # Keras may be inside of a graph that it throws away
        _scope = supplied.scope()
        _scope.__enter__()


def _explaining(excepthook: Any) -> Any:
    """Say what to do after TensorFlow's own words, when a loop of the program's fails in our strategy."""

    def hook(kind: Any, error: BaseException, traceback: Any) -> None:
        excepthook(kind, error, traceback)
        if "replica context" in str(error):
            say(NO_STRATEGY)

    return hook


def before(function: Any) -> Any:
    """Wrap a function that looks for a strategy or makes a variable: the context, and with it ours, is made first."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from tensorflow.python.eager import context

        context.ensure_initialized()
        return function(*args, **kwargs)

    return wrapped
