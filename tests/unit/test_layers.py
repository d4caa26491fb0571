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


def test_what_enters_a_users_program_needs_the_standard_library_alone_to_be_imported() -> None:
    """TensorFlow, Keras and numpy are the program's: they are imported where they are used, never before."""
    for package in ("trainingjob", "trainingjob_hooks"):
        own = ("trainingjob", "trainingjob_hooks")
        at_import = [
            (path.relative_to(ROOT).as_posix(), name)
            for path in sorted((IMAGE / package).rglob("*.py"))
            for name in _imported_at_once(ast.parse(path.read_text(encoding="utf-8")))
            if name.split(".")[0] not in {*sys.stdlib_module_names, *own}
        ]
        assert at_import == []


def test_what_runs_in_foreign_images_is_python_3_9() -> None:
    for package in ("trainingjob", "trainingjob_hooks", "trainingjob_launcher"):
        for path in sorted((IMAGE / package).rglob("*.py")):
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


def _imported_at_once(tree: ast.Module) -> Iterator[str]:
    """Yield what importing a module imports: not what functions do, nor what only type checkers see."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        todo += ast.iter_child_nodes(node)


def test_nothing_reaches_into_kopfs_private_parts() -> None:
    assert [(path, name) for path, name in imports(OPERATOR) if name.startswith("kopf._")] == []


def test_no_package_is_called_operator() -> None:
    """It would shadow the standard library's."""
    assert not (ROOT / "operator" / "__init__.py").exists()
