"""What a training program may import. Standard library only until a data set is asked for.

    import trainingjob
    trainingjob.report(step=120, total_steps=830, loss=0.31)        # shown by `kubectl get tj`
    (x_train, y_train), (x_test, y_test) = trainingjob.datasets.mnist()
    state = trainingjob.checkpoint(model=model, optimizer=optimizer)    # resumes; state.step, state.save(step)
    with trainingjob.busy("evaluation"): ...                            # no steps now, and yet not stuck

Outside a TrainingJob `report`, `busy` and `checkpoint` do nothing, so a program runs the same on a laptop.
"""

from __future__ import annotations

from trainingjob._progress import busy, flush, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from trainingjob import datasets
    from trainingjob._checkpoint_state import checkpoint

__all__ = ["report", "busy", "flush", "checkpoint", "datasets"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "datasets":
        return importlib.import_module("trainingjob.datasets")
    if name == "checkpoint":
        return importlib.import_module("trainingjob._checkpoint_state").checkpoint
    raise AttributeError(f"module 'trainingjob' has no attribute {name!r}; it has {', '.join(__all__)}")
