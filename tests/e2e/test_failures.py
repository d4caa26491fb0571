"""Failures that end a job: what the status says, that the survivors are not blamed, and what is not tried again."""

import pytest

from tests.e2e.kube import Json
from tests.e2e.programs import ONE_STEP, WAITS, by_member, job
from tests.e2e.world import World, condition

RAISES = """\
def load(shape):
    raise ValueError(f"no data of shape {shape}")

print("about to load")
load((28, 28))
"""
#: What TensorFlow raises in a healthy member when another one has gone.
ECHO = """\
class UnavailableError(Exception):
    pass

raise UnavailableError("Collective ops is aborted by: Socket closed")
"""
KILLED_SOON = """\
import os, signal, time
time.sleep(1.0)  # its peers notice before its own launcher says so
os.kill(os.getpid(), signal.SIGKILL)
"""
#: The same after a moment, in which the chief has made a step.
RAISES_SOON = "import time\ntime.sleep(2.0)\n" + RAISES
#: Each start makes one step that was never made before, and fails.
ONE_STEP_MORE = """\
import pathlib, sys
import trainingjob
steps = pathlib.Path("/checkpoints/steps")
step = 1 + (int(steps.read_text()) if steps.exists() else 0)
steps.write_text(str(step))
trainingjob.report(step=step, loss=1.0)
sys.exit(9)
"""
EATS_MEMORY = """\
kept = []
while True:
    kept.append(b"x" * 10_000_000)
"""


def failed(world: World, name: str = "bad") -> Json:
    """Wait until the job has failed; check what every failure has in common and return it."""
    status = world.until_phase(name, "Failed")
    failure: Json = status["failure"]
    assert condition(status, "Failed")["status"] == "True"
    assert condition(status, "Failed")["reason"] == failure["reason"]
    assert condition(status, "Succeeded")["status"] == "False"
    assert status["completionTime"]
    world.check_told_once(name, "Failed")
    table = world.kubectl("get", "tj", name, "-o", "wide")
    assert failure["reason"] in table
    return failure


def test_an_exception_in_a_worker(world: World) -> None:
    """Before the job's first step it is the program's own, and no restart would mend it."""
    world.apply(job("bad", by_member(chief_0=WAITS, worker_0=WAITS, worker_1=RAISES), workers=2))
    failure = failed(world)
    assert world.status("bad")["restarts"]["total"] == 0
    assert failure["member"] == "worker-1"
    assert failure["pod"] == "bad-worker-1"
    assert failure["exitCode"] == 1
    assert failure["reason"] == "TrainerFailed"
    assert failure["message"] == "ValueError: no data of shape (28, 28)"
    lines = failure["lastLogLines"]
    assert "about to load" in lines
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "ValueError: no data of shape (28, 28)"
    assert world.kubectl("logs", "bad-worker-1").count("about to load") == 1


def test_an_exception_in_a_chief_alone(world: World) -> None:
    world.apply(job("bad", RAISES))
    failure = failed(world)
    assert (failure["member"], failure["exitCode"], failure["reason"]) == ("chief-0", 1, "TrainerFailed")
    assert failure["message"] == "ValueError: no data of shape (28, 28)"
    assert failure["lastLogLines"][-1] == "ValueError: no data of shape (28, 28)"


def test_the_survivor_that_fails_first_is_not_blamed(world: World) -> None:
    """It restarts once: the same again, without a step in between, would come a third time."""
    world.apply(job("bad", by_member(chief_0=ECHO, worker_0=ECHO, worker_1=KILLED_SOON), workers=2))
    failure = failed(world)
    assert failure["member"] == "worker-1"
    assert (failure["reason"], failure["exitCode"], failure["signal"]) == ("TrainerKilled", 137, 9)
    assert "twice without a new step in between" in failure["message"]
    assert failure["generation"] == 2
    assert world.status("bad")["restarts"]["total"] == 1


def test_an_error_after_the_first_step_restarts_until_it_repeats(world: World) -> None:
    world.apply(job("bad", by_member(chief_0=ONE_STEP, worker_0=RAISES_SOON), workers=1))
    failure = failed(world)
    assert (failure["member"], failure["reason"], failure["exitCode"]) == ("worker-0", "TrainerFailed", 1)
    assert "ValueError: no data of shape (28, 28)" in failure["message"]
    assert "twice without a new step in between" in failure["message"]
    assert world.status("bad")["restarts"]["total"] == 1
    assert "Restarting" in world.phases("bad")


def test_the_limit_counts_what_makes_progress_too(world: World) -> None:
    world.apply(job("bad", ONE_STEP_MORE, checkpoint={"volume": {"emptyDir": {}}}, failurePolicy={"backoffLimit": 2}))
    failure = failed(world)
    assert (failure["member"], failure["reason"], failure["exitCode"]) == ("chief-0", "BackoffLimitExceeded", 9)
    assert failure["message"].startswith("3 failures, the limit is 2")
    status = world.status("bad")
    assert status["restarts"] == {"total": 2, "counted": 3, "free": 0}
    assert status["training"]["step"] == 3


@pytest.mark.parametrize("member", ["chief-0", "worker-0"])
def test_out_of_memory(world: World, member: str) -> None:
    programs = {"chief_0": ONE_STEP, "worker_0": ONE_STEP, member.replace("-", "_"): EATS_MEMORY}
    world.apply(job("bad", by_member(**programs), workers=1, resources={"limits": {"memory": "150Mi"}}))
    failure = failed(world)
    assert failure["member"] == member
    assert failure["reason"] == "OOMKilled"
    assert "raise spec.resources.limits.memory" in failure["message"]


@pytest.mark.parametrize(
    ("command", "reason", "code"),
    [(["no-such-program"], "CommandNotFound", 127), (["/etc/passwd"], "CommandNotExecutable", 126)],
    ids=["not found", "not executable"],
)
def test_a_command_that_does_not_start(world: World, command: list[str], reason: str, code: int) -> None:
    world.apply(_with_command("bad", command))
    failure = failed(world)
    assert (failure["member"], failure["reason"], failure["exitCode"]) == ("chief-0", reason, code)
    assert command[0] in failure["message"]


def test_an_image_without_a_launcher(world: World) -> None:
    """The pod's own command fails: the kubelet or the interpreter says so, and no launcher reports."""
    template = {"spec": {"containers": [{"name": "trainer", "env": [{"name": "PYTHONPATH", "value": "/"}]}]}}
    world.apply(job("bad", podTemplate=template))
    failure = failed(world)
    assert (failure["member"], failure["exitCode"]) == ("chief-0", 1)
    assert any("No module named" in line and "trainingjob_launcher" in line for line in failure["lastLogLines"])


def _with_command(name: str, command: list[str]) -> Json:
    body = job(name)
    body["spec"]["program"] = {"command": command}
    return body
