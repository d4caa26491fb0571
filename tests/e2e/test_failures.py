"""Failures of a program: what the status says, and that the survivors are not blamed."""

import pytest

from tests.e2e.kube import Json
from tests.e2e.programs import STEADY, by_member, job
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
    world.apply(job("bad", by_member(chief_0=STEADY, worker_0=STEADY, worker_1=RAISES), workers=2))
    failure = failed(world)
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
    world.apply(job("bad", by_member(chief_0=ECHO, worker_0=ECHO, worker_1=KILLED_SOON), workers=2))
    failure = failed(world)
    assert failure["member"] == "worker-1"
    assert (failure["reason"], failure["exitCode"], failure["signal"]) == ("TrainerKilled", 137, 9)


@pytest.mark.parametrize("member", ["chief-0", "worker-0"])
def test_out_of_memory(world: World, member: str) -> None:
    programs = {"chief_0": STEADY, "worker_0": STEADY, member.replace("-", "_"): EATS_MEMORY}
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
