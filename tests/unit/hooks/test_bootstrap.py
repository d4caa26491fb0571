"""Which Python processes are hooked: the one that trains. TensorFlow is played by a module that says nothing."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

IMAGE = Path(__file__).parents[3] / "trainer_image"
SPEC = {"TRAININGJOB_SPEC": '{"version": 1}'}
#: A framework, and a program that imports it and says which process was hooked.
FRAMEWORK = "import os\nmarked = os.environ.get('TRAININGJOB_HOOKED', '')\n"
PROGRAM = "import os, tensorflow\nprint(tensorflow.marked == str(os.getpid()))\n"


def run(
    folder: Path,
    program: str,
    env: dict[str, str],
    *,
    first: Path = IMAGE,
    path: str = "",
    command: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `program` as the launcher would start it, with `path` as the PYTHONPATH of the job."""
    (folder / "tensorflow.py").write_text(FRAMEWORK)
    (folder / "main.py").write_text(program)
    paths = [str(first / "trainingjob_hooks" / "site"), path or str(folder), str(first)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TRAININGJOB_", "TF_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *(command or ("main.py",))],
        env={**clean, "PYTHONPATH": os.pathsep.join(paths), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )


def test_the_process_that_imports_a_framework_is_hooked(tmp_path: Path) -> None:
    found = run(tmp_path, PROGRAM, SPEC)
    assert found.stdout == "True\n"
    assert found.stderr == ""


@pytest.mark.parametrize("env", [{}, {"TF_CONFIG": "{}"}])
def test_without_a_trainingjob_nothing_is_done(tmp_path: Path, env: dict[str, str]) -> None:
    program = "import sys\nprint([f for f in sys.meta_path if 'trainingjob' in type(f).__module__])\n" + PROGRAM
    assert run(tmp_path, program, env).stdout == "[]\nFalse\n"


def test_processes_that_the_trainer_starts_are_left_alone(tmp_path: Path) -> None:
    program = (
        PROGRAM
        + "import subprocess, sys\nif len(sys.argv) < 2: subprocess.run([sys.executable, 'main.py', 'child'])\n"
    )
    assert sorted(run(tmp_path, program, SPEC).stdout.split()) == ["False", "True"]


def test_a_program_started_by_a_program_that_does_not_train_is_hooked(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\nif len(sys.argv) < 2:\n    subprocess.run([sys.executable, 'main.py', 'child'])\nelse:\n    "
        + PROGRAM.replace("\n", "\n    ")
    )
    assert run(tmp_path, program, SPEC).stdout == "True\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_helpers_of_multiprocessing_are_left_alone(tmp_path: Path, method: str) -> None:
    program = (
        "import multiprocessing, os\ndef child():\n    import tensorflow\n    print(tensorflow.marked == str(os.getpid()), flush=True)\n"
        f"if __name__ == '__main__':\n    p = multiprocessing.get_context('{method}').Process(target=child)\n    p.start(); p.join()\n"
    )
    assert run(tmp_path, program, SPEC).stdout == "False\n"


def test_our_own_trainer_is_left_alone(tmp_path: Path) -> None:
    package = tmp_path / "trainingjob_trainer"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PROGRAM)
    assert run(tmp_path, "", SPEC, command=("-m", "trainingjob_trainer")).stdout == "False\n"


def test_the_images_own_sitecustomize_runs_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys\nsys.from_the_image = __file__\n")
    program = "import sys, sitecustomize\nprint(sys.from_the_image == sitecustomize.__file__)\n" + PROGRAM
    found = run(tmp_path, program, SPEC, path=os.pathsep.join([str(own), str(tmp_path)]))
    assert found.stdout == "True\nTrue\n"


def test_everything_may_lie_in_a_zip_file(tmp_path: Path) -> None:
    archive = tmp_path / "launcher.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for package in ("trainingjob", "trainingjob_hooks"):
            for path in sorted((IMAGE / package).rglob("*.py")):
                file.write(path, str(path.relative_to(IMAGE)))
    found = run(tmp_path, PROGRAM, SPEC, first=archive)
    assert (found.stdout, found.stderr) == ("True\n", "")


def test_a_document_that_cannot_be_read_is_one_line_and_the_program_runs(tmp_path: Path) -> None:
    found = run(tmp_path, PROGRAM, {"TRAININGJOB_SPEC": "{"})
    assert found.stdout == "True\n"
    [line] = found.stderr.splitlines()
    assert line.startswith("trainingjob: TRAININGJOB_SPEC can't be read")


def test_members_that_set_no_seed_draw_the_same_numbers_and_jobs_do_not(tmp_path: Path) -> None:
    program = "import random\nprint(random.random())\n"
    drawn = {
        (uid, member): run(tmp_path, program, {**SPEC, "TRAININGJOB_UID": uid, "TRAININGJOB_MEMBER": member}).stdout
        for uid, member in [("a", "chief-0"), ("a", "worker-0"), ("b", "chief-0")]
    }
    assert drawn["a", "chief-0"] == drawn["a", "worker-0"] != drawn["b", "chief-0"]


def test_a_seed_of_the_program_is_its_own(tmp_path: Path) -> None:
    program = "import random\nrandom.seed(4)\nprint(random.random())\n"
    assert run(tmp_path, program, SPEC).stdout == run(tmp_path, program, {}).stdout


def test_patch_fit_false_leaves_the_seeds_alone(tmp_path: Path) -> None:
    program = "import random\nprint(random.random())\n"
    env = {"TRAININGJOB_SPEC": json.dumps({"version": 1, "keras": {"patchFit": False}})}
    assert run(tmp_path, program, env).stdout != run(tmp_path, program, env).stdout
