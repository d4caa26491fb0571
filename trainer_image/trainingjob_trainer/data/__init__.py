"""The data side of declarative training: a batch is a pure function of the seed and the global step.

    source = open_source(training["dataset"], seed=seed)                  # where examples come from
    source, held_out = split(source, 0.2, seed)                           # spec.training.validation.split
    feed = Feed(source, training["pipeline"], global_batch=32, parts=2, first_part=0, local_parts=1,
                seed=seed, training=True)
    for x, y, mask, weight, count in feed.batches(start_step, stop_step): ...

The same examples in the same order with the same augmentation on any number of members, and after any resume: that
is what makes restarts exact and lets the gang change its size (facts on TensorFlow, §5 and §6).

Names are looked up when they are used, so that the parts without TensorFlow can be imported without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainingjob_trainer.data.errors import DataError, explain
    from trainingjob_trainer.data.feed import Feed
    from trainingjob_trainer.data.held_out import split
    from trainingjob_trainer.data.kinds import open_source
    from trainingjob_trainer.data.source import Source, Stream

__all__ = ["open_source", "split", "Feed", "Source", "Stream", "DataError", "explain"]

_HOMES = {
    "open_source": "kinds",
    "split": "held_out",
    "Feed": "feed",
    "Source": "source",
    "Stream": "source",
    "DataError": "errors",
    "explain": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
