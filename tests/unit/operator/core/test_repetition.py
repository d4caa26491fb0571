"""Pods that end again as the one before them did, without a new step of the job in between."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.core.builders import at, deleting, ended, final_report, running
from tests.unit.operator.core.test_plan_properties import bring_up
from tests.unit.operator.core.test_restarts import LEDGER, made, plan, pods, ran
from tests.unit.operator.core.world import OperatorDiedError, World
from trainingjob_operator.api.contract import Failure
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.repetition import End

CARRIED = "trainingjob.dev/last-end"
OOM = End("OOMKilled", 137, 412)


def second(before=OOM, code=137, reason="OOMKilled", lived=20, **changes):
    """The second pod of worker-1, which has ended at second 50."""
    pod = ended(index=1, code=code, reason=reason, incarnation=2, when=50, **changes)
    ran_from = replace(pod.terminated, started_at=at(50 - lived))
    return replace(pod, terminated=ran_from, last_end=before.encode() if before else "")


def over(step=412):
    """The chief has told that the generation is over, and how far it came."""
    ledger = LEDGER | {"step": step} if step is not None else {"generation": 3, "counted": 1}
    return ran(state="Restarting", gang={"ledger": ledger})


def carried(decision):
    (create,) = [create for create in decision.creates if create.body["kind"] == "Pod"]
    return create.body["metadata"].get("annotations", {}).get(CARRIED, "")


def test_the_next_pod_carries_how_the_last_one_ended_and_where():
    assert carried(plan(pods(w1=ended(index=1, code=137, reason="OOMKilled", when=50)), over())) == OOM.encode()
    assert carried(plan(pods(w1=ended(index=1, code=137, when=50)), over(step=None))) == (
        '{"reason":"MemberFailed","exitCode":137}'
    )


def test_again_at_the_same_step_ends_the_job_with_the_reason_that_it_had():
    decision = plan(pods(w1=second()), over())
    assert (decision.creates, decision.status["phase"]) == ((), Phase.FAILED)
    failure = decision.status["failure"]
    assert (failure["reason"], failure["pod"], failure["exitCode"]) == ("OOMKilled", "mnist-worker-1-2", 137)
    assert failure["message"].startswith(
        "twice without a new step in between: worker-1 ran out of memory: raise spec."
    )
    assert decision.status["restarts"]["counted"] == 1, "as where a trainer fails twice: no restart follows"


@pytest.mark.parametrize(
    ("pod", "step"),
    [
        (second(), 413),  # a new step
        (second(reason="Error"), 412),  # of something else
        (second(code=139, reason="Error", before=End("MemberFailed", 137, 412)), 412),
        (second(before=End("OOMKilled", 137, None)), 412),  # the job's first steps came after it
        (second(before=None), 412),
        (second(lived=61, before=End("OOMKilled", 137, None)), None),  # it tells no steps, and may have made some
    ],
)
def test_another_end_or_a_new_step_is_another_case(pod, step):
    decision = plan(pods(w1=pod), over(step))
    assert made(decision) == ["mnist-worker-1-3"]
    assert End.decode(carried(decision)).step == step


def test_a_program_that_tells_no_steps_has_made_none_in_a_few_seconds():
    assert plan(pods(w1=second(before=End("OOMKilled", 137, None))), over(step=None)).status["phase"] == Phase.FAILED


@pytest.mark.parametrize(
    "gone",
    [
        deleting(replace(running(index=1, incarnation=2), last_end=OOM.encode())),
        second(code=143, reason="Error", message=final_report("Terminated", Failure("worker-1", "Terminated", "x"))),
    ],
)
def test_what_is_free_neither_counts_as_an_end_nor_lets_the_last_one_be_forgotten(gone):
    assert carried(plan(pods(w1=gone), over())) == OOM.encode()


def test_where_a_rule_decides_it_is_followed_however_often():
    for action in ("Restart", "RestartFree"):
        rules = {"rules": [{"reasons": ["OOMKilled"], "action": action}]}
        decision = plan(pods(w1=second()), over(), failurePolicy=rules)
        assert made(decision) == ["mnist-worker-1-3"]


def test_before_that_is_said_the_chief_has_time_to_tell_how_far_it_came():
    early = plan(pods(w1=second()), ran(), now=51)
    assert (early.creates, early.look_again) == ((), at(65))
    assert early.status["phase"] == Phase.RESTARTING
    assert plan(pods(w1=second()), ran(), now=65).status["phase"] == Phase.FAILED
    told = ran(gang={"ledger": LEDGER | {"step": 413}})
    assert made(plan(pods(w1=second()), told, now=51)) == ["mnist-worker-1-3"]


def test_a_chief_that_ends_again_has_the_time_in_which_its_last_report_is_written():
    chief = replace(ended("chief", code=137, incarnation=2, when=50), last_end=End("MemberFailed", 137, 412).encode())
    status = over() | {"training": over()["training"] | {"incarnation": 2}}
    assert plan(pods(chief=chief), status, now=51).creates == ()
    assert plan(pods(chief=chief), status, now=65).status["failure"]["message"].startswith("twice without")


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"reason":7}', '{"reason":"A","step":"1"}', "[" * 9000])
def test_an_annotation_that_somebody_has_changed_is_no_trouble(text):
    found = End.decode(text)
    assert found is None or found.step is None
    assert made(plan(pods(w1=replace(second(), last_end=text)), over())) == ["mnist-worker-1-3"]


@given(st.builds(End, st.text(min_size=1), st.none() | st.integers(0, 255), st.none() | st.integers(0, 2**53)))
def test_what_is_carried_is_what_was_said(end):
    assert End.decode(end.encode()) == end


ENDS = st.sampled_from([(137, "OOMKilled"), (137, ""), (139, ""), (1, "")])


@settings(max_examples=150, deadline=None)
@given(
    story=st.lists(st.tuples(st.sampled_from(["worker-0", "worker-1", "chief-0"]), ENDS, st.booleans()), max_size=10),
    deaths=st.lists(st.none() | st.integers(0, 8), min_size=10, max_size=10),
)
def test_the_second_of_the_same_without_a_step_is_the_last_whatever_happens_to_operators(story, deaths):
    """A member's pods end again and again; in between the job makes steps, or none. The operator dies at any call."""
    world = World(2, spec={"failurePolicy": {"backoffLimit": 100}})
    bring_up(world)
    last = {}
    for (member, (code, reason), moves), death in zip(story, deaths, strict=False):
        step = world.gang["ledger"]["step"]
        repeated = last.get(member) == (code, reason, step)
        last[member] = (code, reason, step)
        world.end(world.newest()[member].name, code, reason=reason)
        world.calls = death
        with contextlib.suppress(OperatorDiedError):
            world.settle()
        world.calls = None
        world.forget()
        world.tick(20)  # a worker's end waits for the chief's word
        world.settle()
        assert (world.status["phase"] == Phase.FAILED) == repeated
        if repeated:
            assert world.status["failure"]["reason"] == (reason or "MemberFailed")
            return
        world.moves = moves
        world.tick(400)
        bring_up(world)
