"""Restarts in place with real launchers and real trainers, on loopback: who dies, what comes next, what is said.

Trainers are small programs without TensorFlow. Each says its number and its generation, and waits to be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.unit.launcher.processes import Gang, Intake, Launcher, alive, gone, kill
from trainingjob_launcher.contract import LastFailure, Ledger, Policy, Report

WAITS = "import os, signal; print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION']); signal.pause()"
#: The first generation waits to be killed, the next one ends well.
ENDS_THE_SECOND_TIME = """
import os, signal
print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION'], os.environ.get('TF_CONFIG', ''))
if os.environ['TRAININGJOB_GENERATION'].endswith('.1'): signal.pause()
"""
#: The same, but the next one ends when it is let go: what it reports as long as it runs may be waited for.
ENDS_WHEN_LET_GO = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION'])
if os.environ['TRAININGJOB_GENERATION'].endswith('.1'): signal.pause()
signal.sigwait({signal.SIGUSR1})
"""
#: Saves on SIGTERM and says so, as trainers do.
SAVES = """
import os, signal, sys
def save(*_):
    print('saved'); sys.exit(77)
signal.signal(signal.SIGTERM, save)
print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION'])
while os.environ['TRAININGJOB_GENERATION'].endswith('.1'): signal.pause()
"""


def pid_of(launcher: Launcher, generation: str) -> int:
    """Wait for the trainer of a generation, CHIEF_INCARNATION.NUMBER; return its number."""
    while True:
        words = launcher.line("pid").split()
        if words[2] == generation:
            return int(words[1])


def pids_of(gang: Gang, generation: str) -> dict[str, int]:
    return {name: pid_of(launcher, generation) for name, launcher in gang.members.items()}


def let_go(pids: dict[str, int]) -> None:
    for pid in pids.values():
        os.kill(pid, signal.SIGUSR1)


def ended(gang: Gang, name: str = "chief-0") -> Report:
    return gang[name].report()


def told(intake: Intake, state: str, generation: int) -> Report:
    """Wait for a report of this state and generation."""
    while True:
        _, report = intake.take()
        if (report.state, report.generation) == (state, generation):
            return report


@pytest.mark.parametrize("member", ["chief-0", "worker-0"])
def test_a_killed_trainer_is_started_again_and_so_are_the_others(gang: Gang, intake: Intake, member: str) -> None:
    gang.start(ENDS_WHEN_LET_GO, report_url=intake.url, report_ca=intake.ca, report_interval_seconds=60)
    first = pids_of(gang, "1.1")
    assert told(intake, "Running", 1).size == 3
    kill(first[member])
    second = pids_of(gang, "1.2")
    assert gone(*first.values())
    assert not set(first.values()) & set(second.values())
    running = told(intake, "Running", 2)  # that it restarts may go unsaid where the next generation is there first
    failure = running.failure
    assert failure is not None
    assert (failure.member, failure.reason, failure.exit_code, failure.generation) == (
        member,
        "TrainerKilled",
        137,
        1,
    )
    assert running.ledger is not None
    assert (running.size, running.ledger.generation, running.ledger.counted) == (3, 2, 1)
    let_go(second)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}
    last = ended(gang)
    assert (last.state, last.generation, last.unreachable) == ("Succeeded", 2, ())
    assert last.ledger is not None
    assert last.ledger.counted == 1


def test_the_next_generation_is_announced_at_once(gang: Gang) -> None:
    """From the kill of a trainer to the next generation. The best of five: a timer on the way would be in each."""
    program = "import os, trainingjob, signal; g = os.environ['TRAININGJOB_GENERATION']\n"
    program += "trainingjob.report(step=10 * int(g.split('.')[1])); trainingjob._progress.flush()\n" + WAITS
    gang.start(program, workers=1)
    seconds = []
    for generation in range(1, 6):
        pids = pids_of(gang, f"1.{generation}")
        began = time.monotonic()
        kill(pids["worker-0"])
        gang["chief-0"].line(f"trainingjob: generation {generation + 1} starts")
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.5, seconds  # 0.2 s where the machine is quiet


def test_a_lost_launcher_is_waited_for_and_its_next_pod_joins(gang: Gang, intake: Intake) -> None:
    gang.start(ENDS_WHEN_LET_GO, report_url=intake.url, report_ca=intake.ca, report_interval_seconds=60)
    first = pids_of(gang, "1.1")
    gang["worker-1"].process.kill()
    kill(first["worker-1"])  # in a pod the kernel does this: process 1 is gone
    restarting = told(intake, "Restarting", 1)
    assert restarting.unreachable == ("worker-1",)
    assert restarting.failure is not None
    assert (restarting.failure.member, restarting.failure.reason) == ("worker-1", "MemberLost")
    assert gone(*first.values())
    command = [sys.executable, "-u", "-S", "-c", ENDS_WHEN_LET_GO]
    gang.member("worker", 1, command, 2, incarnation=2)
    running = told(intake, "Running", 2)
    assert running.unreachable == ()
    assert running.ledger is not None
    assert running.ledger.counted == 0, "what a pod's end costs the operator counts"
    let_go(pids_of(gang, "1.2"))
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}


def test_without_their_chief_members_wait_for_the_next_and_say_so(gang: Gang, intake: Intake) -> None:
    reports = {"report_url": intake.url, "report_ca": intake.ca}
    gang.start(ENDS_THE_SECOND_TIME, workers=1, **reports)
    first = pids_of(gang, "1.1")
    gang["chief-0"].process.kill()
    kill(first["chief-0"])
    notice = told(intake, "ChiefLost", 1)
    assert (notice.member, notice.incarnation, notice.chief_incarnation, notice.final) == ("worker-0", 1, 1, False)
    assert gone(first["worker-0"]), "its collectives are stuck"
    command = [sys.executable, "-u", "-S", "-c", "import os; print('here', os.environ['TRAININGJOB_GENERATION'])"]
    gang.member("chief", 0, command, 1, incarnation=2, pod_failures=1)
    gang["worker-0"].line("trainingjob: generation 2 starts with 2 members")
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    assert gang["chief-0"].out == b"here 2.2\n", "numbers go on: the worker has brought the ledger"
    assert b" 2.2 " in gang["worker-0"].out


def test_a_frozen_launcher_is_lost_by_its_silence_and_goes_on_when_it_thaws(gang: Gang) -> None:
    env = {"TRAININGJOB_HEARTBEAT_SECONDS": "0.1", "TRAININGJOB_SILENCE_SECONDS": "0.7"}
    gang.start(ENDS_THE_SECOND_TIME, workers=1, env=env)
    first = pids_of(gang, "1.1")
    os.kill(gang["worker-0"].process.pid, signal.SIGSTOP)
    assert gang["chief-0"].line("trainingjob: worker-0 is lost") == (
        "trainingjob: worker-0 is lost: nothing was heard for 0.7 s"
    )
    assert alive(first["worker-0"])
    os.kill(gang["worker-0"].process.pid, signal.SIGCONT)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    assert gone(first["worker-0"])
    assert ended(gang).generation == 2


@pytest.mark.parametrize("member", ["chief-0", "worker-0"])
def test_a_frozen_trainer_is_killed_and_named(gang: Gang, intake: Intake, member: str) -> None:
    gang.start(ENDS_THE_SECOND_TIME, workers=1, report_url=intake.url, report_ca=intake.ca)
    first = pids_of(gang, "1.1")
    os.kill(first[member], signal.SIGSTOP)
    began = time.monotonic()
    restarting = told(intake, "Restarting", 1)
    assert time.monotonic() - began < 3
    assert restarting.failure is not None
    assert (restarting.failure.member, restarting.failure.reason) == (member, "TrainerFrozen")
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}


def test_the_chiefs_sigterm_saves_everywhere_and_the_others_wait_for_its_next_pod(gang: Gang, intake: Intake) -> None:
    gang.start(SAVES, report_url=intake.url, report_ca=intake.ca)
    pids_of(gang, "1.1")
    gang["chief-0"].process.terminate()
    assert gang["chief-0"].wait() == 143
    assert gang["chief-0"].out.splitlines()[-1] == b"saved"
    last = ended(gang)
    assert (last.state, last.final) == ("Terminated", False)
    assert last.ledger is not None
    assert (last.ledger.generation, last.ledger.counted) == (1, 0)
    assert told(intake, "Terminated", 1).failure == last.failure
    for name in ("worker-0", "worker-1"):
        gang[name].line("saved")
        assert gang[name].process.poll() is None
    gang.member("chief", 0, [sys.executable, "-u", "-S", "-c", SAVES], 2, incarnation=2, ledger=last.ledger)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}
    assert ended(gang).generation == 2


def test_a_workers_sigterm_saves_everywhere_and_costs_nothing(gang: Gang, intake: Intake) -> None:
    gang.start(SAVES, report_url=intake.url, report_ca=intake.ca)
    pids_of(gang, "1.1")
    gang["worker-0"].process.terminate()
    assert gang["worker-0"].wait() == 143
    gone = ended(gang, "worker-0")
    assert (gone.state, gone.final) == ("Terminated", False)
    for launcher in gang.members.values():
        launcher.line("saved")
    gang.member("worker", 0, [sys.executable, "-u", "-S", "-c", SAVES], 2, incarnation=2)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0, "worker-1": 0}
    last = ended(gang)
    assert last.ledger is not None
    assert (last.state, last.generation, last.ledger.counted) == ("Succeeded", 2, 0)


def test_who_does_not_save_in_time_is_killed(gang: Gang) -> None:
    stubborn = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS + "\nsignal.pause()"
    gang.start(stubborn, workers=1, env={"TRAININGJOB_GRACE_SECONDS": "0.3"})
    first = pids_of(gang, "1.1")
    gang["worker-0"].process.terminate()
    assert gang["worker-0"].wait() == 143
    gang["chief-0"].line("trainingjob: the trainer of chief-0 was stopped")
    assert gone(*first.values())
    gang["chief-0"].process.terminate()
    assert gang["chief-0"].wait() == 143


def test_progress_goes_on_over_generations(gang: Gang, intake: Intake) -> None:
    """The best value is of an earlier generation; where the next began is told; steps are its own."""
    program = (
        "import os, signal, trainingjob\nfrom trainingjob import _progress\n"
        "g = os.environ['TRAININGJOB_GENERATION']\n"
        "if g == '1.1': trainingjob.report(step=40, total_steps=100, loss=0.125)\n"
        "else: _progress.note_resumed(30); trainingjob.report(step=35, total_steps=100, loss=0.5)\n"
        "_progress.flush()\nprint('pid', os.getpid(), g)\nif g == '1.1': signal.pause()\n"
    )
    gang.start({"chief-0": program, "*": ENDS_THE_SECOND_TIME}, workers=1, report_url=intake.url, report_ca=intake.ca)
    first = pids_of(gang, "1.1")
    kill(first["worker-0"])
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    training, ledger = ended(gang).training, ended(gang).ledger
    assert training is not None
    assert (training.step, training.resumed_step, training.metrics["loss"]) == (35, 30, 0.5)
    assert training.extremes is not None
    assert (training.extremes["loss"].low, training.extremes["loss"].low_step) == (0.125, 40)
    assert ledger is not None
    assert (ledger.step, ledger.started, ledger.counted) == (40, True, 1)


def test_a_step_that_a_trainer_makes_as_it_saves_is_known_to_the_next_chief(gang: Gang) -> None:
    """Its generation is over by then: what it says last is heard nevertheless."""
    program = (
        "import os, signal, sys, trainingjob\nfrom trainingjob import _progress\n"
        "def save(*_):\n    trainingjob.report(step=41)\n    _progress.flush()\n    sys.exit(77)\n"
        "signal.signal(signal.SIGTERM, save)\ntrainingjob.report(step=40)\n_progress.flush()\n"
        "print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION'])\nsignal.pause()\n"
    )
    gang.start(program, workers=0)
    pids_of(gang, "1.1")
    gang["chief-0"].process.terminate()
    assert gang.codes() == {"chief-0": 143}
    last = ended(gang)
    assert last.training is not None
    assert last.ledger is not None
    assert (last.state, last.training.step, last.ledger.step) == ("Terminated", 41, 41)


def test_the_same_failure_twice_without_a_step_ends_the_job(gang: Gang) -> None:
    crashes = "import os; print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION']); os.abort()"
    gang.start({"worker-0": crashes, "*": WAITS}, workers=1)
    assert gang.codes() == {"chief-0": 1, "worker-0": 134}
    last = ended(gang)
    assert last.failure is not None
    assert last.ledger is not None
    assert (last.state, last.generation, last.ledger.counted) == ("Failed", 2, 1)
    assert "twice" in last.failure.message


def test_a_job_ends_where_its_limit_is(gang: Gang) -> None:
    """Pods that had failed count as well."""
    ledger = Ledger(4, 2, 10, True, last=LastFailure("TrainerFailed", "x", 1, step=10))
    policy = Policy(backoff_limit=3)
    gang.start(WAITS, workers=1, policy=policy, ledger=ledger, pod_failures=1)
    kill(pids_of(gang, "1.5")["worker-0"])
    assert gang.codes() == {"chief-0": 1, "worker-0": 137}
    failure = ended(gang).failure
    assert failure is not None
    assert failure.reason == "BackoffLimitExceeded"


def test_a_chief_that_was_replaced_stops_at_once(gang: Gang, intake: Intake) -> None:
    gang.start(WAITS, workers=1, report_url=intake.url, report_ca=intake.ca, report_interval_seconds=0.2)
    first = pids_of(gang, "1.1")
    told(intake, "Running", 1)
    intake.answers.append((409, {}, '{"error": "chief-0 was replaced by incarnation 2"}'))
    assert gang["chief-0"].wait() == 143
    assert gone(first["chief-0"])
    assert ended(gang).state == "Terminated"
    assert gang["worker-0"].process.poll() is None, "it waits for the next chief"
    gang["worker-0"].process.terminate()
    assert gang["worker-0"].wait() == 143


def test_a_smaller_gang_asks_the_operator_and_forms_without_the_lost(gang: Gang, intake: Intake) -> None:
    policy = Policy(min_workers=1, elastic_wait=0.3)
    gang.start(ENDS_WHEN_LET_GO, policy=policy, report_url=intake.url, report_ca=intake.ca)
    first = pids_of(gang, "1.1")
    told(intake, "Running", 1)
    gang["worker-0"].process.kill()
    kill(first["worker-0"])
    running = told(intake, "Running", 2)
    assert (running.size, running.unreachable) == (2, ("worker-0",))
    let_go({name: pid_of(gang[name], "1.2") for name in ("chief-0", "worker-1")})
    assert gang["chief-0"].wait() == gang["worker-1"].wait() == 0
    assert b"worker-0" not in gang["chief-0"].out


def test_a_stalled_gang_shows_the_stack_of_the_stuck(gang: Gang, intake: Intake) -> None:
    program = (
        "import os, signal, trainingjob\nfrom trainingjob import _progress, _stack\n_stack.show_on_signal()\n"
        "def waits_for_data():\n    while True: signal.pause()\n"
        "trainingjob.report(step=5); _progress.flush()\n"
        "print('pid', os.getpid(), os.environ['TRAININGJOB_GENERATION'])\n"
        "if os.environ['TRAININGJOB_GENERATION'] == '1.1': waits_for_data()\n"
    )
    policy = Policy(stall=0.5)
    gang.start(program, workers=1, policy=policy, report_url=intake.url, report_ca=intake.ca)
    restarting = told(intake, "Restarting", 1)
    assert restarting.failure is not None
    assert restarting.failure.reason == "Stalled"
    assert any("waits_for_data" in line for line in restarting.failure.last_log_lines)
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}


@pytest.mark.parametrize("how", ["script", "module"])
def test_the_warm_standby_is_the_next_trainer(gang: Gang, tmp_path: Path, how: str) -> None:
    (tmp_path / "tensorflow.py").write_text("import os; IMPORTED_BY = os.getpid(), os.environ.get('TF_CONFIG')")
    (tmp_path / "main.py").write_text(
        "import json, os, signal, sys, trainingjob, tensorflow\n"
        "g = os.environ['TRAININGJOB_GENERATION']\n"
        "trainingjob.report(step=int(g[2:])); trainingjob._progress.flush()\n"
        "warm = tensorflow.IMPORTED_BY == (os.getpid(), None)\n"
        "print('pid', os.getpid(), g, warm, json.loads(os.environ['TF_CONFIG'])['task']['type'], sys.argv[1:])\n"
        "if g != '1.3': signal.pause()\n"
    )
    start = ["main.py"] if how == "script" else ["-m", "main"]
    policy, env = (
        Policy(warm_standby=True),
        {"PYTHONPATH": f"{Path(__file__).parents[3] / 'trainer_image'}:{tmp_path}"},
    )
    for role in ("chief", "worker"):
        gang.member(role, 0, [sys.executable, *start, "a b"], 1, policy=policy, env=env)
    words = {name: gang[name].line("pid").split(" ", 3) for name in gang.members}
    assert [word[3] for word in words.values()] == ["False chief ['a b']", "False worker ['a b']"]
    for generation in (2, 3):
        standbys = {name: standby_of(launcher) for name, launcher in gang.members.items()}
        kill(int(words["worker-0"][1]))
        words = {name: gang[name].line("pid").split(" ", 3) for name in gang.members}
        for name, role in (("chief-0", "chief"), ("worker-0", "worker")):
            assert words[name][1:] == [str(standbys[name]), f"1.{generation}", f"True {role} ['a b']"]
    assert gang.codes() == {"chief-0": 0, "worker-0": 0}
    assert gone(*standbys.values())


def standby_of(launcher: Launcher) -> int:
    """Wait until a launcher has a standby that has imported everything, and waits; return its number."""
    by = time.monotonic() + 20
    while time.monotonic() < by:
        for pid in Path(f"/proc/{launcher.process.pid}/task/{launcher.process.pid}/children").read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
                waits = Path(f"/proc/{pid}/wchan").read_text()
            except OSError:
                continue
            if "trainingjob_hooks.standby" in command and ("unix_stream" in waits or "skb" in waits):
                return int(pid)
    raise AssertionError("there is no standby")
