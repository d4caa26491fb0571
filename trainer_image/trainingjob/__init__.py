"""What a training program may import. Standard library only until a data set is asked for.

    import trainingjob
    trainingjob.report(step=120, total_steps=830, loss=0.31)        # shown by `kubectl get tj`
    (x_train, y_train), (x_test, y_test) = trainingjob.datasets.mnist()

Outside a TrainingJob `report` does nothing, so a program runs the same on a laptop.
"""

from __future__ import annotations

from trainingjob._progress import flush, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from trainingjob import datasets

__all__ = ["report", "flush", "datasets"]


def __getattr__(name: str) -> ModuleType:
    if name == "datasets":
        import importlib

        return importlib.import_module("trainingjob.datasets")
    raise AttributeError(f"module 'trainingjob' has no attribute {name!r}; it has {', '.join(__all__)}")
