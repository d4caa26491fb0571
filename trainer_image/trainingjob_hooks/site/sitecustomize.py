"""Python imports this at start, before the program: it starts our hooks, then gives way to the image's own one.

The launcher puts this folder first on the trainer's PYTHONPATH. Folder and package may lie in a zip file.
"""

import sys

_FOLDER = __file__.replace("\\", "/").rpartition("/")[0]


def _start_hooks() -> None:
    try:
        from trainingjob_hooks import bootstrap
    except ImportError:  # A PYTHONPATH that was cut short by the program: then there is nothing to start.
        return
    bootstrap.start()


def _run_shadowed() -> None:
    """Run the sitecustomize that this one hides, under its own name, as if we weren't there."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    others = [entry for entry in sys.path if entry.replace("\\", "/").rstrip("/") != _FOLDER]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None or spec.origin == __file__:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _start_hooks()
except Exception as error:  # A hook must never be the reason why a program does not start.
    print("trainingjob: the hooks could not be started:", repr(error), file=sys.stderr)
_run_shadowed()
