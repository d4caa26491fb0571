"""The launcher as one file: built the same every time, and doing its work in an image that has nothing of ours."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trainingjob_launcher.contract import Assignment
from trainingjob_operator.core.launcher_source import LauncherArchive
from trainingjob_operator.runtime.launcher_archive import PACKAGES, build, pack

SOURCES = Path(__file__).parents[4] / "trainer_image"


@pytest.fixture(scope="module")
def archive() -> LauncherArchive:
    return build()


@pytest.fixture(scope="module")
def names(archive: LauncherArchive) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(archive.data)).namelist()


# --- The file ---


def test_two_builds_are_the_same_bytes(archive: LauncherArchive, tmp_path: Path) -> None:
    """Also by another process, with other hash seeds, other file times and another place."""
    for package in PACKAGES:
        shutil.copytree(SOURCES / package, tmp_path / package)
    for number, path in enumerate(sorted(tmp_path.rglob("*"), reverse=True)):
        os.utime(path, (1e9 + number, 1e9 + number))
        path.chmod(0o700)
    code = "from trainingjob_operator.runtime.launcher_archive import build; print(build().digest)"
    operator = SOURCES.parent / "operator"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{operator}", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert build().digest == archive.digest == done.stdout.strip()


def test_it_holds_the_sources_of_three_packages_and_no_data(names: list[str]) -> None:
    assert names == sorted(names)
    assert {name.partition("/")[0] for name in names} == {"__main__.py", *PACKAGES}
    assert all(name.endswith(".py") for name in names)
    for needed in (
        "trainingjob/__init__.py",
        "trainingjob_hooks/site/sitecustomize.py",
        "trainingjob_launcher/chief.py",
    ):
        assert needed in names


def test_nothing_in_it_says_when_and_by_whom_it_was_made(archive: LauncherArchive) -> None:
    entries = zipfile.ZipFile(io.BytesIO(archive.data)).infolist()
    assert {(entry.date_time, entry.create_system, entry.external_attr >> 16) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 3, 0o100644)
    }


def test_a_config_map_has_room_for_it(archive: LauncherArchive) -> None:
    assert len(json.dumps(archive.config_map("ml"))) < 600_000, "a ConfigMap may have 1 MiB"


def test_another_byte_is_another_file() -> None:
    assert pack({"a.py": b"1"}) == pack({"a.py": b"1"}) != pack({"a.py": b"2"})
    assert pack({"a.py": b"1", "b.py": b""}) == pack({"b.py": b"", "a.py": b"1"})


def test_python_3_9_reads_all_of_it(archive: LauncherArchive) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.data)) as file:
        for name in file.namelist():
            ast.parse(file.read(name), name, feature_version=(3, 9))


def test_any_python_3_reads_what_it_runs_first(archive: LauncherArchive) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.data)) as file:
        for name in ("__main__.py", "trainingjob_launcher/__init__.py", "trainingjob_launcher/__main__.py"):
            ast.parse(file.read(name), name, feature_version=(3, 4))


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 8, 20)])
def test_a_python_that_is_too_old_is_told_in_one_sentence(version: tuple[int, ...]) -> None:
    code = f"import runpy, sys; sys.version_info = {version}; runpy.run_module('trainingjob_launcher', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"trainingjob: this image has Python 3.{version[1]}, the launcher needs 3.9 or later: set spec.image to an image "
        "with a newer python3\n"
    )


# --- In a pod ---

PROGRAM = """
import json, os, sys, trainingjob
print(json.dumps({
    "path": os.environ["PYTHONPATH"].split(":"),
    "site": sys.modules["sitecustomize"].__file__,
    "trainingjob": trainingjob.__file__,
    "member": os.environ["TRAININGJOB_MEMBER"],
    "mine": sorted(set(os.listdir("."))),
}))
trainingjob.report(step=3, total_steps=3, loss=0.5)
"""


def run(
    archive: LauncherArchive, folder: Path, content: bytes | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the pod's command in a folder, with a Python that has nothing installed. The file is at its own path."""
    file = folder / "launcher.pyz"
    file.write_bytes(archive.data if content is None else content)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    (work / "random.py").write_text("raise RuntimeError('the working folder is not for the launcher')")
    given = Assignment(
        "job",
        "ns",
        "uid",
        "chief",
        0,
        1,
        workers=0,
        key="5a" * 32,
        chief_host="c",
        trainer_port=0,
        pod_ip="127.0.0.1",
    )
    command = [str(file) if part.endswith(".pyz") else part for part in archive.command()]
    command[0] = sys.executable
    return subprocess.run(
        [*command, sys.executable, "-c", PROGRAM],
        env={
            **given.to_env(),
            "TRAININGJOB_POD_IP": "127.0.0.1",
            "TMPDIR": str(folder),
            "PATH": "/usr/bin",
            "TRAININGJOB_TERMINATION_PATH": str(folder / "termination"),
            **env,
        },
        cwd=work,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_runs_a_program_that_finds_our_packages_in_the_file(archive: LauncherArchive, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    done = run(archive, tmp_path, PYTHONPATH="/users/own")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    file = f"{tmp_path}/launcher.pyz"
    assert said["path"] == [f"{file}/trainingjob_hooks/site", "/users/own", file]
    assert said["site"] == f"{file}/trainingjob_hooks/site/sitecustomize.py"
    assert said["trainingjob"] == f"{file}/trainingjob/__init__.py"
    assert said["member"] == "chief-0"
    assert said["mine"] == ["random.py"]
    report = json.loads((tmp_path / "termination").read_text())
    assert (report["state"], report["training"]["step"], report["training"]["metrics"]) == (
        "Succeeded",
        3,
        {"loss": 0.5},
    )


@pytest.mark.parametrize("content", [b"", b"print('somebody else')", b"PK"])
def test_a_file_that_is_not_ours_is_not_run(archive: LauncherArchive, tmp_path: Path, content: bytes) -> None:
    done = run(archive, tmp_path, content)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"trainingjob: ConfigMap {archive.config_map_name} does not hold this operator's launcher: delete it, and apply "
        "the job again\n"
    )


def test_a_config_map_without_the_file_is_not_ours_either(archive: LauncherArchive, tmp_path: Path) -> None:
    """A subPath that is not in the volume becomes an empty folder."""
    command = [str(tmp_path) if part.endswith(".pyz") else part for part in archive.command()]
    done = subprocess.run([sys.executable, *command[1:], "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "does not hold this operator's launcher" in done.stderr
