"""Whole jobs under random faults: they end, or they wait for a pod; and they never do what must not happen."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.launcher.machines import BUG, KILLED, NOISE, SEGFAULT
from tests.unit.launcher.simulation import World
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Policy
from trainingjob_launcher.messages import FAILED, SUCCEEDED, TrainerExit

HARM = [
    "exit",
    "crash",
    "delete",
    "terminate",
    "cut",
    "freeze",
    "slow",
    "part",
    "part with chief",
    "operator away",
    "crash unseen",
]
ENDS = [BUG, KILLED, NOISE, SEGFAULT, TrainerExit(42), TrainerExit(77), TrainerExit(143, 15)]
CALM = 900.0


@dataclasses.dataclass(frozen=True)
class Harm:
    when: float
    who: int
    how: str
    end: TrainerExit = KILLED
    seconds: float = 20.0


@dataclasses.dataclass(frozen=True)
class Plan:
    workers: int
    policy: Policy
    harms: list[Harm]
    seed: int
    stale_names: bool = False
    quota: int = 50


harms = st.builds(
    Harm,
    st.floats(2, 60),
    st.integers(0, 3),
    st.sampled_from(HARM),
    st.sampled_from(ENDS),
    st.sampled_from([1.0, 8.0, 20.0, 45.0]),
)
policies = st.builds(
    Policy,
    backoff_limit=st.integers(0, 6),
    min_workers=st.sampled_from([None, None, 0, 1]),
    elastic_wait=st.sampled_from([5.0, 30.0]),
    checkpoints=st.booleans(),
    stall=st.sampled_from([None, 15.0]),
)
plans = st.builds(
    Plan, st.integers(0, 3), policies, st.lists(harms, max_size=8), st.integers(0, 2**16), st.booleans()
)


def played(plan: Plan) -> World:
    world = World(plan.workers, plan.policy, plan.seed, quota=plan.quota)
    world.stale_names = plan.stale_names
    for harm in plan.harms:
        name = world.members[harm.who % len(world.members)]
        world.at(harm.when, lambda name=name, harm=harm: world.hurt(name, harm.how, harm.end, harm.seconds))
    world.run(60.0 + CALM)
    return world


@settings(max_examples=700, suppress_health_check=[HealthCheck.too_slow])
@given(plans)
def test_when_the_faults_stop_the_job_ends(plan: Plan) -> None:
    world = played(plan)
    assert world.over in (SUCCEEDED, FAILED)
    assert not world.living(), "nobody stays behind, when the job is over"
    if world.over == SUCCEEDED:
        assert world.saved == world.total, "all steps are made, and saved"


@settings(max_examples=300)
@given(plans.map(lambda plan: dataclasses.replace(plan, quota=1)))
def test_without_new_pods_it_ends_or_waits_for_one(plan: Plan) -> None:
    world = played(plan)
    if world.over:
        return
    gone = [name for name in world.members if not world.pods[name][-1].alive]
    assert gone, "it waits for nothing else"
    assert not any(pod.trainer for pod in world.living() if pod.group == ""), "and trains no ruin"


@settings(max_examples=150)
@given(
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([BUG, KILLED, SEGFAULT, TrainerExit(42)]), st.booleans())),
    st.integers(0, 2**16),
)
def test_each_trainer_that_dies_costs_one_generation_and_is_counted_once(
    workers: int, deaths: list[tuple[int, TrainerExit, bool]], seed: int
) -> None:
    """Also when the chief's pod is deleted soon after, and the next one has to know."""
    world = World(workers, Policy(backoff_limit=100), seed, total=30 * (len(deaths) + 1))
    hits: list[TrainerExit] = []
    chiefs: list[bool] = []

    def kill(who: int, end: TrainerExit) -> None:
        if world.hurt(world.members[who % len(world.members)], "exit", end):
            hits.append(end)

    for number, (who, end, deletes) in enumerate(deaths):
        world.at(20.0 + 30.0 * number, lambda who=who, end=end: kill(who, end))
        if deletes:
            world.at(21.0 + 30.0 * number, lambda: chiefs.append(world.hurt(gang.CHIEF, "delete")))
    world.run(10_000.0)
    assert world.over == SUCCEEDED
    assert len(hits) == len(deaths)
    assert world.ledger.counted == sum(end.code != 42 for end in hits)
    numbers = [generation for _, generation, _ in world.announced]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 1 + len(hits) + sum(chiefs)
