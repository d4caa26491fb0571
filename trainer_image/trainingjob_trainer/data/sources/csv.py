"""Text files with columns of numbers, and a column of labels that may be texts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.files import find_files, path_of, read_bytes
from trainingjob_trainer.data.source import Arrays, Source
from trainingjob_trainer.data.table import Columns, Table


def open_source(options: Mapping[str, Any], *, seed: int, field: str, classes: Sequence[str] = ()) -> Source:  # noqa: ARG001 - all kinds alike
    """Read all files into memory; the order of rows is that of the files' names and lines."""
    header = options.get("header")
    if not options.get("label"):
        raise DataError(f"{field}.label", "is missing; write the name of the labels' column, or its number, from 0")
    columns = Columns(
        label=str(options["label"]),
        features=tuple(str(name) for name in options.get("features") or ()),
        weight=options.get("sampleWeight"),
        delimiter=options.get("delimiter") or ",",
        header=True if header is None else header,
    )
    table = Table(columns, field)
    for path in find_files(path_of(options, field), f"{field}.path"):
        content = read_bytes(path, f"{field}.path")
        # utf-8-sig: what Excel writes begins with a mark that is no part of the first column's name
        table.read(path, io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""))
    if not table.labels:
        raise DataError(f"{field}.path", f"{options['path']!r} has no rows")
    labels, names = table.finished_labels(classes)
    weights = np.concatenate(table.weights) if table.weights else None
    return Arrays(field, np.concatenate(table.x), labels, weights, names)
