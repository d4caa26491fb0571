"""Finding and reading files, on volumes and where TensorFlow reads: gs://, s3:// and whatever else it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.errors import one_line

_WILDCARD = re.compile(r"[*?\[]")


def is_local(path: str) -> bool:
    """Tell whether the operating system can open the path itself."""
    return "://" not in path


def path_of(options: Mapping[str, Any], field: str) -> str:
    """Return `path` of a data set's object.

    Raises:
        DataError: there is none.
    """
    path = options.get("path")
    if not isinstance(path, str) or not path:
        raise DataError(
            f"{field}.path", f"is {path!r}; write a path on a volume, or an address such as gs://bucket/data"
        )
    return path


def find_files(path: str, field: str) -> list[str]:
    """Return the files that the path (with wildcards, or not) names, sorted.

    Raises:
        DataError: there are none, or the place cannot be read.
    """
    import tensorflow as tf

    try:
        found = sorted(tf.io.gfile.glob(path)) if _WILDCARD.search(path) else [path] * tf.io.gfile.exists(path)
        found = [name for name in found if not tf.io.gfile.isdir(name)] if len(found) < 100 else found
    except (tf.errors.OpError, OSError) as error:
        raise DataError(field, f"{path!r} cannot be read: {reason(error)}") from None
    if not found:
        raise DataError(field, f"is {path!r}, and no file has that name; is the volume mounted, is the name right?")
    return found


@contextmanager
def reading(path: str, field: str) -> Iterator[None]:
    """Turn what fails while a file is read into a DataError about it."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, OSError, EOFError) as error:
        raise DataError(field, f"{path!r} cannot be read: {reason(error)}") from None


def read_bytes(path: str, field: str) -> bytes:
    """Return a file's contents.

    Raises:
        DataError: it cannot be read.
    """
    import tensorflow as tf

    with reading(path, field), tf.io.gfile.GFile(path, "rb") as file:
        content: bytes = file.read()
    return content


def reason(error: Any) -> str:
    """Return what went wrong, without TensorFlow's source positions."""
    return one_line(getattr(error, "message", None) or error)
