"""Callbacks that write files: every member runs them, only the chief's files count.

On other members they write to a private folder that is removed at the end. They do run there, so that members stay
in step with each other: saving may read variables with a collective.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from typing import Any, Dict

_folder: str = ""


def install(callbacks: Any) -> None:
    """Redirect what `ModelCheckpoint`, `CSVLogger`, `TensorBoard` and `BackupAndRestore` write on this member.

    `callbacks` is keras.src.callbacks. Called on members other than the chief.
    """
    for name, attributes in {
        "ModelCheckpoint": ("filepath",),
        "CSVLogger": ("filename",),
        "TensorBoard": ("log_dir", "_train_dir", "_val_dir"),
        "BackupAndRestore": (
            "backup_dir",
            "_weights_path",
            "_training_metadata_path",
            "_prev_weights_path",
            "_prev_training_metadata_path",
        ),
    }.items():
        cls = getattr(callbacks, name, None)
        if cls is not None:
            _redirect(cls, attributes)


def _redirect(cls: Any, attributes: Any) -> None:
    initialize = cls.__init__

    @functools.wraps(initialize)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        initialize(self, *args, **kwargs)
        moved: Dict[str, str] = {}
        for attribute in attributes:
            value = getattr(self, attribute, None)
            if isinstance(value, (str, os.PathLike)):
                moved[attribute] = private(os.fspath(value))
        self.__dict__.update(moved)

    cls.__init__ = __init__


def private(path: str) -> str:
    """Return where this member writes what the program wants at `path`: the same name in a folder of its own."""
    global _folder
    if not _folder:
        _folder = tempfile.mkdtemp(prefix="trainingjob-")
        atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    moved = os.path.join(_folder, path.replace("://", "/").lstrip("/"))
    os.makedirs(os.path.dirname(moved), exist_ok=True)
    return moved
