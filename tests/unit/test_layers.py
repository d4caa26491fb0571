"""The rules of who may import whom that import-linter has no words for: `only`, and `exactly one`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = ROOT / "operator" / "trainingjob_operator"
IMAGE = ROOT / "trainer_image"


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, imported module) for every import of a folder, also those inside functions."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path.relative_to(ROOT).as_posix(), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: write imports in full"
                yield path.relative_to(ROOT).as_posix(), node.module or ""


def outside(folder: Path, *allowed: str) -> list[tuple[str, str]]:
    """Return the imports that are neither of the standard library nor below one of the allowed packages."""
    return [
        (path, name)
        for path, name in imports(folder)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == package or name.startswith(package + ".") for package in allowed)
    ]


def test_core_imports_the_standard_library_and_api_alone() -> None:
    assert outside(OPERATOR / "core", "trainingjob_operator.core", "trainingjob_operator.api") == []


def test_core_does_nothing_to_the_world() -> None:
    """No clock, no randomness, no I/O: what it needs to know it is told."""
    doing = {
        "asyncio",
        "http",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "time",
    }
    assert [(path, name) for path, name in imports(OPERATOR / "core") if name.split(".")[0] in doing] == []
    for path in (OPERATOR / "core").glob("*.py"):
        assert "datetime.now(" not in path.read_text(encoding="utf-8"), path


def test_one_module_imports_kopf() -> None:
    assert {path for path, name in imports(OPERATOR) if name.split(".")[0] == "kopf"} == {
        "operator/trainingjob_operator/runtime/kopf_app.py"
    }


def test_the_launcher_imports_the_standard_library_alone() -> None:
    assert outside(IMAGE / "trainingjob_launcher", "trainingjob_launcher") == []


def test_what_programs_import_needs_the_standard_library_alone_but_for_arrays() -> None:
    found = {name for _, name in outside(IMAGE / "trainingjob", "trainingjob")}
    assert found <= {"numpy", "numpy.typing"}


def test_nothing_reaches_into_kopfs_private_parts() -> None:
    assert [(path, name) for path, name in imports(OPERATOR) if name.startswith("kopf._")] == []


def test_no_package_is_called_operator() -> None:
    """It would shadow the standard library's."""
    assert not (ROOT / "operator" / "__init__.py").exists()
