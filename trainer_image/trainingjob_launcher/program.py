"""Puts the user's program where it runs: inline files, or the files of a mounted ConfigMap."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Mapping


class ProgramError(Exception):
    """The program can't be put into place; the text names the file and says what to do."""


def place(work_dir: str, files: Mapping[str, str], source_dir: str = "") -> None:
    """Write `files` (name -> text) or the files of `source_dir` to `work_dir`, which is made if need be.

    Names are relative paths below `work_dir`. Of a mounted ConfigMap only what has a plain name is copied: the
    kubelet keeps its own bookkeeping there under names that begin with two dots.

    Raises:
        ProgramError: a name leads elsewhere, or a file can't be written or read.
    """
    if not files and not source_dir:
        return
    if not work_dir:
        raise ProgramError("TRAININGJOB_WORK_DIR is not set, so there is no place for the program's files")
    root = Path(work_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if source_dir:
            _copy(Path(source_dir), root)
        for name, text in files.items():
            target = root / _checked(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ProgramError(f"the program can't be written to {work_dir}: {error}") from error


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\x00" in name or name.endswith("/"):
        raise ProgramError(f"file name {name!r} must be a relative path without '..', like main.py or lib/model.py")
    return path


def _copy(source: Path, root: Path) -> None:
    """Copy the plain files of a folder, folders in it included."""
    if not source.is_dir():
        raise ProgramError(f"the program's source {source} is not mounted")
    for entry in sorted(os.listdir(source)):
        if entry.startswith(".."):
            continue
        path = source / entry
        if path.is_dir():
            shutil.copytree(path, root / entry, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, root / entry)
