"""Properties of chief and members together: a whole gang in a simulation with a clock of its own.

Machines are the real ones; the network, the trainers and the time are played here, driven by hypothesis.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.launcher.machines import BUG, KILLED, NOISE, OK, hello
from trainingjob_launcher import gang, member
from trainingjob_launcher.gang import EVALUATOR
from trainingjob_launcher.messages import FAILED, SUCCEEDED, End, TrainerExit
from trainingjob_launcher.settings import Timings

TIMINGS = Timings()
HORIZON = 400.0


class Simulation:
    """A chief, its workers and, if there is one, its evaluator, which to the simulation is a worker as well.

    `culprit` is the member whose trainer or launcher was hurt first; the evaluator's troubles count for nothing.
    """

    def __init__(self, workers: int, echo_delay: float, evaluator: bool = False) -> None:
        self.now = 0.0
        self.queue: list[tuple[float, int, Any]] = []
        self.order = itertools.count()
        self.connections = itertools.count(1)
        self.echo_delay = echo_delay
        self.members = gang.expected_members(workers)
        self.names = (*self.members, *((EVALUATOR,) if evaluator else ()))
        self.trainers: dict[str, int] = {}  # member -> generation of the trainer that runs
        self.ever: dict[str, list[int]] = {name: [] for name in self.names}
        self.links: dict[str, int] = {}  # worker -> its connection now
        self.dead: set[str] = set()  # launchers that are gone
        self.finished: dict[str, Any] = {}
        self.culprit: str | None = None
        self.verdict: gang.StopAll | None = None
        self.chief, actions = gang.begin(gang.Settings(self.members, TIMINGS, evaluator), hello("chief-0"))
        self.workers: dict[str, member.State] = {}
        self.verdict_at = 0.0
        self.ended_at: dict[str, float] = {}
        self.do_chief(actions)

    def at(self, delay: float, call: Any) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.order), call))

    def run(self) -> None:
        while self.queue and self.now <= HORIZON:
            self.now, _, call = heapq.heappop(self.queue)
            call()

    # The chief's side.

    def chief_on(self, event: gang.Event) -> None:
        if "chief-0" in self.dead:
            return
        self.chief, actions = gang.step(self.chief, event, self.now)
        self.do_chief(actions)
        wake = gang.deadline(self.chief)
        if wake is not None:
            self.at(max(0.0, wake - self.now), lambda: self.chief_on(gang.Tick()))

    def do_chief(self, actions: tuple[gang.Action, ...]) -> None:
        for action in actions:
            if isinstance(action, gang.Announce):
                self.start("chief-0", action.generation)
                for name, peer in gang.peers_of(self.chief).items():
                    self.to_worker(name, peer.connection, member.Announced(1, action.generation, action.addresses))
            elif isinstance(action, (gang.Admit, gang.Dismiss)):
                assert self.verdict is None, "nobody is let in or sent away after the end"
                if isinstance(action, gang.Admit):
                    told: member.Event = member.Announced(1, action.generation, action.addresses)
                else:
                    told = member.Ended(End(FAILED, action.failure))
                self.to_worker(EVALUATOR, action.connection, told)
            elif isinstance(action, gang.StopAll):
                assert self.verdict is None, "the end is announced once"
                self.verdict, self.verdict_at = action, self.now
                for name, peer in gang.peers_of(self.chief).items():
                    self.to_worker(name, peer.connection, member.Ended(End(action.outcome, action.failure)))
                self.stop("chief-0")
            elif isinstance(action, gang.Finish):
                assert "chief-0" not in self.finished, "the chief finishes once"
                self.finished["chief-0"] = action
                self.leave()
            else:
                name = next((n for n, link in self.links.items() if link == action.connection), "")
                self.to_worker(name, action.connection, member.Refused(action.why))

    def to_worker(self, name: str, connection: int, event: member.Event) -> None:
        def deliver() -> None:
            if self.links.get(name) == connection:
                self.worker_on(name, event)

        if name != "chief-0":
            self.at(0.01, deliver)

    # The workers' side.

    def begin_worker(self, name: str) -> None:
        if name not in self.workers:
            self.workers[name], actions = member.begin(name, TIMINGS, guest=name == EVALUATOR)
            self.do_worker(name, actions)

    def worker_on(self, name: str, event: member.Event) -> None:
        if name in self.dead or name not in self.workers:
            return
        self.workers[name], actions = member.step(self.workers[name], event, self.now)
        self.do_worker(name, actions)
        wake = member.deadline(self.workers[name])
        if wake is not None:
            self.at(max(0.0, wake - self.now), lambda: self.worker_on(name, member.Tick()))

    def do_worker(self, name: str, actions: tuple[member.Action, ...]) -> None:
        for action in actions:
            if isinstance(action, member.Connect):
                self.at(0.05, lambda: self.connect(name))
            elif isinstance(action, member.Disconnect):
                self.cut(name, action.why)
            elif isinstance(action, member.Start):
                self.start(name, action.generation)
            elif isinstance(action, member.Stop):
                self.stop(name)
            elif isinstance(action, member.TellExit):
                event = gang.TrainerExited(name, action.generation, action.end, self.links.get(name, 0))
                self.at(0.01, lambda event=event: self.chief_on(event))
            elif isinstance(action, member.TellTerminating):
                lost = gang.MemberLost(name, self.links.get(name, 0), "terminating", "Terminated")
                self.at(0.01, lambda lost=lost: self.chief_on(lost))
            else:
                assert name not in self.finished, "a member finishes once"
                self.finished[name] = action
                self.vanish(name)

    def connect(self, name: str) -> None:
        if name in self.dead or name in self.links or not isinstance(self.workers[name], member.Connecting):
            return
        if "chief-0" in self.dead:
            self.at(1.0, lambda: self.connect(name))
            return
        link = self.links[name] = next(self.connections)
        self.worker_on(name, member.Connected())
        self.chief_on(gang.MemberJoined(hello(name), link))

    def cut(self, name: str, why: str = "cut") -> None:
        link = self.links.pop(name, None)
        if link is None:
            return
        self.at(0.02, lambda: self.chief_on(gang.MemberLost(name, link, why)))
        self.at(0.02, lambda: self.worker_on(name, member.Disconnected(why)))

    def leave(self) -> None:
        """The chief's launcher ends: what it has sent arrives before its connections close."""
        self.dead.add("chief-0")
        self.trainers.pop("chief-0", None)
        for worker, link in list(self.links.items()):
            self.at(0.02, lambda worker=worker, link=link: self.links.get(worker) == link and self.cut(worker))

    def vanish(self, name: str) -> None:
        """The launcher is gone, and with it (process 1) its trainer."""
        self.dead.add(name)
        self.trainers.pop(name, None)
        for worker in list(self.links) if name == "chief-0" else [name]:
            self.cut(worker)

    # Trainers.

    def start(self, name: str, generation: int) -> None:
        assert name not in self.trainers, "two trainers of one member"
        assert all(other == generation for other in self.trainers.values()), "two generations at once"
        self.trainers[name] = generation
        self.ever[name].append(generation)

    def stop(self, name: str) -> None:
        self.at(0.02, lambda: self.trainer_ends(name, KILLED, echo=False))

    def trainer_ends(self, name: str, end: TrainerExit, echo: bool = True) -> None:
        generation = self.trainers.pop(name, None)
        if generation is None or name in self.dead:
            return
        self.ended_at[name] = self.now
        if name == "chief-0":
            self.chief_on(gang.TrainerExited(name, generation, end))
        else:
            self.worker_on(name, member.TrainerExited(generation, end))
        if end.code and echo and name != EVALUATOR:
            for number, other in enumerate(sorted(set(self.trainers) - {EVALUATOR})):
                self.at(self.echo_delay + 0.3 * number, lambda other=other: self.trainer_ends(other, NOISE, False))

    def hurt(self, name: str, how: str) -> None:
        runs = name in self.trainers
        if name == EVALUATOR:
            pass
        elif self.culprit is None and runs and self.verdict is None and how != "twice":
            self.culprit = name
        if how in ("bug", "oom"):
            self.trainer_ends(name, BUG if how == "bug" else KILLED)
        elif how == "crash":
            self.vanish(name)
            for other in sorted(set(self.trainers) - {EVALUATOR}) if name != EVALUATOR else ():
                self.at(self.echo_delay, lambda other=other: self.trainer_ends(other, NOISE, False))
        elif how == "cut" and name != "chief-0":
            self.cut(name)
        elif how == "terminate":
            if name == "chief-0":
                self.chief_on(gang.Terminate())
            else:
                self.worker_on(name, member.Terminate())
        elif how == "twice":
            self.chief_on(gang.TrainerExited(name, 0, BUG))
            if name in self.links:
                peer = gang.peers_of(self.chief).get(name)
                if peer is not None:
                    self.chief_on(peer)


HARM = ["bug", "oom", "crash", "cut", "terminate", "twice"]


@dataclasses.dataclass(frozen=True)
class Plan:
    workers: int
    arrivals: list[float]
    harms: list[tuple[float, int, str]]
    ends: list[float]
    echo_delay: float
    #: Whether there is an evaluator: the last of the arrivals and ends is then its own.
    evaluator: bool = False


def _plans(workers: int, evaluator: bool) -> st.SearchStrategy[Plan]:
    others = workers + evaluator
    return st.builds(
        Plan,
        st.just(workers),
        st.lists(st.floats(0, 20), min_size=others, max_size=others),
        st.lists(st.tuples(st.floats(0, 90), st.integers(0, others), st.sampled_from(HARM)), max_size=4),
        st.lists(st.floats(40, 120), min_size=others + 1, max_size=others + 1),
        st.floats(0.1, 3.0),
        st.just(evaluator),
    )


plans = st.tuples(st.integers(0, 4), st.booleans()).flatmap(lambda size: _plans(*size))


def played(plan: Plan) -> Simulation:
    simulation = Simulation(plan.workers, plan.echo_delay, plan.evaluator)
    for name, delay in zip(simulation.names[1:], plan.arrivals, strict=True):
        simulation.at(delay, lambda name=name: simulation.begin_worker(name))
    for when, who, how in plan.harms:
        simulation.at(when, lambda who=who, how=how: simulation.hurt(simulation.names[who], how))
    for name, when in zip(simulation.names, plan.ends, strict=True):
        simulation.at(when, lambda name=name: simulation.trainer_ends(name, OK))
    simulation.run()
    return simulation


@settings(max_examples=500, deadline=None)
@given(plans)
def test_every_schedule_comes_to_an_end_or_waits_for_a_member(plan: Plan) -> None:
    simulation = played(plan)  # start() and do_chief() assert: never two generations, one verdict, one finish
    for name in simulation.names:
        if name in simulation.finished or name in simulation.dead:
            assert name not in simulation.trainers, "no trainer outlives its launcher"
        elif name == "chief-0":
            assert gang.missing(simulation.chief), "a chief that is still there waits for somebody"
        elif name in simulation.workers:
            state = simulation.workers[name]
            early = isinstance(state, member.Connecting) and state.by is None  # has never had a chief
            waits = isinstance(state, member.Waiting) and isinstance(simulation.chief, gang.Waiting)
            assert early or waits, state
    assert all(len(ever) <= 1 for name, ever in simulation.ever.items() if name != EVALUATOR)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.sampled_from(["bug", "oom", "crash", "cut", "terminate"]),
    st.floats(0.1, 5.5),
    st.floats(1, 30),
)
def test_the_first_cause_is_found(size: tuple[int, int], how: str, echo_delay: float, when: float) -> None:
    workers, who = size
    if who == 0 and how in ("crash", "cut"):
        return  # with the chief gone nobody judges: the operator sees its pod
    simulation = played(Plan(workers, [0.0] * workers, [(when, who, how)], [200.0] * (workers + 1), echo_delay))
    assert simulation.verdict is not None
    assert simulation.verdict.failure is not None
    assert simulation.verdict.failure.member == simulation.culprit == simulation.names[who]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 4), st.data())
def test_a_gang_that_nobody_hurts_succeeds_everywhere(workers: int, data: st.DataObject) -> None:
    ends = data.draw(st.lists(st.floats(40, 60), min_size=workers + 1, max_size=workers + 1))
    simulation = played(Plan(workers, [1.0] * workers, [], ends, 1.0))
    assert isinstance(simulation.chief, gang.Done)
    assert {finish.outcome for finish in simulation.finished.values()} == {SUCCEEDED}
    assert all(simulation.finished[name].code == 0 for name in simulation.names[1:])


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 3).flatmap(lambda workers: _plans(workers, True)))
def test_an_evaluator_changes_nothing_for_the_gang(plan: Plan) -> None:
    """Whatever happens to it, and if it never comes: how a gang ends, when and why, is as without it.

    But for one: a gang that has ended well may wait for the evaluator, and that wait is bounded.
    """
    workers = plan.workers
    harms = [harm for harm in plan.harms if harm[1] <= workers]
    ends, arrivals = plan.ends[: workers + 1], plan.arrivals[:workers]
    without = played(dataclasses.replace(plan, arrivals=arrivals, harms=harms, ends=ends, evaluator=False))
    watched = played(plan)
    if without.verdict is None:
        assert watched.verdict is None
        return
    if without.verdict.outcome == SUCCEEDED and any(when >= without.verdict_at for when, _, _ in harms):
        return  # what hurts a gang in the meantime counts
    assert watched.verdict is not None
    assert (watched.verdict.outcome, watched.verdict.failure) == (without.verdict.outcome, without.verdict.failure)
    longest = without.verdict_at
    if without.verdict.outcome == SUCCEEDED:
        longest = max(longest, without.ended_at["chief-0"] + TIMINGS.evaluate)
    assert without.verdict_at <= watched.verdict_at <= longest + 0.01


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.floats(0, 38), st.floats(0, 50), st.data())
def test_an_evaluator_that_is_left_in_peace_says_its_last_word_before_the_end(
    workers: int, arrival: float, longer: float, data: st.DataObject
) -> None:
    ends = data.draw(st.lists(st.floats(40, 45), min_size=workers + 1, max_size=workers + 1))
    cuts = data.draw(st.lists(st.floats(1, 30), max_size=2))
    harms = [(when, workers + 1, "cut") for when in cuts]
    simulation = played(Plan(workers, [1.0] * workers + [arrival], harms, [*ends, max(ends) + longer], 1.0, True))
    assert simulation.finished[EVALUATOR].code == 0
    assert simulation.verdict_at >= simulation.ended_at[EVALUATOR]


CHIEF_EVENTS = st.one_of(
    st.builds(
        gang.MemberJoined,
        st.builds(
            hello, st.sampled_from(["worker-0", "worker-1", "worker-7", "chief-0", EVALUATOR]), st.integers(1, 3)
        ),
        st.integers(1, 6),
    ),
    st.builds(
        gang.MemberLost,
        st.sampled_from(["worker-0", "worker-1", "chief-0", EVALUATOR]),
        st.integers(0, 6),
        st.just("x"),
    ),
    st.builds(
        gang.TrainerExited,
        st.sampled_from(["chief-0", "worker-0", "worker-1", "worker-7", EVALUATOR]),
        st.integers(0, 2),
        st.sampled_from([OK, BUG, NOISE, KILLED]),
        st.integers(0, 6),
    ),
    st.just(gang.Tick()),
    st.just(gang.Terminate()),
)
MEMBER_EVENTS = st.one_of(
    st.sampled_from([member.Connected(), member.Disconnected("x"), member.Refused("x"), member.Tick()]),
    st.just(member.Terminate()),
    st.builds(member.Announced, st.integers(0, 2), st.integers(0, 3), st.just((("chief-0", "a:1"),))),
    st.builds(member.Ended, st.builds(End, st.sampled_from(["Succeeded", "Failed", "Terminated"]))),
    st.builds(member.TrainerExited, st.integers(0, 3), st.sampled_from([OK, BUG, NOISE, KILLED])),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(CHIEF_EVENTS, st.floats(0, 30)), max_size=25), st.integers(0, 2), st.booleans())
def test_the_chief_takes_any_event_in_any_state(
    events: list[tuple[gang.Event, float]], workers: int, evaluator: bool
) -> None:
    state, actions = gang.begin(gang.Settings(gang.expected_members(workers), TIMINGS, evaluator), hello("chief-0"))
    done = list(actions)
    now = 0.0
    for event, pause in events:
        now += pause
        state, actions = gang.step(state, event, now)
        done += actions
        if not isinstance(event, gang.Tick):  # said twice, an event does nothing more
            again, more = gang.step(state, event, now)
            assert again == state
            assert all(isinstance(action, gang.Refuse) for action in more)
    for _ in range(3):  # with time alone it comes to an end, unless a member is missing or a trainer runs
        now += 1000.0
        state, actions = gang.step(state, gang.Tick(), now)
        done += actions
    assert isinstance(state, (gang.Waiting, gang.Done, gang.Failed)) or _somebody_runs(state)
    assert sum(isinstance(action, gang.Announce) for action in done) <= 1
    assert sum(isinstance(action, gang.Finish) for action in done) <= 1


def _somebody_runs(state: gang.State) -> bool:
    assert isinstance(state, gang.Running)
    return gang.deadline(state) is None and "chief-0" not in state.exits


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(MEMBER_EVENTS, st.floats(0, 30)), max_size=25), st.booleans())
def test_a_member_takes_any_event_in_any_state(events: list[tuple[member.Event, float]], guest: bool) -> None:
    state, _ = member.begin("evaluator-0" if guest else "worker-0", TIMINGS, guest)
    now, alive, fence, finished = 0.0, 0, (0, 0), 0
    for event, pause in events:
        now += pause
        if isinstance(event, member.TrainerExited) and isinstance(state, member.Done):
            continue
        before = state
        state, actions = member.step(state, event, now)
        if isinstance(event, member.TrainerExited) and not isinstance(before, member.Done):
            alive -= before.common.alive == event.generation
        for action in actions:
            if isinstance(action, member.Start):
                assert alive == 0, "a trainer starts only when the last one is gone"
                alive += 1
                assert not isinstance(state, member.Done)
                assert state.common.fence > fence or (guest and state.common.fence == fence), "generations only go up"
                fence = state.common.fence
            finished += isinstance(action, member.Finish)
    assert finished <= 1
    if isinstance(state, member.Ending) or (isinstance(state, member.Connecting) and state.by is not None):
        for _ in range(2):
            now += 1000.0
            state, actions = member.step(state, member.Tick(), now)
            finished += sum(isinstance(action, member.Finish) for action in actions)
        assert isinstance(state, member.Done)
        assert finished == 1
