"""decide() under any sequence of events: what must hold whatever happens."""

import contextlib
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.core.world import OperatorDiedError, World
from trainingjob_operator.api.names import Phase

ORDER = [Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED]
NAMES = [f"mnist-{member}{suffix}" for member in ("chief-0", "worker-0", "worker-1") for suffix in ("", "-2", "-3")]

MEMBERS = ["chief-0", "worker-0", "worker-1"]
EVALUATORS = [f"mnist-evaluator-0{suffix}" for suffix in ("", "-2", "-3", "-4")]
EVALUATED = {"checkpoint": {"volume": {"emptyDir": {}}}, "evaluator": {}}


def of_pods(names):
    return st.one_of(
        st.tuples(st.sampled_from(["start", "delete", "vanish", "fail"]), st.sampled_from(names)),
        st.tuples(st.just("end"), st.sampled_from(names), st.sampled_from([0, 1, 137])),
    )


of_the_gang = st.one_of(
    of_pods(NAMES),
    st.tuples(st.just("tick"), st.sampled_from([0.5, 5.0, 20.0, 90.0])),
    st.tuples(st.sampled_from(["form", "succeed", "settle", "reconcile"])),
    st.tuples(st.just("restart")),
    st.tuples(st.sampled_from(["crash", "lose_node"]), st.sampled_from(MEMBERS)),
)
deaths = st.tuples(st.just("die"), st.integers(0, 6))
events = st.lists(
    st.one_of(
        of_the_gang,
        deaths,
        of_pods(EVALUATORS),
        st.tuples(st.just("start_all")),
        st.tuples(st.just("quota"), st.sampled_from([0, 1, 2, None])),
        st.tuples(st.just("crowd"), st.integers(0, 1)),
    ),
    max_size=40,
)
worlds = st.builds(
    lambda workers, spec: World(workers, spec=spec), st.integers(0, 2), st.sampled_from([{}, EVALUATED])
)


def play(world, script):
    for name, *arguments in script:
        if name == "quota":
            world.quota = arguments[0]
        elif name == "restart":
            world.forget()
        elif name == "die":
            world.calls = arguments[0]
            with contextlib.suppress(OperatorDiedError):
                world.settle()
            world.calls = None
        else:
            getattr(world, name)(*arguments)
        check(world)


def check(world):
    wanted = [p for p in world.pods.values() if not p.finished and not p.deleting and not p.out_of_sight_since]
    live = Counter(p.member for p in wanted)
    assert all(count == 1 for count in live.values()), f"two pods of one member are wanted: {live}"


@given(world=worlds, script=events)
@settings(max_examples=300, deadline=None)
def test_it_always_comes_to_rest_and_doing_it_again_changes_nothing(world, script):
    play(world, script)
    world.settle()
    before = len(world.created), len(world.written)
    world.settle()
    assert (len(world.created), len(world.written)) == before


@given(world=worlds, script=events)
@settings(max_examples=300, deadline=None)
def test_phases_are_never_skipped_and_a_finished_job_stays_as_it_is(world, script):
    play(world, script)
    world.settle()
    phases = [status["phase"] for status in world.written]
    for old, new in zip([None, *phases], phases, strict=False):
        if old in (Phase.SUCCEEDED, Phase.FAILED):
            raise AssertionError(f"{old} was followed by {new}")
        if new == Phase.RESTARTING:
            assert old in (Phase.RUNNING, Phase.RESTARTING), phases
        elif old == Phase.RESTARTING:
            assert new in (Phase.RUNNING, Phase.FAILED), phases
        elif new in ORDER and old != new and not (old == Phase.STARTING and new == Phase.PENDING):
            assert ORDER.index(new) == (ORDER.index(old) + 1 if old in ORDER else 0), phases
    outcomes = [event for event in world.events if event in ("Succeeded", "Failed")]
    assert len(outcomes) <= 1


@given(world=worlds, script=events)
@settings(max_examples=200, deadline=None)
def test_a_job_that_has_finished_gets_no_more_pods(world, script):
    play(world, script)
    world.settle()
    if world.status.get("phase") not in (Phase.SUCCEEDED, Phase.FAILED):
        return
    made = len(world.created)
    for pod in list(world.pods):
        world.vanish(pod)
    world.tick(1000)
    world.settle()
    assert len(world.created) == made


@given(world=worlds, script=events)
@settings(max_examples=300, deadline=None)
def test_whatever_happened_a_kind_world_brings_the_job_to_an_end(world, script):
    """Liveness: with quota, started pods and a chief that ends well, a job that has not failed succeeds."""
    play(world, script)
    world.quota = None
    for _ in range(6):
        world.tick(301)
        world.settle()
        world.start_all()
        for pod in [p.name for p in world.pods.values() if p.deleting]:
            world.vanish(pod)
        world.form()
        world.settle()
    world.succeed()
    world.settle()
    assert world.status["phase"] in (Phase.SUCCEEDED, Phase.FAILED)


@given(
    workers=st.integers(0, 2),
    script=st.lists(st.tuples(of_the_gang, st.lists(of_pods(EVALUATORS), max_size=2)), max_size=25),
)
@settings(max_examples=150, deadline=None)
def test_an_evaluator_changes_nothing_for_the_gang(workers, script):
    """Whatever happens to its pods: the same phases, at the same times, with the same pods of the members."""
    alone, watched = World(workers), World(workers, spec=EVALUATED)
    for step, troubles in script:
        play(alone, [step])
        play(watched, [step])
        play(watched, troubles)
    for world in (alone, watched):
        world.settle()
    assert _story(watched) == _story(alone)
    failed = [pod for pod in watched.pods.values() if pod.role == "evaluator" and pod.phase == "Failed"]
    assert len([pod for pod in failed if not pod.deleting]) <= 3


def _story(world):
    conditions = {c["type"]: c["status"] for c in world.status.get("conditions", ())}
    created = [name for name in world.created if "evaluator" not in name]
    return world.status["phase"], conditions, world.status["display"]["members"], created


@given(workers=st.integers(0, 2), order=st.permutations(range(3)), seconds=st.floats(0, 3))
def test_the_healthy_path_costs_four_status_writes_and_three_events(workers, order, seconds):
    world = World(workers)
    world.settle()
    for index in order:
        names = sorted(world.pods)
        if index < len(names):
            world.tick(seconds)
            world.start(names[index])
            world.settle()
    world.tick(seconds)
    world.form()
    world.settle()
    world.tick(500)
    world.settle()
    world.succeed()
    world.settle()
    world.tick(500)
    world.settle()
    assert [status["phase"] for status in world.written] == ORDER
    assert world.events == ["PodsCreated", "Running", "Succeeded"]
    assert len(world.created) == workers + 1


ends = st.one_of(
    st.tuples(st.just("kill"), st.sampled_from(MEMBERS)),
    st.tuples(st.sampled_from(["crash", "lose_node", "evict", "delete_newest"]), st.sampled_from(MEMBERS)),
    st.tuples(st.just("both"), st.just("")),
)


@given(
    limit=st.integers(0, 4),
    script=st.lists(st.tuples(ends, st.none() | st.integers(0, 8), st.sampled_from([0.0, 30.0, 400.0])), max_size=14),
)
@settings(max_examples=200, deadline=None)
def test_what_counts_is_counted_once_over_new_pods_chiefs_and_operators(limit, script):
    """Any order of failures, with the operator dying between any two calls: the count is what really happened."""
    world = World(2, spec={"failurePolicy": {"backoffLimit": limit}})
    bring_up(world)
    truth = 0
    for (kind, member), death, rest in script:
        truth += strike(world, kind, member)
        world.calls = death
        with contextlib.suppress(OperatorDiedError):
            world.settle()
        world.calls = None
        world.forget()
        world.settle()
        if truth > limit:
            world.tick(20)  # the culprit's pod might have said more
            world.settle()
            break
        counted = world.status.get("restarts", {}).get("counted", 0)
        assert (counted, world.status["phase"]) == (truth, Phase.RESTARTING)
        world.tick(rest)
        bring_up(world)
    assert (world.status["phase"] == Phase.FAILED) == (truth > limit)
    if truth > limit:
        assert world.status["failure"]["reason"] == "BackoffLimitExceeded"


def strike(world, kind, member):
    """Let something happen to a running gang; return how many counted failures it is."""
    newest = world.newest()
    if kind == "both":
        for name in ("worker-0", "worker-1"):
            world.end(newest[name].name, 137, reason="OOMKilled")
        return 2
    name = newest[member].name
    if kind == "kill":
        world.end(name, 137)
        return 1
    if kind == "crash":
        world.crash(member)
        return 1
    if kind == "lose_node":
        world.lose_node(member)
    elif kind == "evict":
        world.evict(name)
    else:
        world.delete(name)
    return 0


def bring_up(world):
    """Time passes until the gang trains again."""
    for _ in range(3):
        world.settle()
        world.start_all()
        for pod in [p.name for p in world.pods.values() if p.deleting]:
            world.vanish(pod)
        world.form()
        world.settle()
        if world.training.get("state") == "Running" and len(world.live()) == 3:
            return
        world.tick(301)


@given(script=st.lists(st.tuples(ends, st.sampled_from([0.0, 30.0, 400.0])), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_each_generation_that_ends_is_told_once_and_each_new_pod_too(script):
    world = World(2, spec={"failurePolicy": {"backoffLimit": 100}})
    bring_up(world)
    for (kind, member), rest in script:
        strike(world, kind, member)
        world.settle()
        world.tick(rest)
        bring_up(world)
    ended = {about for reason, about in world.told if reason == "Restarting"}
    began = {about for reason, about in world.told if reason == "Restarted"}
    last = world.training["generation"]
    assert ended == {str(number) for number in range(1, last)}
    assert began == {str(number) for number in range(2, last + 1)}
    later = {name for name in world.created if name[-2:] in ("-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9")}
    assert later <= {about for reason, about in world.told if reason == "MemberReplaced"}
    assert world.status["phase"] == Phase.RUNNING
    kept = Counter(pod.member for pod in world.pods.values() if pod.finished and not pod.deleting)
    assert all(count <= 3 for count in kept.values())
