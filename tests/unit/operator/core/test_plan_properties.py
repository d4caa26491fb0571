"""decide() under any sequence of events: what must hold whatever happens."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.core.world import World
from trainingjob_operator.api.names import Phase

ORDER = [Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED]
NAMES = [f"mnist-{member}{suffix}" for member in ("chief-0", "worker-0", "worker-1") for suffix in ("", "-2", "-3")]

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
)
events = st.lists(
    st.one_of(
        of_the_gang,
        of_pods(EVALUATORS),
        st.tuples(st.just("start_all")),
        st.tuples(st.just("quota"), st.sampled_from([0, 1, 2, None])),
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
            world.refusals, world.written_at = {}, None  # what a new operator process does not know
        elif name == "start_all":
            for pod in list(world.pods):
                world.start(pod)
        else:
            getattr(world, name)(*arguments)
        check(world)


def check(world):
    live = Counter(p.member for p in world.pods.values() if not p.finished and not p.deleting)
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
        if new in ORDER and old != new and not (old == Phase.STARTING and new == Phase.PENDING):
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
        world.tick(61)
        world.settle()
        for pod in list(world.pods):
            world.start(pod)
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
