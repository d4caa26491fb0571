"""From `spec.training.dataset` to a Source or a Stream."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.source import Source, Stream

#: Imported when it is asked for: starting up should not read what is not needed.
KINDS = {
    "builtin": "builtin",
    "npz": "npz",
    "csv": "csv",
    "tfrecord": "tfrecord",
    "images": "images",
    "builder": "builder",
}


def open_source(
    dataset: Mapping[str, Any], *, seed: int, field: str = "spec.training.dataset", classes: Sequence[str] = ()
) -> Source | Stream:
    """Open what the spec's dataset object names.

    Args:
        dataset: the object; exactly one key is set.
        seed: `spec.training.seed`; it makes the synthetic data sets.
        field: the object's path in the resource, for errors.
        classes: for a validation set, the training set's `classes`: a class has one number, whether or not each set
            has examples of it.

    Raises:
        DataError: there is no such data, or it can't be trained on; the text names field, value and remedy.
        ProgramError: a user's builder raised.
    """
    given = {name: value for name, value in dataset.items() if value is not None}
    if len(given) != 1 or not set(given) <= set(KINDS):
        raise DataError(field, f"names {', '.join(given) or 'nothing'}; write exactly one of {', '.join(KINDS)}")
    ((kind, options),) = given.items()
    module = importlib.import_module(f"trainingjob_trainer.data.sources.{KINDS[kind]}")
    source: Source | Stream = module.open_source(options, seed=seed, field=f"{field}.{kind}", classes=classes)
    return source
