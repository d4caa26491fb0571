"""Where a stuck trainer is: real processes that write their stacks, and what is read from them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.launcher.processes import ROOT
from trainingjob_launcher.frozen import Watch, is_stopped
from trainingjob_launcher.inspection import Inspection, stack_frame, stack_of
from trainingjob_launcher.messages import MessageError
from trainingjob_launcher.stack import StackFile, catches
from trainingjob_launcher.stacks import is_in_library, main_thread, stuck

#: As the hooks and the declarative trainer do it.
REGISTERS = "from trainingjob._stack import show_on_signal; show_on_signal()\n"
STUCK = """
import threading
def waits_for_data():
    print("ready", flush=True)
    threading.Event().wait()
threading.Thread(target=threading.Event().wait, daemon=True).start()
waits_for_data()
"""


@contextmanager
def running(text: str, file: StackFile | None = None) -> Iterator[subprocess.Popen[bytes]]:
    descriptor = -1 if file is None else file.descriptor
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        env={"PYTHONPATH": str(ROOT / "trainer_image"), "TRAININGJOB_STACK_FD": str(descriptor)},
        stdout=subprocess.PIPE,
        pass_fds=() if file is None else (descriptor,),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()
        if file is not None:
            file.close()


def test_a_stuck_program_says_where_it_is_as_often_as_it_is_asked() -> None:
    file = StackFile()
    with running(REGISTERS + STUCK, file) as process:
        for _ in range(2):
            lines = asyncio.run(file.take(process.pid))
            stack = main_thread("\n".join(lines))
            assert len([line for line in lines if "most recent call first" in line]) == 2
            assert "waits_for_data" in stack
            assert stack.splitlines()[-1].endswith("in <module>")
        assert process.poll() is None


def test_a_program_without_the_handler_is_left_alone() -> None:
    """The signal would end it."""
    file = StackFile()
    with running(STUCK, file) as process:
        assert not catches(process.pid, signal.SIGUSR2)
        assert asyncio.run(file.take(process.pid)) == ()
        assert process.poll() is None


def test_one_that_stands_still_is_not_waited_for() -> None:
    file = StackFile()
    with running(REGISTERS + STUCK, file) as process:
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert asyncio.run(file.take(process.pid, 0.2)) == ()
        assert time.monotonic() - began < 1


def stack(innermost: str, thread: str = "Current thread 0x00007f0000000001") -> str:
    return f'{thread} (most recent call first):\n  File "{innermost}", line 7 in f\n  File "/w/main.py", line 1 in <module>'


TENSORFLOW = "/opt/venv/lib/python3.11/site-packages/tensorflow/python/eager/execute.py"


def test_who_is_not_inside_tensorflow_holds_the_others_up() -> None:
    inside, outside = stack(TENSORFLOW), stack("/w/data.py")
    assert stuck({"chief-0": inside, "worker-0": outside, "worker-1": inside}, "chief-0") == "worker-0"
    assert stuck({"chief-0": inside, "worker-0": inside}, "chief-0") == "chief-0"
    assert stuck({"worker-0": inside}, "chief-0") == "chief-0"
    assert stuck({}, "chief-0") == "chief-0"


def test_the_main_thread_is_the_last_one() -> None:
    both = stack("/w/feeds.py", "Thread 0x00007f0000000002") + "\n\n" + stack(TENSORFLOW)
    assert main_thread(both) == stack(TENSORFLOW)
    assert is_in_library(both) is True
    assert is_in_library("no stack at all") is None
    assert main_thread("") == ""


def test_a_member_sends_its_main_thread_from_the_innermost_frame() -> None:
    deep = "Thread 0x1 (most recent call first):\n" + "\n".join(f'  File "/w/{n}.py", line 1 in f' for n in range(90))
    frame = stack_frame(3, tuple(deep.splitlines()))
    assert (frame["t"], frame["generation"], len(frame["lines"])) == ("stack", 3, 50)
    assert stack_of(frame).splitlines()[1] == '  File "/w/0.py", line 1 in f'
    with pytest.raises(MessageError):
        stack_of({"lines": [1]})


def inspected(seconds: float, *answers: tuple[str, int]) -> tuple[int, list[str], float]:
    """Return what an inspection of two members in generation 3 finds, and how long it takes."""

    async def scenario() -> tuple[int, list[str], float]:
        done: asyncio.Future[tuple[int, list[str]]] = asyncio.get_running_loop().create_future()
        inspection = Inspection(seconds, lambda generation, found: done.set_result((generation, sorted(found))))
        began = time.monotonic()
        inspection.begin(3, ("chief-0", "worker-0"))
        for member, generation in answers:
            inspection.take(member, stack_frame(generation, tuple(stack("/w/x.py").splitlines())))
        return *(await asyncio.wait_for(done, 10)), time.monotonic() - began

    return asyncio.run(scenario())


def test_an_inspection_ends_with_the_last_answer_or_its_time() -> None:
    generation, members, seconds = inspected(5, ("chief-0", 3), ("worker-0", 3))
    assert (generation, members) == (3, ["chief-0", "worker-0"])
    assert seconds < 1
    generation, members, seconds = inspected(0.2, ("worker-0", 3), ("chief-0", 2), ("worker-7", 3))
    assert (generation, members) == (3, ["worker-0"])
    assert seconds >= 0.2


def test_a_stopped_process_is_frozen_and_one_that_waits_is_not() -> None:
    with running("import signal; print('ready', flush=True); signal.pause()") as process:

        async def frozen(seconds: float) -> bool:
            found = asyncio.Event()
            watch = Watch(process.pid, found.set, 0.05)
            try:
                await asyncio.wait_for(found.wait(), seconds)
            except TimeoutError:
                return False
            finally:
                watch.close()
            return True

        assert not asyncio.run(frozen(0.3))
        process.send_signal(signal.SIGSTOP)
        assert asyncio.run(frozen(10))
        assert is_stopped(process.pid)
    assert not is_stopped(process.pid)
    assert not is_stopped(Path("/proc/self").stat().st_uid + 2**22)
