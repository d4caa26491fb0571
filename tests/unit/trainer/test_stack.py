"""SIGUSR2 writes the stacks of a stuck program to the descriptor that the launcher has left for it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainingjob._stack import VARIABLE
from trainingjob_launcher.contract import STACK_VARIABLE

ROOT = Path(__file__).parents[3]
SITE = ROOT / "trainer_image" / "trainingjob_hooks" / "site"
STUCK = "def in_a_loop():\n    print('here', flush=True); import time; time.sleep(60)\n"


def test_the_name_is_the_launchers() -> None:
    assert VARIABLE == STACK_VARIABLE


@contextmanager
def stuck(program: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run `program` with the hooks until it says a line; yield it, and the launcher's end of the pipe for stacks."""
    ours, theirs = os.pipe()
    env = {**os.environ, "PYTHONPATH": f"{SITE}{os.pathsep}{ROOT / 'trainer_image'}", VARIABLE: str(theirs)}
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, env=env, pass_fds=[theirs], stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def stack_of(process: "subprocess.Popen[str]", ours: int) -> str:
    process.send_signal(signal.SIGUSR2)
    text = b""
    while select.select([ours], [], [], 10)[0]:
        more = os.read(ours, 4096)
        text += more
        if not more or text.endswith(b"in <module>\n"):
            break
    return text.decode()


def test_a_stuck_program_shows_where_it_is(tmp_path: Path) -> None:
    with stuck(STUCK + "in_a_loop()") as (process, ours):
        text = stack_of(process, ours)
        assert "most recent call first" in text
        assert "line 2 in in_a_loop" in text
        assert stack_of(process, ours) == text  # as often as it is asked
        assert process.poll() is None


def test_a_program_that_closes_its_descriptors_at_its_start_still_does() -> None:
    with stuck(STUCK + "import os; os.closerange(3, 100)\nin_a_loop()") as (process, ours):
        assert "in_a_loop" in stack_of(process, ours)


def test_one_that_closes_all_of_them_is_not_disturbed() -> None:
    with stuck(STUCK + "import os; os.closerange(3, 4096)\nin_a_loop()") as (process, ours):
        assert stack_of(process, ours) == ""  # the pipe's other end is closed
        assert process.poll() is None


def test_what_the_program_starts_gets_neither_name_nor_descriptor() -> None:
    """A child with that number in its environment would take a file of its own for the launcher's."""
    child = "import os; print(os.environ.get('TRAININGJOB_STACK_FD'), len(os.listdir('/proc/self/fd')))"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], close_fds=False)"
    plain = [sys.executable, "-c", program]
    ours, theirs = os.pipe()
    env = {**os.environ, "PYTHONPATH": f"{SITE}{os.pathsep}{ROOT / 'trainer_image'}"}
    with_, without = (
        subprocess.run(plain, env={**env, **more}, pass_fds=fds, capture_output=True, text=True, check=True).stdout
        for more, fds in (({VARIABLE: str(theirs)}, [theirs]), ({}, []))
    )
    os.close(ours)
    os.close(theirs)
    assert with_ == without
    assert with_.startswith("None ")


@pytest.mark.parametrize("number", ["", "x", "-1", "99999999999999999999", "777"])
def test_a_number_that_is_no_descriptor_does_nothing(number: str) -> None:
    env = {**os.environ, "PYTHONPATH": f"{SITE}{os.pathsep}{ROOT / 'trainer_image'}", VARIABLE: number}
    done = subprocess.run(
        [sys.executable, "-c", "print('ran')"], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
