"""The members' interpreter, and a path that holds the trainer image's packages and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainingjob_local.errors import LocalError
from trainingjob_local.python import PACKAGES, Python, find_python, lay_out, need_tensorflow


def test_an_interpreter_is_asked_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise RuntimeError('it is not imported')")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    found = find_python(str(wrapper))
    assert (found.path, found.version) == (str(wrapper), sys.version_info[:2])
    assert found.tensorflow is not None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "there is no such program"),
        ("exit 1", "is no Python that works"),
        ("echo '[[3, 8], null]'", "is Python 3.8, the launcher needs 3.9 or later"),
    ],
)
def test_what_is_none_is_said(script: str | None, said: str, tmp_path: Path) -> None:
    program = tmp_path / "python"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    with pytest.raises(LocalError, match=said):
        find_python(str(program))


def test_declarative_training_needs_tensorflow() -> None:
    need_tensorflow(Python("/p", (3, 11), "2.21"))
    with pytest.raises(LocalError, match=r"/p has none: install it there .* --python PATH"):
        need_tensorflow(Python("/p", (3, 11), None))


def test_the_members_see_our_packages_and_not_what_else_is_installed_here(tmp_path: Path) -> None:
    lay_out(tmp_path, Python(sys.executable, (3, 11), None))
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == sorted(PACKAGES)
    code = "import json, sys, trainingjob; print(json.dumps([trainingjob.__file__, sys.prefix]))"
    ran = subprocess.run(
        [tmp_path / "bin" / "python", "-c", code], env={"PYTHONPATH": str(tmp_path / "packages")},
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    file, prefix = json.loads(ran.stdout)
    assert file == str(tmp_path / "packages" / "trainingjob" / "__init__.py")
    assert prefix == sys.prefix, "a virtual environment stays one"


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="package trainingjob_elsewhere is not installed"):
        lay_out(tmp_path, Python(sys.executable, (3, 11), None), ("trainingjob_elsewhere",))
