"""A trainer that the kernel killed for want of memory is told as OOMKilled, also while its container goes on.

`memory.oom_control` and `memory.events` are as the kernel writes them: before, and after it has killed one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.launcher.machines import Gang
from tests.unit.launcher.processes import PATIENCE
from tests.unit.launcher.test_cgroup import V1_MACHINE, V1_POD, V2_POD, a_copy
from trainingjob_launcher import gang
from trainingjob_launcher.blame import OUT_OF_MEMORY, failure_of, is_collateral
from trainingjob_launcher.cgroup import V2, own_groups
from trainingjob_launcher.contract import Policy, Rule
from trainingjob_launcher.messages import TrainerExit
from trainingjob_launcher.oom import Kills, read_kills
from trainingjob_launcher.trainer import Trainer, reap

V1_AFTER = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"
V2_AFTER = "low 0\nhigh 0\nmax 213\noom 4\noom_kill 2\noom_group_kill 0\n"
FILES = {V1_POD: ("memory/memory.oom_control", V1_AFTER), V2_POD: ("memory.events", V2_AFTER)}

# --- The count ---


@pytest.mark.parametrize(("pod", "before"), [(V1_POD, 0), (V2_POD, 1)])
def test_the_count_of_a_pod(pod: Path, before: int, tmp_path: Path) -> None:
    root = a_copy(pod, tmp_path)
    assert read_kills(own_groups(root)) == before
    name, after = FILES[pod]
    (root / "sys/fs/cgroup" / name).write_text(after)
    assert read_kills(own_groups(root)) == before + 1


def test_where_nobody_counts_nothing_is_known(tmp_path: Path) -> None:
    assert read_kills({}) is None
    assert read_kills(own_groups(V1_MACHINE)) is None  # captured without: a kernel before 4.13
    root = a_copy(V2_POD, tmp_path)
    (root / "sys/fs/cgroup/memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\n")
    assert read_kills(own_groups(root)) is None


words = st.sampled_from(["oom_kill 3", "oom_kill max", "oom_kill", "oom_kill -1", "oom 7", "oom_kill_disable 1", ""])


@given(st.lists(words | st.text(max_size=12)), st.booleans())
def test_whatever_the_file_holds_a_count_is_a_count_or_unknown(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], first: bool
) -> None:
    folder = tmp_path_factory.mktemp("group")
    name = "memory.oom_control" if first else "memory.events"
    (folder / name).write_bytes("\n".join(lines).encode("utf-8", "replace"))
    found = read_kills({"memory" if first else V2: (folder,)})
    assert found is None or (found >= 0 and any(line.startswith("oom_kill ") for line in lines))


class Counted:
    """A pod in which kills are counted."""

    def __init__(self, folder: Path) -> None:
        self.root = a_copy(V1_POD, folder)
        self.kills = Kills(True, self.root)

    def kill(self, count: int) -> None:
        file = self.root / "sys/fs/cgroup/memory/memory.oom_control"
        file.write_text(V1_AFTER.replace("oom_kill 1", f"oom_kill {count}"))


def test_only_what_comes_after_a_trainers_start_is_its(tmp_path: Path) -> None:
    pod = Counted(tmp_path)
    pod.kill(3)
    pod.kills.begin()
    assert not pod.kills.happened()
    pod.kill(4)
    assert pod.kills.happened()
    pod.kills.begin()
    assert not pod.kills.happened()


def test_the_standby_that_was_killed_in_its_place_is_not_the_trainer(tmp_path: Path) -> None:
    pod = Counted(tmp_path)
    pod.kills.begin()
    pod.kills.excuse()  # somebody else has killed it: there was no want of memory
    pod.kill(1)
    assert pod.kills.happened()
    pod.kills.excuse()
    assert not pod.kills.happened()
    pod.kill(2)
    assert pod.kills.happened(), "both were killed, one after the other"


def test_outside_of_a_container_the_group_is_not_ours_alone(tmp_path: Path) -> None:
    pod = Counted(tmp_path)
    kills = Kills(False, pod.root)
    kills.begin()
    pod.kill(1)
    assert not kills.happened()


# --- The trainer ---


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def ended(
    loop: asyncio.AbstractEventLoop, kills: Kills, command: list[str], begun: Callable[[Trainer], None]
) -> TrainerExit:
    """Return how a trainer ends that is started, and done something to."""

    async def play() -> TrainerExit:
        end: asyncio.Future[TrainerExit] = loop.create_future()
        trainer = Trainer(end.set_result, kills)
        loop.add_signal_handler(signal.SIGCHLD, lambda: reap([trainer]))
        try:
            trainer.start(command, dict(os.environ), None)
            begun(trainer)
            return await asyncio.wait_for(end, PATIENCE)
        finally:
            trainer.stop(None)
            loop.remove_signal_handler(signal.SIGCHLD)

    return loop.run_until_complete(play())


def killed_with(pod: Counted, count: int) -> Callable[[Trainer], None]:
    def kill(trainer: Trainer) -> None:
        pod.kill(count)
        assert trainer.pid is not None
        os.kill(trainer.pid, signal.SIGKILL)

    return kill


WAITS = ["sleep", "60"]


def test_a_trainer_that_is_killed_while_the_count_rises(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    pod = Counted(tmp_path)
    pod.kill(1)
    end = ended(loop, pod.kills, WAITS, killed_with(pod, 2))
    assert (end.code, end.signal, end.reason) == (137, 9, OUT_OF_MEMORY)
    assert end.message == "the trainer ran out of memory: raise spec.resources.limits.memory or lower the batch size"
    end = ended(loop, pod.kills, WAITS, killed_with(pod, 2))
    assert (end.code, end.signal, end.reason) == (137, 9, ""), "the next one was killed by somebody"


def test_a_shell_whose_program_was_killed_says_so_by_its_code(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    pod = Counted(tmp_path)
    end = ended(loop, pod.kills, ["sh", "-c", "exit 137"], lambda _: pod.kill(1))
    assert (end.code, end.signal, end.reason) == (137, None, OUT_OF_MEMORY)
    assert not is_collateral(end)
    again = ended(loop, pod.kills, ["sh", "-c", "exit 1"], lambda _: pod.kill(2))
    assert again.reason == "", "an error of its own"


def test_whom_we_stop_ourselves_nobody_asks(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    pod = Counted(tmp_path)

    def stop(trainer: Trainer) -> None:
        pod.kill(1)
        trainer.stop(None)

    assert ended(loop, pod.kills, WAITS, stop).reason == ""


@contextlib.contextmanager
def a_group_with_little_memory() -> Iterator[Path]:
    """A real control group of version 1, with room for 48 MiB."""
    group = Path(f"/sys/fs/cgroup/memory/trainingjob-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(48 << 20))
    except OSError as error:
        pytest.skip(f"needs the right to make control groups: {error}")
    try:
        yield group
    finally:
        by = time.monotonic() + PATIENCE
        while group.exists() and time.monotonic() < by:
            with contextlib.suppress(OSError):  # the last process is still going
                group.rmdir()


def test_a_real_one_that_takes_too_much(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    with a_group_with_little_memory() as group:
        root = a_copy(V1_POD, tmp_path)
        memory = root / "sys/fs/cgroup/memory"
        memory.rename(tmp_path / "captured")
        memory.symlink_to(group)
        kills = Kills(True, root)
        program = "import sys; print('takes', flush=True); ballast = bytearray(256 << 20); print('had')"
        shell = f'echo $$ > {group}/cgroup.procs && exec python3 -S -c "{program}"'
        end = ended(loop, kills, ["sh", "-c", shell], lambda _: None)
        assert (end.code, end.signal, end.reason) == (137, 9, OUT_OF_MEMORY)
        assert end.log_lines == ("takes",)
        slept = ended(loop, kills, WAITS, lambda trainer: os.kill(trainer.pid or 0, signal.SIGKILL))
        assert slept.reason == ""


# --- The judgement ---

OOM = TrainerExit(137, 9, OUT_OF_MEMORY, "the trainer ran out of memory")


@pytest.mark.parametrize("who", ["chief-0", "worker-1"])
@pytest.mark.parametrize(
    ("rule", "restarts", "counted"), [("Fail", False, 0), ("RestartFree", True, 0), ("Restart", True, 1)]
)
def test_rules_for_it_fit_on_every_member(who: str, rule: str, restarts: bool, counted: int) -> None:
    play = Gang(policy=Policy(rules=(Rule(rule, reasons=(OUT_OF_MEMORY,)),))).started()
    play.ended(who, OOM)
    assert (play.order() is not None) == restarts
    assert gang.ledger_of(play.state).counted == counted
    assert (play.cause().member, play.cause().reason) == (who, OUT_OF_MEMORY)


def test_without_a_rule_it_counts_and_twice_at_the_same_step_ends_the_job() -> None:
    play = Gang().started()
    play.ended("worker-0", OOM)
    assert gang.ledger_of(play.state).counted == 1
    play.cleared()
    play.ended("worker-0", OOM)
    verdict = play.verdict()
    assert verdict is not None
    assert verdict.failure is not None
    assert (verdict.failure.reason, verdict.failure.message) == (
        OUT_OF_MEMORY,
        "twice without a new step in between: the trainer ran out of memory",
    )


def test_it_travels_to_the_chief_as_it_is() -> None:
    told = TrainerExit.from_json(OOM.to_json())
    assert failure_of("worker-1", 3, told).reason == OUT_OF_MEMORY
