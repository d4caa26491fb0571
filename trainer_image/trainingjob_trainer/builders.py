"""Importing what a user wrote: `module:function` and its arguments."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from trainingjob_trainer.errors import ProgramError, SpecError, nearest, one_line


def call_builder(builder: Mapping[str, Any], field: str) -> Any:
    """Import `builder.function` and call it with `builder.arguments`.

    Raises:
        SpecError: there is no such module or function.
        ProgramError: the user's code raised; the cause holds its traceback.
    """
    name = str(builder.get("function") or "")
    module_name, separator, function_name = name.partition(":")
    if not (module_name and separator and function_name):
        raise SpecError(f"{field}.function", f"is {name!r}; write module:function, as in models:make")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the working folder holds the files of training.source
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.partition(".")[0]:
            remedy = "is it in spec.training.source, or installed in the image?"
            raise SpecError(f"{field}.function", f"there is no module {module_name!r}; {remedy}") from None
        raise ProgramError(f"{field}.function: importing {module_name} failed: {one_line(error)}") from error
    except Exception as error:
        raise ProgramError(f"{field}.function: importing {module_name} failed: {one_line(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        hint = nearest(function_name, [key for key in vars(module) if not key.startswith("_")])
        raise SpecError(f"{field}.function", f"module {module_name!r} has no function {function_name!r}.{hint}")
    try:
        return function(**dict(builder.get("arguments") or {}))
    except Exception as error:
        raise ProgramError(f"{field}: {name} raised {type(error).__name__}: {one_line(error)}") from error
