"""Arrays of NumPy in .npz files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.files import find_files, is_local, path_of, read_bytes
from trainingjob_trainer.data.source import Source
from trainingjob_trainer.data.sources.arrays import checked
from trainingjob_trainer.errors import nearest, one_line


def open_source(options: Mapping[str, Any], *, seed: int, field: str, **_: Any) -> Source:  # noqa: ARG001 - all kinds alike
    """Read the named arrays of all files and put them after one another, in the order of the files' names."""
    names = {"input": options.get("input") or "x", "label": options.get("label") or "y"}
    if options.get("sampleWeight"):
        names["sampleWeight"] = options["sampleWeight"]
    found: dict[str, list[Any]] = {key: [] for key in names}
    for path in find_files(path_of(options, field), f"{field}.path"):
        arrays = _read(path, names, field)
        _refuse_unequal(path, names, arrays, field)
        for key, array in arrays.items():
            _refuse_other_shape(path, key, names[key], array, found[key], field)
            found[key].append(array)
    whole = {key: parts[0] if len(parts) == 1 else np.concatenate(parts) for key, parts in found.items()}
    return checked(field, whole["input"], whole["label"], whole.get("sampleWeight"))


def _read(path: str, names: Mapping[str, str], field: str) -> dict[str, Any]:
    content = path if is_local(path) else io.BytesIO(read_bytes(path, f"{field}.path"))
    if not zipfile.is_zipfile(content):
        raise DataError(f"{field}.path", f"{path!r} is no .npz file, or was cut off; write it with numpy.savez")
    try:
        with np.load(content) as file:
            missing = [key for key, name in names.items() if name not in file]
            if missing:
                key = missing[0]
                hint = nearest(names[key], file.files)
                problem = f"is {names[key]!r}, but {path!r} holds {', '.join(file.files) or 'nothing'}.{hint}"
                raise DataError(f"{field}.{key}", problem)
            return {key: file[name] for key, name in names.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        if "pickle" in str(error):
            problem = f"{path!r} holds Python objects, which are not read; write arrays of numbers"
        else:
            problem = f"{path!r} cannot be read as .npz: {one_line(error)}"
        raise DataError(f"{field}.path", problem) from None


def _refuse_unequal(path: str, names: Mapping[str, str], arrays: Mapping[str, Any], field: str) -> None:
    lengths = {names[key]: len(array) if array.ndim else 0 for key, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{field}.path", f"arrays in {path!r} differ in length: {told}")


def _refuse_other_shape(path: str, key: str, name: str, array: Any, before: list[Any], field: str) -> None:
    if before and (array.shape[1:] != before[0].shape[1:]):
        problem = f"{name} in {path!r} has examples of shape {array.shape[1:]}, in files before {before[0].shape[1:]}"
        raise DataError(f"{field}.{key}", problem)
