"""decide() under any sequence of events: what must hold whatever happens."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.core.world import World
from trainingjob_operator.api.names import Phase

ORDER = [Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED]
NAMES = [f"mnist-{member}{suffix}" for member in ("chief-0", "worker-0", "worker-1") for suffix in ("", "-2", "-3")]

events = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["start", "delete", "vanish", "fail"]), st.sampled_from(NAMES)),
        st.tuples(st.just("end"), st.sampled_from(NAMES), st.sampled_from([0, 1, 137])),
        st.tuples(st.just("tick"), st.sampled_from([0.5, 5.0, 20.0, 90.0])),
        st.tuples(st.sampled_from(["form", "succeed", "settle", "reconcile", "start_all"])),
        st.tuples(st.just("quota"), st.sampled_from([0, 1, 2, None])),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
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


@given(workers=st.integers(0, 2), script=events)
@settings(max_examples=300, deadline=None)
def test_it_always_comes_to_rest_and_doing_it_again_changes_nothing(workers, script):
    world = World(workers)
    play(world, script)
    world.settle()
    before = len(world.created), len(world.written)
    world.settle()
    assert (len(world.created), len(world.written)) == before


@given(workers=st.integers(0, 2), script=events)
@settings(max_examples=300, deadline=None)
def test_phases_are_never_skipped_and_a_finished_job_stays_as_it_is(workers, script):
    world = World(workers)
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


@given(workers=st.integers(0, 2), script=events)
@settings(max_examples=200, deadline=None)
def test_a_job_that_has_finished_gets_no_more_pods(workers, script):
    world = World(workers)
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


@given(workers=st.integers(0, 2), script=events)
@settings(max_examples=300, deadline=None)
def test_whatever_happened_a_kind_world_brings_the_job_to_an_end(workers, script):
    """Liveness: with quota, started pods and a chief that ends well, a job that has not failed succeeds."""
    world = World(workers)
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
