"""Functions that run right after, or right before, an import that is not ours."""

import importlib
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainingjob_hooks import imports, log


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test has a meta path, modules and a log of its own."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(log, "_said", set())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    importlib.invalidate_caches()


def test_it_runs_after_the_module_was_executed(tmp_path: Path) -> None:
    write(tmp_path, "hooked_a.py", "value = 1\n")
    seen = []
    imports.when_imported("hooked_a", lambda module: seen.append(module.value))
    assert seen == []
    importlib.import_module("hooked_a")
    assert seen == [1]


def test_it_runs_at_once_for_a_module_that_is_there() -> None:
    seen: list[types.ModuleType] = []
    imports.when_imported("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_a_module_that_is_just_being_imported_is_waited_for(tmp_path: Path) -> None:
    write(
        tmp_path,
        "hooked_b.py",
        "from trainingjob_hooks import imports\nseen = []\n"
        "imports.when_imported('hooked_b', lambda module: seen.append(module.late))\nlate = 2\n",
    )
    imports.when_imported("hooked_b", lambda module: None)  # the finder is in place
    assert importlib.import_module("hooked_b").seen == [2]


def test_several_functions_run_in_order_and_for_submodules(tmp_path: Path) -> None:
    write(tmp_path, "hooked_c/__init__.py", "")
    write(tmp_path, "hooked_c/inner.py", "value = 3\n")
    seen: list[str] = []
    imports.when_imported("hooked_c.inner", lambda module: seen.append("first"))
    imports.when_imported("hooked_c.inner", lambda module: seen.append("second"))
    importlib.import_module("hooked_c")
    assert seen == []
    importlib.import_module("hooked_c.inner")
    assert seen == ["first", "second"]


def test_a_module_looks_as_if_it_had_not_been_hooked(tmp_path: Path) -> None:
    write(tmp_path, "hooked_d.py", "")
    imports.when_imported("hooked_d", lambda module: None)
    module = importlib.import_module("hooked_d")
    assert type(module.__loader__).__module__ == "_frozen_importlib_external"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


def test_a_module_in_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("hooked_e.py", "value = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path / "archive.zip"))
    seen = []
    imports.when_imported("hooked_e", lambda module: seen.append(module.value))
    importlib.import_module("hooked_e")
    assert seen == [5]


def test_what_a_function_raises_is_one_line_and_the_others_still_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "hooked_f.py", "")

    def broken(module: types.ModuleType) -> None:
        raise RuntimeError("two\nlines")

    seen: list[types.ModuleType] = []
    imports.when_imported("hooked_f", broken)
    imports.when_imported("hooked_f", seen.append)
    module = importlib.import_module("hooked_f")
    assert seen == [module]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("trainingjob: the hook ")
    assert "hooked_f" in line
    assert "two" in line


def test_a_module_that_fails_fails_as_ever_and_is_hooked_the_next_time(tmp_path: Path) -> None:
    write(tmp_path, "hooked_g.py", "raise KeyError('mine')\n")
    seen: list[types.ModuleType] = []
    imports.when_imported("hooked_g", seen.append)
    with pytest.raises(KeyError, match="mine"):
        importlib.import_module("hooked_g")
    assert seen == []
    write(tmp_path, "hooked_g.py", "value = 'a longer text than before'\n")
    importlib.import_module("hooked_g")
    assert len(seen) == 1


def test_a_module_that_does_not_exist_is_not_found_as_ever() -> None:
    imports.when_imported("hooked_nowhere", lambda module: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hooked_nowhere")


def test_before_import_runs_once_for_the_first_of_several_names(tmp_path: Path) -> None:
    write(tmp_path, "hooked_h.py", "")
    write(tmp_path, "hooked_i.py", "")
    calls: list[bool] = []
    imports.before_import(("hooked_h", "hooked_i"), lambda: calls.append("hooked_i" in sys.modules))
    importlib.import_module("hooked_i")
    importlib.import_module("hooked_h")
    assert calls == [False]


def test_before_import_may_register_for_the_very_module(tmp_path: Path) -> None:
    write(tmp_path, "hooked_j.py", "value = 7\n")
    seen = []
    imports.before_import(
        ("hooked_j",), lambda: imports.when_imported("hooked_j", lambda module: seen.append(module.value))
    )
    importlib.import_module("hooked_j")
    assert seen == [7]
