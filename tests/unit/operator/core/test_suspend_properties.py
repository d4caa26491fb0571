"""Suspending and resuming at any time, however often, with faults, and with an operator that dies between two calls."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.core.test_suspend import Suspendable
from tests.unit.operator.core.world import OperatorDiedError
from trainingjob_operator.api.names import Phase

MEMBERS = ["chief-0", "worker-0", "worker-1"]
toggles = st.sampled_from([("suspend",), ("resume",), ("suspend",), ("resume",), ("grace",), ("bring_up",)])
steps = st.one_of(
    toggles,
    st.tuples(st.just("tick"), st.sampled_from([0.0, 1.0, 20.0, 90.0])),
    st.sampled_from([("settle",), ("reconcile",), ("start_all",), ("form",), ("forget",)]),
)
faults = st.one_of(
    st.tuples(st.sampled_from(["crash", "lose_node", "kill", "evict_newest"]), st.sampled_from(MEMBERS)),
    st.tuples(st.just("die"), st.integers(0, 6)),
    st.tuples(st.just("succeed")),
)


class Toggled(Suspendable):
    """Keeps the truth beside what the operator writes: how long the job was to be active, and which pods it had."""

    def __init__(self, workers=2, **spec):
        super().__init__(workers, spec=spec)
        self.had = set()

    def kill(self, member):
        """A pod runs out of memory."""
        pod = self.newest().get(member)
        if pod is not None and pod.phase == "Running" and not pod.deleting:
            self.end(pod.name, 137, reason="OOMKilled")

    def evict_newest(self, member):
        pod = self.newest().get(member)
        if pod is not None:
            self.evict(pod.name)

    def die(self, calls):
        self.calls = calls
        with contextlib.suppress(OperatorDiedError):
            self.settle()
        self.calls = None
        self.forget()

    def play(self, script):
        for name, *arguments in script:
            getattr(self, name)(*arguments)
            self.had |= self.pods.keys()
        self.settle()

    @property
    def suspended(self):
        return self.spec.get("suspend", False)

    @property
    def phase(self):
        return Phase(self.status["phase"])


@given(script=st.lists(st.one_of(steps, faults), max_size=40))
@settings(max_examples=200, deadline=None)
def test_it_comes_to_rest_as_the_spec_says_and_doing_it_again_changes_nothing(script):
    world = Toggled()
    world.play(script)
    before = len(world.created), len(world.written), len(world.told)
    world.settle()
    assert (len(world.created), len(world.written), len(world.told)) == before
    assert world.suspended == (world.phase is Phase.SUSPENDED) or world.phase.finished
    if world.suspended and not world.phase.finished:
        world.grace()
        world.settle()
        assert all(pod.finished for pod in world.pods.values())
        assert world.condition("Suspended")["status"] == "True"


@given(script=st.lists(st.one_of(steps, faults), max_size=40), after=st.lists(steps, max_size=10))
@settings(max_examples=150, deadline=None)
def test_no_pod_is_made_while_it_is_suspended_and_no_name_of_one_that_was_is_used_again(script, after):
    world = Toggled()
    world.play(script)
    world.suspend()
    world.settle()
    alive, made = set(world.pods), len(world.created)
    world.play([step for step in after if step != ("resume",)])
    world.grace()
    for pod in list(world.pods):
        world.vanish(pod)
    world.forget()
    world.settle()
    assert len(world.created) == made
    world.resume()
    world.tick(400)
    world.settle()
    assert set(world.created[made:]).isdisjoint(alive)
    if not world.phase.finished:
        assert len(world.created) == made + 3


@given(script=st.lists(st.one_of(steps, faults), max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_kind_world_resumes_it_and_brings_it_to_an_end(script):
    world = Toggled()
    world.play(script)
    world.resume()
    for _ in range(6):
        world.tick(301)
        world.grace()
        world.bring_up()
    world.succeed()
    world.settle()
    assert world.phase.finished


@given(
    script=st.lists(
        st.tuples(st.sampled_from(["crash", "kill"]), st.sampled_from(MEMBERS), st.booleans(), st.booleans()),
        max_size=8,
    )
)
@settings(max_examples=75, deadline=None)
def test_suspensions_cost_nothing_and_forget_nothing(script):
    """What counted before counts after; a resume makes one generation, which is free."""
    world = Toggled(failurePolicy={"backoffLimit": 100})
    world.bring_up()
    for truth, (fault, member, die, wait) in enumerate(script, 1):
        getattr(world, fault)(member)
        world.settle()
        world.suspend()
        if die:
            world.die(2)
        world.settle()
        if wait:
            world.grace()
            world.settle()
        world.forget()
        world.resume()
        world.tick(301)
        world.grace()
        world.bring_up()
        world.tick(301)
        world.bring_up()
        assert world.phase is Phase.RUNNING
        assert world.status["restarts"]["counted"] == truth


@given(script=st.lists(st.tuples(st.sampled_from([1, 7, 100]), st.sampled_from([1, 50]), st.booleans()), max_size=8))
@settings(max_examples=150, deadline=None)
def test_the_clock_is_the_time_in_which_it_was_not_suspended(script):
    world = Toggled()
    world.bring_up()
    active = 0
    for runs, rests, die in script:
        world.tick(runs)
        active += runs
        world.suspend()
        if die:
            world.die(1)
        world.settle()
        assert world.status["activeSeconds"] == active
        world.tick(rests)
        world.grace()
        world.settle()
        world.resume()
        world.bring_up()
        assert world.status["activeSeconds"] == active


@given(script=st.lists(st.one_of(steps, faults), max_size=30), after=st.lists(st.one_of(steps, faults), max_size=10))
@settings(max_examples=100, deadline=None)
def test_a_job_that_has_ended_is_never_run_again(script, after):
    world = Toggled()
    world.play(script)
    world.resume()
    world.tick(301)
    world.grace()
    world.bring_up()
    world.succeed()
    world.settle()
    if not world.phase.finished:
        return
    status, made = world.status, len(world.created)
    world.play(after)
    world.pods.clear()
    world.settle()
    assert (world.status, len(world.created)) == (status, made)
