"""The trainer's PYTHONPATH: what the launcher's own files bring to the user's program.

First the folder whose `sitecustomize` starts the Keras hooks, then what the image or the user has set, last the
folder that holds this package: so `import trainingjob` works in any image, and hides nothing of the user's.

The packages may lie in a zip file (the injected launcher): Python imports from FILE.pyz/FOLDER as well.
"""

from __future__ import annotations

import os
from importlib.machinery import PathFinder
from typing import Any, Mapping, Optional

HOOKS = "trainingjob_hooks"


def packages_root() -> str:
    """Return the folder, or the zip file, that holds this package."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def hooks_folder(root: str) -> Optional[str]:
    """Return the folder of the hooks' `sitecustomize`, None where `root` holds no hooks."""
    if PathFinder.find_spec(HOOKS, [root]) is None:
        return None
    return os.path.join(root, HOOKS, "site")


def python_path(given: str, root: str, hooked: bool) -> str:
    """Return PYTHONPATH with ours around what is `given`, which stays as it is."""
    hooks = hooks_folder(root) if hooked else None
    parts = [part for part in given.split(os.pathsep) if part]
    before = [hooks] if hooks is not None and parts[:1] != [hooks] else []
    after = [root] if root not in parts else []
    return os.pathsep.join([*before, *([given] if given else []), *after])


def is_hooked(document: Mapping[str, Any]) -> bool:
    """Whether the hooks are for this job: those for the user's programs. Our own trainer needs none."""
    return "training" not in document
