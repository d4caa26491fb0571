"""The evaluator's pod: made with the gang, replaced a few times, a reason for nothing."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import at, deleting, ended, forbidden, job, pending, platform, profile, running
from tests.unit.operator.core.world import World
from trainingjob_launcher.contract import Assignment, Failure, Report
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import judge_refusal
from trainingjob_operator.core.status import Change, compare

SPEC = {"checkpoint": {"volume": {"persistentVolumeClaim": {"claimName": "runs"}}}, "evaluator": {}}
GANG = (running("chief"), running(index=0))
BROKEN = Report(
    "evaluator-0", 1, 1, 1, "Failed", True, failure=Failure("evaluator-0", "TrainerFailed", "ValueError: bad shape", 1)
).encode().decode()  # fmt: skip


def evaluator(incarnation=1, **changes):
    return replace(running("evaluator", 0, incarnation), **changes)


def failed(incarnation=1, **more):
    return ended("evaluator", 0, 1, message=BROKEN, incarnation=incarnation, **more)


def plan(*pods, workers=1, status=None, refusals=(), now=5, **spec):
    return decide(job(workers, status, **(SPEC | spec)), pods, refusals, platform(), at(now))


def created(made):
    return [create.body["metadata"]["name"] for create in made.creates]


TRAINING = {
    "phase": "Running",
    "startTime": "2026-11-22T12:00:00Z",
    "training": {"generation": 1, "state": "Running"},
    "conditions": [],
}

# --- When it is made ---


def test_it_is_made_with_the_gang_and_after_it():
    assert created(plan()) == ["mnist-chief", "mnist-chief-0", "mnist-worker-0", "mnist-evaluator-0"]


def test_a_chief_alone_gets_its_service_so_that_the_evaluator_finds_it():
    assert created(plan(workers=0)) == ["mnist-chief", "mnist-chief-0", "mnist-evaluator-0"]
    pod = build_pod(job(0, **SPEC), "evaluator", 0, 1, platform())
    assert pod["spec"]["subdomain"] == "mnist-chief"


@pytest.mark.parametrize("gone", [(), (deleting(evaluator()),), (failed(),)])
def test_one_that_failed_or_was_taken_away_is_replaced_while_the_gang_trains(gone):
    made = plan(*GANG, *gone, status=TRAINING | {"members": {"evaluator": {"name": "evaluator-0", "incarnation": 1}}})
    assert created(made) == ["mnist-evaluator-0-2"]


def test_after_three_failures_there_is_no_fourth():
    assert created(plan(*GANG, failed(1), failed(2), status=TRAINING)) == ["mnist-evaluator-0-3"]
    assert created(plan(*GANG, failed(1), failed(2), failed(3), status=TRAINING)) == []


def test_pods_that_were_taken_away_do_not_count():
    pods = (failed(1), failed(2), deleting(failed(3)))
    assert created(plan(*GANG, *pods, status=TRAINING)) == ["mnist-evaluator-0-4"]


@pytest.mark.parametrize("pod", [evaluator(), pending("evaluator"), ended("evaluator", 0, 0)])
def test_one_that_runs_or_has_ended_well_is_left_alone(pod):
    assert created(plan(*GANG, pod, status=TRAINING)) == []


def test_a_job_without_one_gets_none():
    assert created(decide(job(1), GANG, (), platform(), at(5))) == []


# --- What it is no reason for ---


@pytest.mark.parametrize("pods", [(), (pending("evaluator"),), (failed(1), failed(2), failed(3))])
def test_the_gang_is_complete_without_it(pods):
    made = plan(*GANG, *pods)
    (ready,) = [c for c in made.status["conditions"] if c["type"] == "MembersReady"]
    assert (ready["status"], ready["message"]) == ("True", "the chief and 1 worker run")
    assert made.status["display"]["members"] == "2/2"
    assert made.status["members"]["desired"] == 2


@pytest.mark.parametrize("pods", [(), (failed(1),), (failed(1), failed(2), failed(3)), (deleting(evaluator()),)])
def test_training_neither_fails_nor_ends_with_it(pods):
    made = plan(*GANG, *pods, status=TRAINING, now=500)
    assert made.status["phase"] == Phase.RUNNING
    assert "Failed" not in [event.reason for event in made.events]


def test_success_does_not_ask_for_it():
    done = (ended("chief"), ended(index=0), failed(1))
    assert plan(*done, status=TRAINING).status["phase"] == Phase.SUCCEEDED


def test_a_refusal_of_its_pod_is_not_the_gangs_trouble():
    refusal = judge_refusal("evaluator-0", *forbidden("exceeded quota: q"), None, at(4))
    made = plan(pending("chief"), pending(), refusals=[refusal])
    assert created(made) == []
    (ready,) = [c for c in made.status["conditions"] if c["type"] == "MembersReady"]
    assert ready["reason"] == "MembersStarting"
    assert made.look_again == refusal.retry_at


def test_a_pod_that_can_never_be_accepted_is_not_asked_for_again_and_the_job_is_not_invalid():
    refusal = judge_refusal("evaluator-0", 422, "Invalid", "spec.x: Invalid value", None, at(-100))
    made = plan(refusals=[refusal])
    assert "mnist-evaluator-0" not in created(made)
    assert made.status["phase"] == Phase.PENDING


# --- What is told ---


def test_its_failure_is_told_once_and_stands_in_the_running_condition():
    before = plan(*GANG, evaluator(), status=TRAINING, now=20).status
    status = TRAINING | before
    made = plan(*GANG, failed(1), pending("evaluator", incarnation=2), status=status, now=60)
    (event,) = made.events
    assert (event.reason, event.warning) == ("EvaluatorFailed", True)
    assert event.note == "the evaluator has failed 1 time: ValueError: bad shape"
    (condition,) = [c for c in made.status["conditions"] if c["type"] == "Running"]
    assert condition["status"] == "True"
    assert condition["message"].endswith(
        "the chief and 1 worker; the evaluator has failed 1 time: ValueError: bad shape"
    )
    assert made.status["members"]["evaluator"] == {
        "name": "evaluator-0", "incarnation": 2, "pod": "mnist-evaluator-0-2", "phase": "Pending", "node": "node-a",
    }  # fmt: skip
    again = plan(*GANG, failed(1), evaluator(2), status=TRAINING | made.status, now=120)
    assert (again.status, again.events) == (None, ())


def test_that_it_is_given_up_is_said():
    status = TRAINING | plan(*GANG, failed(1), failed(2), evaluator(3), status=TRAINING, now=20).status
    made = plan(*GANG, failed(1), failed(2), failed(3), status=status, now=60)
    (condition,) = [c for c in made.status["conditions"] if c["type"] == "Running"]
    assert "the evaluator has failed 3 times and is given up: ValueError: bad shape" in condition["message"]


def test_that_it_starts_is_no_news():
    waiting = plan(*GANG, pending("evaluator"), status=TRAINING, now=20).status
    here = plan(*GANG, evaluator(), status=TRAINING, now=20).status
    assert compare(waiting, here) is Change.NONE


def test_that_it_was_replaced_is_written_but_not_at_once():
    before = plan(*GANG, evaluator(), status=TRAINING, now=20).status
    after = plan(*GANG, evaluator(2), status=TRAINING, now=20).status
    assert compare(before, after) is Change.SOFT
    assert before["conditions"] == after["conditions"]


def test_the_status_remembers_its_incarnations():
    status = TRAINING | {"members": {"evaluator": {"name": "evaluator-0", "incarnation": 4}}}
    assert created(plan(*GANG, status=status)) == ["mnist-evaluator-0-5"]


# --- Its pod ---


def pod(role="evaluator", **spec):
    return build_pod(
        job(**(SPEC | spec)), role, 0, 1, platform(node_pools={"cpu": profile(nodeSelector={"x": "cpu"})})
    )


def trainer(made):
    return made["spec"]["containers"][0]


def test_it_sees_the_checkpoints_where_the_members_see_them():
    mounts = [
        [m for m in trainer(pod(role))["volumeMounts"] if m["name"] == "checkpoints"]
        for role in ("chief", "evaluator")
    ]
    assert mounts[0] == mounts[1] == [{"name": "checkpoints", "mountPath": "/checkpoints"}]


def test_it_may_not_report():
    made = pod()
    names = [variable["name"] for variable in trainer(made)["env"]]
    assert "TRAININGJOB_REPORT_URL" not in names
    assert not [v for v in made["spec"]["volumes"] if "projected" in v]


def test_it_runs_where_and_with_what_the_members_do_unless_it_says_otherwise():
    accelerated = {"nodePool": {"accelerator": {}}, "resources": {"limits": {"cpu": 4}}}
    assert trainer(pod(**accelerated))["resources"]["limits"] == {"cpu": 4, "nvidia.com/gpu": 1}
    own = {"evaluator": {"nodePool": {"name": "cpu"}, "resources": {"limits": {"cpu": 1}}}}
    made = pod(**accelerated, **own)
    assert trainer(made)["resources"] == {"limits": {"cpu": 1}}
    assert trainer(made)["image"] == "trainer:cpu"
    assert made["spec"]["nodeSelector"] == {"x": "cpu"}
    assert trainer(pod("worker", **accelerated, **own))["resources"]["limits"] == {"cpu": 4, "nvidia.com/gpu": 1}


def test_its_host_name_is_one_with_the_longest_name_a_job_may_have():
    assert len(pod()["spec"]["hostname"]) - len("mnist") + 52 <= 63
    assert pod()["metadata"]["labels"]["trainingjob.dev/role"] == "evaluator"


def test_its_launcher_knows_who_it_is():
    env = {v["name"]: v["value"].replace("$$", "$") for v in trainer(pod())["env"] if "value" in v}
    read = Assignment.from_env(env)
    assert (read.role, read.member, read.chief_host) == ("evaluator", "evaluator-0", "mnist-chief")
    assert read.document["evaluator"] is True


# --- All in all ---


def test_the_healthy_path_costs_what_it_costs_without_one_but_for_a_pod():
    world = World(1, spec=SPEC)
    world.settle()
    for name in sorted(world.pods):
        world.start(name)
        world.settle()
    world.form()
    world.settle()
    world.tick(500)
    world.settle()
    world.succeed()
    world.settle()
    world.tick(500)
    world.settle()
    assert [status["phase"] for status in world.written] == ["Pending", "Starting", "Running", "Succeeded"]
    assert world.events == ["PodsCreated", "Running", "Succeeded"]
    assert sorted(world.created) == ["mnist-chief-0", "mnist-evaluator-0", "mnist-worker-0"]


def test_what_is_left_of_it_is_cleaned_up_after_the_end():
    world = World(0, spec=SPEC)
    world.settle()
    world.start("mnist-chief-0")
    world.settle()
    world.form()
    world.settle()
    world.succeed()
    world.settle()
    assert not world.pods["mnist-evaluator-0"].deleting
    world.tick(20)
    world.settle()
    assert world.pods["mnist-evaluator-0"].deleting
