"""The warm standby: a process that waits becomes the trainer, and nobody can tell it from one that was just started.

TensorFlow is a file of that name here, which says when it was imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.unit.launcher.processes import ROOT, alive
from trainingjob_launcher import standby as module
from trainingjob_launcher.messages import TrainerExit
from trainingjob_launcher.standby import Program, Standby, program_of
from trainingjob_launcher.trainer import Trainer, reap

T = TypeVar("T")
PATIENCE = 20.0
#: Tells all that a program can find out about how it was started.
SHOWS = """
import atexit, json, os, sys
import tensorflow
atexit.register(lambda: print("bye", __name__, flush=True))
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "path0": sys.path[0], "cwd": os.getcwd(), "name": __name__, "file": __file__,
    "main": main.__dict__ is globals(), "spec": None if __spec__ is None else __spec__.name,
    "package": __package__, "cached": __cached__ is None, "loader": type(__loader__).__name__,
    "word": os.environ.get("WORD"), "doc": __doc__, "orig": sys.orig_argv[1:],
    "env": sorted(name for name in os.environ if not name.startswith(("TRAININGJOB_STACK", "LC_CTYPE"))),
    "extra": sorted(name for name in globals() if not name.startswith("__")),
    "oom": open("/proc/self/oom_score_adj").read(), "sid": os.getsid(0) == os.getpid(),
}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tensorflow.py").write_text("import time; AT = time.monotonic()")
    return tmp_path


class Place:
    """What a launcher does around one member's trainers."""

    def __init__(self, folder: Path, memory: module.Memory = lambda: (None, None)) -> None:
        self.folder = folder
        self.memory = memory
        self.env = {
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'trainer_image'}:{folder}",
        }
        self.trainer: Trainer | None = None
        self.standby: Standby | None = None
        self.changed = asyncio.Event()
        self.end: TrainerExit | None = None
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def _reap(self) -> None:
        reap([child for child in (self.trainer, self.standby) if child is not None])
        self.changed.set()

    async def wait(self, condition: Callable[[], bool]) -> None:
        async def until() -> None:
            while not condition():  # noqa: ASYNC110 -- of other processes nobody tells
                await asyncio.sleep(0.01)

        await asyncio.wait_for(until(), PATIENCE)

    async def ready(self, command: list[str], cpus: float = 10) -> Standby:
        self.standby = Standby(command, False, cpus, self.memory)
        self.standby.begin(self.env, str(self.folder))
        await self.wait(lambda: self.standby is not None and self.standby.ready)
        return self.standby

    async def run(self, command: list[str], env: dict[str, str] | None = None) -> TrainerExit:
        ended: asyncio.Future[TrainerExit] = asyncio.get_running_loop().create_future()
        self.trainer = Trainer(ended.set_result)
        self.trainer.start(command, {**self.env, **(env or {})}, str(self.folder), self.standby)
        return await asyncio.wait_for(ended, PATIENCE)


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario. A child that ends when its loop is about to close must not signal it any more."""

    async def until_the_end() -> T:
        try:
            return await scenario
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    return asyncio.run(until_the_end())


async def outcome(
    folder: Path, command: list[str], capfd: pytest.CaptureFixture[str], warm: bool
) -> tuple[int, str, str]:
    """Return exit code and what was written by a program that was started cold, or as the standby."""
    place = Place(folder)
    if warm:
        await place.ready(command)
    capfd.readouterr()
    end = await place.run(command, {"WORD": "for you"})
    assert place.trainer is not None
    assert place.trainer.warm is warm
    written = capfd.readouterr()
    return end.code, written.out, "\n".join(x for x in written.err.splitlines() if not x.startswith("trainingjob:"))


def both(
    folder: Path, command: list[str], capfd: pytest.CaptureFixture[str]
) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    cold = run(outcome(folder, command, capfd, False))
    warm = run(outcome(folder, command, capfd, True))
    return cold, warm


def test_a_script_can_not_tell_the_difference(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "main.py").write_text(SHOWS)
    cold, warm = both(folder, ["python3", "-u", "sub/main.py", "--rate", "0.1"], capfd)
    assert json.loads(warm[1].splitlines()[0]) == json.loads(cold[1].splitlines()[0])
    assert warm == cold
    assert json.loads(cold[1].splitlines()[0])["word"] == "for you"
    assert cold[1].splitlines()[1] == "bye __main__"


def test_a_module_can_not_tell_the_difference(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__main__.py").write_text(SHOWS)
    cold, warm = both(folder, [sys.executable, "-m", "package", "x"], capfd)
    assert json.loads(warm[1].splitlines()[0]) == json.loads(cold[1].splitlines()[0])
    assert warm == cold


ENDS = {
    "returns": "print('done')",
    "exit-code": "import sys; sys.exit(42)",
    "exit-text": "raise SystemExit('no data')",
    "exit-at-once": "import os; os.write(1, b'x'); os._exit(7)",
    "exception": "def f():\n    return 1 / 0\nf()",
    "chained": "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b')",
    "syntax": "print('a'\nx = 1 +",
    "own-hook": "import sys\nsys.excepthook = lambda *a: print('mine', a[0].__name__)\nraise OSError('x')",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(9)",
    "children": (
        "import multiprocessing as m\ndef f(x): return x * 2\n"
        "if __name__ == '__main__':\n    print(m.get_context('spawn').Pool(1).map(f, [1, 2]))"
    ),
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
}


@pytest.mark.parametrize("text", ENDS.values(), ids=list(ENDS))
def test_it_ends_as_the_program_ends(folder: Path, capfd: pytest.CaptureFixture[str], text: str) -> None:
    (folder / "main.py").write_text(text)
    cold, warm = both(folder, ["python3", "main.py"], capfd)
    if "SIGINT" in text:  # one more line in the traceback, ours
        cold, warm = (cold[0], cold[1], ""), (warm[0], warm[1], "")
    assert warm == cold


def test_a_program_that_is_missing_is_said_as_python_says_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cold, warm = both(folder, ["python3", "main.py"], capfd)
    assert (warm[0], "can't open file" in warm[2]) == (cold[0], "can't open file" in cold[2]) == (2, True)


def test_the_import_is_over_before_the_program_begins(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "main.py").write_text("import time; T = time.monotonic(); import tensorflow; print(tensorflow.AT < T)")
    cold, warm = both(folder, ["python3", "main.py"], capfd)
    assert (cold[1], warm[1]) == ("False\n", "True\n")


def test_files_that_came_while_it_waited_are_found(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> TrainerExit:
        place = Place(folder)
        await place.ready(["python3", "main.py"])
        (folder / "late.py").write_text("WORD = 'late'")
        (folder / "main.py").write_text("import late; print(late.WORD)")
        return await place.run(["python3", "main.py"])

    assert run(scenario()).code == 0
    assert capfd.readouterr().out == "late\n"


def test_without_a_standby_the_environment_of_the_waiting_holds_nothing_of_a_generation(folder: Path) -> None:
    (folder / "tensorflow.py").write_text("import os; open('seen', 'w').write(repr(sorted(os.environ)))")

    async def scenario() -> None:
        place = Place(folder)
        place.env |= {"TF_CONFIG": "{}", "TRAININGJOB_SOCKET": "@x", "TRAININGJOB_GENERATION": "1.1", "MINE": "1"}
        (await place.ready(["python3", "main.py"])).close()

    run(scenario())
    seen = (folder / "seen").read_text()
    assert "MINE" in seen
    assert not any(name in seen for name in ("TF_CONFIG", "TRAININGJOB_SOCKET", "TRAININGJOB_GENERATION"))


def test_while_it_waits_it_is_the_first_to_go_and_says_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "tensorflow.py").write_text("print('noise', flush=True)")
    (folder / "main.py").write_text("print(open('/proc/self/oom_score_adj').read().strip())")

    async def scenario() -> tuple[str, TrainerExit]:
        place = Place(folder)
        standby = await place.ready(["python3", "main.py"])
        return score_of(standby.pid), await place.run(["python3", "main.py"])

    score, end = run(scenario())
    assert score == "1000"
    own = Path("/proc/self/oom_score_adj").read_text()
    assert capfd.readouterr().out == own
    assert end.code == 0


def score_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


def test_a_dead_standby_costs_the_cold_start_and_nothing_else(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "main.py").write_text("print('runs')")

    async def scenario() -> TrainerExit:
        place = Place(folder)
        standby = await place.ready(["python3", "main.py"])
        assert standby.pid is not None
        os.kill(standby.pid, signal.SIGKILL)
        await place.wait(lambda: standby.pid is None)
        return await place.run(["python3", "main.py"])

    assert run(scenario()).code == 0
    assert capfd.readouterr().out == "runs\n"


def test_a_standby_that_stands_still_costs_half_a_second(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "main.py").write_text("print('runs')")

    async def scenario() -> tuple[TrainerExit, int, float]:
        place = Place(folder)
        standby = await place.ready(["python3", "main.py"])
        pid = standby.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        end = await place.run(["python3", "main.py"])
        return end, pid, time.monotonic() - began

    end, pid, seconds = run(scenario())
    assert end.code == 0
    assert seconds >= module.ANSWER_SECONDS
    assert not alive(pid)
    assert "does not answer" in capfd.readouterr().err


def test_one_that_still_imports_is_not_waited_for(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "tensorflow.py").write_text("import signal; open('importing', 'w'); signal.pause()")
    (folder / "main.py").write_text("print('runs')")

    async def scenario() -> tuple[TrainerExit, int]:
        place = Place(folder)
        place.standby = Standby(["python3", "main.py"], False, 1, place.memory)
        place.standby.begin(place.env, str(folder))
        pid = place.standby.pid
        assert pid is not None
        await place.wait((folder / "importing").exists)
        return await place.run(["python3", "main.py"]), pid

    end, pid = run(scenario())
    assert (end.code, capfd.readouterr().out) == (0, "runs\n")
    assert not alive(pid)


def test_it_imports_in_small_slices(folder: Path) -> None:
    """With one CPU it has a twentieth of it: 0.2 s of work take some seconds, with many CPUs a part of that."""
    work = "import time\nwhile time.process_time() < 0.2: pass"
    (folder / "tensorflow.py").write_text(work)

    async def scenario(cpus: float) -> float:
        began = time.monotonic()
        (await Place(folder).ready(["python3", "main.py"], cpus)).close()
        return time.monotonic() - began

    slow = run(scenario(1))
    assert slow > 1.5
    assert run(scenario(100)) < slow / 1.5


def test_it_imports_faster_where_processors_stand_idle(folder: Path) -> None:
    """0.3 s of work take 6 s with the least share; with half of two idle processors, a second or two."""
    (folder / "tensorflow.py").write_text("import time\nwhile time.process_time() < 0.3: pass")

    async def scenario(idle: float) -> float:
        place, began = Place(folder), time.monotonic()
        place.standby = standby = Standby(["python3", "main.py"], False, 1, place.memory, lambda: idle)
        standby.begin(place.env, str(folder))
        await place.wait(lambda: standby.ready)
        standby.close()
        return time.monotonic() - began

    assert run(scenario(2.0)) < run(scenario(0.0)) / 1.5


def test_it_goes_when_memory_runs_short(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    used = 10 * 2**30

    async def scenario() -> int:
        place = Place(folder, lambda: (used, 20 * 2**30))
        standby = await place.ready(["python3", "main.py"])
        nonlocal_used(18 * 2**30)
        pid = standby.pid
        assert pid is not None
        await place.wait(lambda: not alive(pid))
        standby.begin(place.env, str(folder))
        return pid

    def nonlocal_used(value: int) -> None:
        nonlocal used
        used = value

    run(scenario())
    said = capfd.readouterr().err
    assert said.count("memory runs short") == 1
    assert "the memory limit has no room for it" in said


def test_it_does_not_survive_its_launcher(folder: Path) -> None:
    """Not even while it is stopped, in the middle of its import."""
    (folder / "tensorflow.py").write_text("import time\nwhile True: pass")
    program = (
        "import asyncio, os, sys\nfrom trainingjob_launcher.standby import Standby\n"
        "async def main():\n"
        "    standby = Standby(['python3', 'main.py'], False, 1, lambda: (None, None))\n"
        "    standby.begin(dict(os.environ), os.getcwd())\n"
        "    while standby._slices is None: await asyncio.sleep(0.01)\n"
        "    print(standby.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'trainer_image'}:{folder}"}
    launcher = subprocess.Popen([sys.executable, "-c", program], env=env, cwd=folder, stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    assert alive(pid)
    launcher.kill()
    launcher.communicate()
    by = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < by:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    assert not alive(pid)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["python3", "main.py", "-m", "x"], Program(("python3",), "main.py", "", ("-m", "x"))),
        (["/opt/venv/bin/python3.11", "-u", "a/b.py"], Program(("/opt/venv/bin/python3.11", "-u"), "a/b.py", "", ())),
        (["python", "-m", "trainingjob_trainer"], Program(("python",), "", "trainingjob_trainer", ())),
        (["python", "-X", "dev", "-Wignore", "m.py"], Program(("python", "-X", "dev", "-Wignore"), "m.py", "", ())),
    ],
)
def test_commands_that_are_python_programs(command: list[str], expected: Program) -> None:
    assert program_of(command) == expected


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["sh", "-c", "python main.py"], "'sh', not with python"),
        (["./main.py"], "'./main.py', not with python"),
        (["python3", "-c", "print(1)"], "'-c'"),
        (["python3", "-S", "main.py"], "'-S'"),
        (["python3"], "names no program"),
        (["python3", "-m"], "'-m'"),
        (["python3", "-"], "'-'"),
    ],
)
def test_other_commands_have_no_standby_and_it_is_said_why(
    command: list[str], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = program_of(command)
    assert isinstance(found, str)
    assert why in found

    async def scenario() -> Any:
        standby = Standby(command, False, 1, lambda: (None, None))
        standby.begin({}, None)
        return standby.pid

    assert run(scenario()) is None
    assert capfd.readouterr().err.count("no warm standby, restarts are cold") == 1


def test_without_tensorflow_there_is_no_standby_and_it_is_said_once(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "tensorflow.py").write_text("raise ImportError('no such thing')")

    async def scenario() -> None:
        place = Place(folder)
        standby = place.standby = Standby(["python3", "main.py"], False, 10, place.memory)
        for _ in range(3):
            standby.begin(place.env, str(folder))
            await place.wait(lambda: standby.pid is None)

    run(scenario())
    said = capfd.readouterr().err
    assert said.count("restarts are cold: tensorflow: ImportError: no such thing") == 1
