"""Pid files tell our processes from others that got the same number later."""

import os
from pathlib import Path

import pytest

from tests.unit.deploy.shell import ShellError, call


def run(command: str, folder: Path) -> str:
    return call(f'RUN="{folder}" LOG="{folder}"\n{command}', "local/process.sh", home=folder)


def test_a_started_process_is_found_and_stopped(tmp_path: Path) -> None:
    script = f"""
        start one tail -f --pid={os.getpid()} /dev/null
        pid_of one >/dev/null && echo alive
        stop one
        pid_of one || echo gone"""
    assert run(script, tmp_path).split() == ["alive", "gone"]
    assert not (tmp_path / "one.pid").exists()


def test_a_number_given_to_another_process_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "one.pid").write_text(f"{os.getpid()} 1\n")  # this test runs, but did not start at tick 1
    with pytest.raises(ShellError):
        run("pid_of one", tmp_path)


def test_stop_leaves_a_foreign_process_alone(tmp_path: Path) -> None:
    (tmp_path / "one.pid").write_text(f"{os.getpid()} 1\n")
    run("stop one", tmp_path)  # this test would not go on otherwise
    assert not (tmp_path / "one.pid").exists()


def test_stop_of_what_never_ran_is_no_error(tmp_path: Path) -> None:
    assert run("stop nothing; echo fine", tmp_path) == "fine"
