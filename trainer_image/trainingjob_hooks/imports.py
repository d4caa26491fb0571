"""Runs a function right after a module was imported, or right before: the only way into programs we did not write.

A finder at the front of `sys.meta_path` looks each wanted name up once with the finders behind it and wraps the
loader that they found. Other imports cost one dictionary look-up. A function that raises is one line in the log;
the import goes on.
"""

from __future__ import annotations

import sys

from trainingjob_hooks.log import say

TYPE_CHECKING = False  # `typing` takes longer to import than all of this at the start of every Python
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Sequence

    Hook = Callable[[Any], None]


def when_imported(module_name: str, function: Hook) -> None:
    """Call `function(module)` right after `module_name` was executed; at once when that has happened already.

    Several functions for one module run in the order in which they came. What a function raises is logged as one
    line and goes no further.
    """
    module = sys.modules.get(module_name)
    if module is not None and not _is_loading(module):
        _run(module_name, function, module)
        return
    _finder().after.setdefault(module_name, []).append(function)


def before_import(module_names: Sequence[str], function: Callable[[], None]) -> None:
    """Call `function()` once, before the first of `module_names` is loaded."""
    finder = _finder()
    for name in module_names:
        finder.before[name] = function


def _is_loading(module: Any) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _run(module_name: str, function: Hook, module: Any) -> None:
    try:
        function(module)
    except Exception as error:
        where = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
        say(f"the hook {where} for {module_name} failed, the program goes on without it: {error!r}")


class _Finder:
    """Finds nothing itself; wraps what the others find for the names that are waited for."""

    def __init__(self) -> None:
        self.after: Dict[str, List[Hook]] = {}
        self.before: Dict[str, Callable[[], None]] = {}

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Any = None) -> Any:
        if name in self.before:
            self._run_before(name)
        if name not in self.after:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    def _run_before(self, name: str) -> None:
        function = self.before[name]
        self.before = {key: value for key, value in self.before.items() if value is not function}
        try:
            function()
        except Exception as error:
            say(f"the hooks could not be installed, the program goes on without them: {error!r}")

    def loaded(self, name: str, module: Any) -> None:
        for function in self.after.pop(name, []):
            _run(name, function, module)


class _Loader:
    """A loader that tells the finder when the module has been executed, and leaves no trace in the module."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: Any) -> Any:
        create = getattr(self._loader, "create_module", None)
        return create(spec) if create is not None else None

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        name = module.__spec__.name
        self._finder.loaded(name, sys.modules.get(name, module))

    def __getattr__(self, name: str) -> Any:  # is_package, get_source, get_data, … of the real one
        return getattr(self._loader, name)


def _finder() -> _Finder:
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            return finder
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    return finder
