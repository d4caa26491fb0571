"""The Python that the members run with, and what lies on its path: the trainer image, without an image."""

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainingjob_local.errors import LocalError

#: What the trainer image holds beside TensorFlow.
PACKAGES = ("trainingjob", "trainingjob_hooks", "trainingjob_launcher", "trainingjob_trainer")
OLDEST = (3, 9)
_ASK = """
import importlib.util, json, sys
from importlib import metadata
def version(*names):
    for name in names:
        try:
            return metadata.version(name)
        except Exception:
            pass
    return "of an unknown version"
found = importlib.util.find_spec("tensorflow") is not None
names = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly")
print(json.dumps([list(sys.version_info[:2]), version(*names) if found else None]))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter. `tensorflow` is its TensorFlow's version, None for none."""

    path: str
    version: tuple[int, int]
    tensorflow: str | None

    def __str__(self) -> str:
        has = f"TensorFlow {self.tensorflow}" if self.tensorflow else "no TensorFlow"
        return f"{self.path} (Python {self.version[0]}.{self.version[1]}, {has})"


def find_python(given: str) -> Python:
    """Ask an interpreter, given by its path or its name, what it is.

    Raises:
        LocalError: it can't be run, or is too old.
    """
    path = shutil.which(os.path.expanduser(given))
    if path is None:
        raise LocalError(f"--python {given}: there is no such program; give the path of a Python with TensorFlow")
    path = os.path.abspath(path)
    try:
        asked = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, timeout=60, check=True)
        version, tensorflow = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise LocalError(f"--python {given}: is no Python that works: {error}") from error
    if tuple(version) < OLDEST:
        raise LocalError(f"--python {given}: is Python {version[0]}.{version[1]}, the launcher needs 3.9 or later")
    return Python(path, (version[0], version[1]), tensorflow)


def need_tensorflow(python: Python) -> None:
    """Check that the declarative trainer can run.

    Raises:
        LocalError: there is no TensorFlow.
    """
    if python.tensorflow is None:
        raise LocalError(
            f"spec.training needs TensorFlow, and {python.path} has none: install it there "
            "(pip install tensorflow), or give another interpreter: --python PATH"
        )


def lay_out(folder: Path, python: Python, packages: Sequence[str] = PACKAGES) -> None:
    """Make `folder`/packages, with the trainer image's packages and nothing else, and `folder`/bin with `python`.

    The packages come from beside this one. Their own folder can't be on the members' path as it is: it holds all else
    that is installed there, which may be another interpreter's.

    Raises:
        LocalError: a package is not installed.
    """
    home = folder / "packages"
    home.mkdir(parents=True)
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise LocalError(
                f"package {package} is not installed: install the operator's package (pip install . in a checkout)"
            )
        (home / package).symlink_to(spec.submodule_search_locations[0], target_is_directory=True)
    binaries = folder / "bin"
    binaries.mkdir()
    for name in ("python", "python3"):
        # not a link: a virtual environment is found by the interpreter's own place
        shim = binaries / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(python.path)} "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
