"""Installs the hooks in the process that trains, and in no other.

`start` runs at every Python start of the trainer's process tree, so it only looks at two variables and leaves a
finder behind. The work is done right before the program imports TensorFlow or Keras. That process then marks the
environment: what it starts (data-loading processes, subprocesses) inherits the mark and is left alone.
"""

from __future__ import annotations

import os
import sys

from trainingjob_hooks.imports import before_import, when_imported
from trainingjob_hooks.log import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping

#: The number of the hooked process, for those that it starts.
MARK = "TRAININGJOB_HOOKED"
#: Where the launcher wants the stacks of a stuck program: see `trainingjob._stack`.
STACK_VARIABLE = "TRAININGJOB_STACK_FD"
FRAMEWORKS = ("tensorflow", "keras", "tf_keras")


def start() -> None:
    """Wait for the import of TensorFlow or Keras, when this process belongs to a TrainingJob."""
    environ = os.environ
    if environ.get(STACK_VARIABLE):
        from trainingjob._stack import show_on_signal

        show_on_signal(environ)
    if not environ.get("TRAININGJOB_SOCKET") and not environ.get("TRAININGJOB_SPEC"):
        return
    if environ.get(MARK, str(os.getpid())) != str(os.getpid()):
        return
    before_import(FRAMEWORKS, install)
    # A program may draw its data before it imports a framework.
    when_imported("random", _seed)
    when_imported("numpy.random", _seed)


def _seed(module: Any) -> None:
    """Let all members draw the same numbers where the program sets no seed; see `keras3.seeds`."""
    if _is_left_alone():
        return
    from trainingjob_hooks.keras3 import seeds

    seeds.seed(module, os.environ, read_spec(os.environ))


def _is_left_alone() -> bool:
    return "trainingjob_trainer" in sys.modules or _is_helper_process()


def install() -> None:
    """Register every hook. Called once, before the first framework is imported."""
    if _is_left_alone():
        return
    os.environ[MARK] = str(os.getpid())
    spec = read_spec(os.environ)
    from trainingjob_hooks import keras3

    keras3.install(when_imported, spec)
    try:
        from trainingjob_hooks import fit

        fit.install(when_imported, spec)
    except Exception as error:
        say(f"neither reports nor resume without code, the program goes on without them: {error!r}")
    try:
        from trainingjob_hooks import summaries

        summaries.install(when_imported)
    except Exception as error:
        say(f"tf.summary.scalar is not reported, the program goes on without: {error!r}")


def read_spec(environ: Mapping[str, str]) -> Dict[str, Any]:
    """Return the document TRAININGJOB_SPEC, `{}` when there is none or it can't be read (which is logged)."""
    text = environ.get("TRAININGJOB_SPEC", "")
    if not text:
        return {}
    import json

    try:
        spec = json.loads(text)
        if not isinstance(spec, dict) or spec.get("version", 1) != 1:
            raise ValueError("not a JSON object of version 1")
    except ValueError as error:
        say(f"TRAININGJOB_SPEC can't be read ({error}): use a trainer image of the operator's release")
        return {}
    return spec


def _is_helper_process() -> bool:
    """Whether `multiprocessing` started this process: it feeds or helps the trainer, it does not train."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None
