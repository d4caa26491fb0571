"""A whole job in a simulation with a clock of its own: launchers, trainers, the network, and an operator.

The state machines are the real ones. Pods, connections, trainers, the operator's part and the time are played here.
What the simulation asserts by itself, at any time:

- a launcher has at most one trainer, and starts only generations above all that it has served;
- a member that has met a chief's successor hears nothing of that chief any more;
- a replaced chief that has heard of it forms nothing any more, and leaves; everybody finishes once;
- a gang that is not whole forms only when the operator has just said that its chief is the chief;
- who does not stop its trainer holds the others up for a bounded time;
- of two generations that are whole at once, one has a chief that was replaced;
- a checkpoint never goes back.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from tests.unit.launcher.machines import KILLED, NOISE, OK, SAVED, hello
from trainingjob_launcher import gang, member
from trainingjob_launcher.contract import Ledger, Policy
from trainingjob_launcher.messages import FAILED, SUCCEEDED, End, TrainerExit
from trainingjob_launcher.settings import Timings

TIMINGS = Timings()
STEP_SECONDS = 1.0
SAVE_EVERY = 5
Pair = tuple[int, int]


class Trainer:
    """One trainer process of a generation, `pair` = (chief's incarnation, number)."""

    def __init__(self, pair: Pair, cluster: tuple[str, ...]) -> None:
        self.pair = pair
        self.cluster = cluster
        self.asked = False
        self.frozen = False


class Process:
    """One pod: a launcher and its trainer. `group` is the part of a broken network that it is in."""

    def __init__(self, world: World, name: str, incarnation: int) -> None:
        self.world = world
        self.name = name
        self.incarnation = incarnation
        self.group = ""
        self.alive = True
        self.finish: Any = None
        self.trainer: Trainer | None = None
        self.served = 0
        self.kill_takes = 0.05
        self.links: dict[int, Process] = {}
        self.wake = float("inf")
        self.deleted = False

    def begin(self) -> None:
        raise NotImplementedError

    def feed(self, event: Any) -> None:
        raise NotImplementedError

    def lost(self, link: int, other: Process, why: str) -> None:
        raise NotImplementedError

    def exited(self, generation: int, end: TrainerExit) -> None:
        raise NotImplementedError

    def tick_at(self, when: float | None, tick: Any) -> None:
        if when is None or when >= self.wake:
            return
        self.wake = max(when, self.world.now)

        def fire() -> None:
            self.wake = float("inf")
            self.feed(tick)

        self.world.at(max(0.0, when - self.world.now), fire)

    # Trainers.

    def start(self, pair: Pair, cluster: tuple[str, ...]) -> None:
        assert self.trainer is None, "two trainers of one member"
        assert pair[1] > self.served, "generations only go up"
        self.served = pair[1]
        self.trainer = Trainer(pair, cluster)
        self.world.began(pair)

    def stop(self, graceful: bool) -> None:
        trainer = self.trainer
        if trainer is None:
            return
        if not graceful:
            self.world.at(self.kill_takes, lambda: self.ends(trainer, KILLED))
            return
        trainer.asked = True
        self.world.at(TIMINGS.grace, lambda: self.ends(trainer, KILLED))
        self.world.saves(trainer.pair)

    def ends(self, trainer: Trainer | None, end: TrainerExit) -> None:
        if trainer is None or self.trainer is not trainer or not self.alive:
            return
        self.trainer = None
        self.world.broke(trainer.pair, end)
        self.exited(trainer.pair[1], end)

    def dies(self) -> None:
        """The container is gone, without a word."""
        if not self.alive:
            return
        self.alive = False
        trainer, self.trainer = self.trainer, None
        if trainer is not None:
            self.world.broke(trainer.pair, KILLED)
        for link in list(self.links):
            self.world.cut(link, self, "closed")


class ChiefProcess(Process):
    def __init__(self, world: World, incarnation: int) -> None:
        super().__init__(world, gang.CHIEF, incarnation)
        self.settings = gang.Settings(world.members, TIMINGS, False, world.policy)
        self.told_replaced = False
        self.confirmed_at = float("-inf")
        self.state: gang.State = gang.Waiting(self.settings, {})
        self.pod_failures = world.pod_failures

    def begin(self) -> None:
        world = self.world
        own = hello(gang.CHIEF, self.incarnation, world.ledger, self.pod_failures)
        self.take(gang.begin(self.settings, own, world.now))
        self.beat()

    def beat(self) -> None:
        """Report each few seconds, as long as it lives."""
        if self.alive:
            self.report()
            self.world.at(3.0, self.beat)

    def feed(self, event: gang.Event) -> None:
        if self.alive:
            if isinstance(event, gang.Replaced) and not self.told_replaced:
                self.told_replaced = True
                self.world.at(TIMINGS.grace + TIMINGS.kill + 1, self.has_left)
            if isinstance(event, gang.Confirmed):
                self.confirmed_at = self.world.now
            self.take(gang.step(self.state, event, self.world.now))

    def has_left(self) -> None:
        assert self.finish is not None or not self.alive, "a replaced chief leaves"

    def has_cleared(self, generation: int) -> None:
        state = self.state
        if self.alive and isinstance(state, gang.Clearing) and state.generation == generation:
            assert gang.CHIEF in state.awaiting, "a member that does not stop holds the others up"

    def take(self, step: gang.Step) -> None:
        self.state, actions = step
        for action in actions:
            self.act(action)
        if self.alive:
            self.tick_at(gang.deadline(self.state), gang.Tick())

    def act(self, action: gang.Action) -> None:
        world = self.world
        if isinstance(action, gang.Announce):
            assert not self.told_replaced, "a replaced chief forms nothing"
            if len(action.addresses) < len(world.members):
                assert world.now - self.confirmed_at <= 5 * TIMINGS.confirm + 0.1, "fewer than all, and nobody asked"
            assert action.ledger.counted + world.pod_failures_at(self) <= world.policy.backoff_limit
            told = member.Announced(self.incarnation, action.generation, action.addresses, action.ledger)
            for name, peer in gang.peers_of(self.state).items():
                if name != gang.CHIEF:
                    self.send(peer.connection, told)
            self.start((self.incarnation, action.generation), tuple(name for name, _ in action.addresses))
            world.announced.append((self.incarnation, action.generation, action.ledger))
        elif isinstance(action, gang.StopGeneration):
            for connection in action.connections:
                self.send(connection, member.GenerationStopped(action.generation, action.graceful, action.ledger))
            wait = TIMINGS.ending + (TIMINGS.grace if action.graceful else 0.0) + 0.1
            world.at(wait, lambda: self.has_cleared(action.generation))
            self.stop(action.graceful)
        elif isinstance(action, gang.StopAll):
            for peer in gang.peers_of(self.state).values():
                self.send(peer.connection, member.Ended(End(action.outcome, action.failure)))
            self.stop(False)
        elif isinstance(action, gang.Refuse):
            self.send(action.connection, member.Refused(action.why))
        elif isinstance(action, gang.Drop):
            world.cut(action.connection, self, action.why)
        elif isinstance(action, gang.Confirm):
            world.at(0.05, self.report)
        elif isinstance(action, gang.Finish):
            self.finished(action)
        if isinstance(action, (gang.Announce, gang.StopGeneration, gang.Finish)):
            self.report()

    def finished(self, action: gang.Finish) -> None:
        assert self.finish is None, "a chief finishes once"
        self.finish = action
        self.report()
        self.world.at(0.1, self.dies)

    def send(self, link: int, event: member.Event) -> None:
        other = self.links.get(link)
        if isinstance(other, WorkerProcess):
            self.world.deliver(link, self, lambda: other.hear(self.incarnation, event))

    def lost(self, link: int, other: Process, why: str) -> None:
        self.feed(gang.MemberLost(other.name, link, why))

    def exited(self, generation: int, end: TrainerExit) -> None:
        self.feed(gang.TrainerExited(gang.CHIEF, generation, end))

    def report(self) -> None:
        """Post what is true now; the operator answers whether this is still the chief."""
        world = self.world
        if self.group or world.operator_away:
            return
        if world.newest(gang.CHIEF) is not self:
            world.at(0.05, lambda: self.feed(gang.Replaced("incarnation k was made")))
            return
        world.heard(self)
        generation = gang.generation_of(self.state)
        world.at(0.05, lambda: self.feed(gang.Confirmed(generation)))


class WorkerProcess(Process):
    def __init__(self, world: World, name: str, incarnation: int) -> None:
        super().__init__(world, name, incarnation)
        self.link: int | None = None
        self.met = 0
        self.pod_failures = world.pod_failures
        self.state, self.first = member.begin(name, TIMINGS, ledger=world.ledger)

    def begin(self) -> None:
        for action in self.first:
            self.act(action)

    def hear(self, chief: int, event: member.Event) -> None:
        """Take what a chief says; once its successor was met it must change nothing."""
        before = self.state
        self.feed(event)
        assert chief >= self.met or self.state == before, "a replaced chief is heard"

    def feed(self, event: member.Event) -> None:
        if not self.alive:
            return
        if isinstance(event, member.Connected):
            self.met = max(self.met, event.chief_incarnation)
        self.state, actions = member.step(self.state, event, self.world.now)
        for action in actions:
            self.act(action)
        if self.alive:
            self.tick_at(member.deadline(self.state), member.Tick())

    def act(self, action: member.Action) -> None:
        world = self.world
        if isinstance(action, member.Connect):
            world.at(action.delay + 0.1, self.connect)
        elif isinstance(action, member.Disconnect):
            if self.link is not None:
                world.cut(self.link, self, action.why)
        elif isinstance(action, member.Start):
            pair = (action.chief_incarnation, action.generation)
            self.start(pair, tuple(name for name, _ in action.addresses))
        elif isinstance(action, member.Stop):
            self.stop(action.graceful)
        elif isinstance(action, member.TellExit):
            link = self.link or 0
            event: gang.Event = gang.TrainerExited(self.name, action.generation, action.end, link)
            self.send(event)
        elif isinstance(action, member.TellTerminating):
            self.send(gang.MemberTerminating(self.name, self.link or 0))
        elif isinstance(action, member.TellLost):
            if not self.group and not world.operator_away:
                world.chief_lost(action.chief_incarnation)
        elif isinstance(action, member.Finish):
            assert self.finish is None, "a member finishes once"
            self.finish = action
            world.at(0.1, self.dies)

    def send(self, event: gang.Event) -> None:
        if self.link is not None and self.link in self.links:
            other = self.links[self.link]
            self.world.deliver(self.link, self, lambda: other.feed(event))

    def connect(self) -> None:
        """Look for the chief: under its name an old one may be found for a while."""
        world = self.world
        if not self.alive or self.link is not None or self.finish is not None:
            return
        chief = world.resolve(self)
        if chief is None:
            world.at(0.7, self.connect)
            return
        link = self.link = world.connect(self, chief)
        said = hello(self.name, self.incarnation, member.ledger_of(self.state), self.pod_failures)
        world.deliver(link, chief, lambda: self.feed(member.Connected(chief.incarnation)))
        world.deliver(link, self, lambda: chief.feed(gang.MemberJoined(said, link)))

    def lost(self, link: int, other: Process, why: str) -> None:
        if self.link == link:
            self.link = None
            self.feed(member.Disconnected(why))

    def exited(self, generation: int, end: TrainerExit) -> None:
        self.feed(member.TrainerExited(generation, end))


class World:
    """`total` are the steps of the training. `quota` is how many pods of one member there are, at most."""

    def __init__(self, workers: int, policy: Policy, seed: int, total: int = 60, quota: int = 50) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.numbers = itertools.count(1)
        self.policy = policy
        self.members = gang.expected_members(workers)
        self.total = total
        self.quota = quota
        self.operator_away = False
        self.stale_names = False
        # What the operator knows.
        self.ledger = Ledger()
        self.pod_failures = 0
        self.over: str | None = None
        self.missed: dict[str, float] = {}
        self.lost_since: float | None = None
        self.reported_at = 0.0
        self.gone_at: dict[str, float] = {}
        self.pods: dict[str, list[Process]] = {name: [] for name in self.members}
        # The training.
        self.ends: dict[int, tuple[Process, Process, dict[str, float]]] = {}
        self.step_of: dict[Pair, int] = {}
        self.saved = 0
        self.fence: Pair = (0, 0)
        self.announced: list[tuple[int, int, Ledger]] = []
        self.steps_made: list[tuple[float, Pair, int]] = []
        for name in self.members:
            self.at(self.random.uniform(0, 3), lambda name=name: self.create(name))
        self.at(1.0, self.operate)

    def at(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.order), call))

    def run(self, until: float) -> None:
        while self.queue and self.now <= until and not (self.over and not self.living()):
            self.now, _, call = heapq.heappop(self.queue)
            call()

    # Pods and the operator.

    def create(self, name: str) -> None:
        if self.over is None and len(self.pods[name]) < self.quota:
            number = len(self.pods[name]) + 1
            if name == gang.CHIEF:
                self.missed, self.lost_since = {}, None
            pod = ChiefProcess(self, number) if name == gang.CHIEF else WorkerProcess(self, name, number)
            self.pods[name].append(pod)
            pod.begin()

    def newest(self, name: str) -> Process | None:
        return self.pods[name][-1] if self.pods[name] else None

    def living(self) -> list[Process]:
        return [pod for pods in self.pods.values() for pod in pods if pod.alive]

    def pod_failures_at(self, chief: ChiefProcess) -> int:
        """What this chief must know at the least: the tally when its own pod was made."""
        return chief.pod_failures

    def heard(self, chief: ChiefProcess) -> None:
        self.ledger = self.ledger.newest(gang.ledger_of(chief.state))
        self.reported_at = self.now
        self.lost_since = None
        names = gang.unreachable(chief.state)
        self.missed = {name: self.missed.get(name, self.now) for name in names}
        if chief.finish is not None and chief.finish.outcome in (SUCCEEDED, FAILED):
            self.over = self.over or chief.finish.outcome

    def chief_lost(self, incarnation: int) -> None:
        chief = self.newest(gang.CHIEF)
        if chief is not None and chief.incarnation == incarnation and self.now - self.reported_at > 5.0:
            self.lost_since = self.now if self.lost_since is None else self.lost_since

    def operate(self) -> None:
        """What the operator does each second, while it is there."""
        if not self.operator_away:
            for name in self.members:
                self.look(name)
            if self.over:  # what still runs is cleaned up after a while
                for pod in self.living():
                    self.at(100.0, pod.dies)
                return
        self.at(1.0, self.operate)

    def look(self, name: str) -> None:
        pod = self.newest(name)
        if pod is None:
            return
        if not pod.alive and not pod.group:
            if name not in self.gone_at:
                self.gone_at[name] = self.now
                self.judge(pod)
            elif self.now - self.gone_at[name] >= 2.0:
                del self.gone_at[name]
                self.create(name)
            return
        lost = self.lost_since if name == gang.CHIEF else self.missed.get(name)
        if lost is not None and self.now - lost >= 10.0 and not (pod.alive and not pod.group and name != gang.CHIEF):
            self.missed.pop(name, None)
            self.create(name)

    def judge(self, pod: Process) -> None:
        """Count what ended without a launcher's word: a container that just died. A chief's word is read."""
        if isinstance(pod, ChiefProcess) and pod.finish is not None:
            self.ledger = self.ledger.newest(gang.ledger_of(pod.state))
        if pod.finish is None and not pod.deleted:
            self.pod_failures += 1
            if self.ledger.counted + self.pod_failures > self.policy.backoff_limit:
                self.over = FAILED
                for other in self.living():
                    self.at(0.5, other.dies)

    # The network.

    def resolve(self, worker: Process) -> Process | None:
        chiefs = [pod for pod in self.pods[gang.CHIEF] if self.reaches(worker, pod)]
        chiefs = [pod for pod in chiefs if pod.alive and pod.finish is None]
        if not chiefs:
            return None
        if self.stale_names and self.random.random() < 0.3:
            return self.random.choice(chiefs)
        return chiefs[-1] if chiefs[-1] is self.newest(gang.CHIEF) or worker.group else None

    def reaches(self, one: Process, other: Process) -> bool:
        return one.group == other.group

    def connect(self, worker: Process, chief: Process) -> int:
        link = next(self.numbers)
        self.ends[link] = (worker, chief, {worker.name: 0.0, chief.name: 0.0})
        worker.links[link], chief.links[link] = chief, worker
        return link

    def deliver(self, link: int, sender: Process, call: Callable[[], None]) -> None:
        """Deliver in order, after a while; never over a connection that was closed, or through a broken network."""
        if link not in self.ends:
            return
        worker, chief, last = self.ends[link]
        when = max(last[sender.name], self.now + self.random.uniform(0.001, 0.1))
        last[sender.name] = when + 1e-6
        other = chief if sender is worker else worker

        def arrive() -> None:
            if link in other.links and self.reaches(worker, chief):
                call()

        self.at(when - self.now, arrive)

    def cut(self, link: int, by: Process, why: str) -> None:
        """One side closes: the other hears of it after what was sent; or only by the silence."""
        if link not in self.ends:
            return
        worker, chief, _ = self.ends[link]
        other = chief if by is worker else worker
        quiet = not self.reaches(worker, chief)
        by.links.pop(link, None)
        self.at(0.0, lambda: by.lost(link, other, why))
        self.at(TIMINGS.silence if quiet else 0.11, lambda: self.notice(link, other, by, why))

    def notice(self, link: int, process: Process, other: Process, why: str) -> None:
        if process.links.pop(link, None) is not None:
            process.lost(link, other, why)

    def break_link(self, link: int) -> None:
        if link in self.ends:
            worker, chief, _ = self.ends[link]
            self.at(self.random.uniform(0, 0.3), lambda: self.notice(link, worker, chief, "broken"))
            self.at(self.random.uniform(0, 0.3), lambda: self.notice(link, chief, worker, "broken"))

    def part(self, processes: list[Process], seconds: float) -> None:
        """Cut some pods off from all others, and from the operator."""
        label = f"part-{next(self.numbers)}"
        for process in processes:
            process.group = label
        for link, (worker, chief, _) in self.ends.items():
            if (link in worker.links or link in chief.links) and not self.reaches(worker, chief):
                for one, other in ((worker, chief), (chief, worker)):
                    delay = TIMINGS.silence + self.random.uniform(-1, 0)
                    self.at(delay, lambda one=one, other=other, link=link: self.notice(link, one, other, "silent"))
        touched = {process.trainer.pair for process in processes if process.trainer is not None}
        for pair in touched:
            self.at(0.0, lambda pair=pair: self.echo(pair, 2.0))

        def heal() -> None:
            for process in processes:
                if process.group == label:
                    process.group = ""

        self.at(seconds, heal)

    # The training.

    def of(self, pair: Pair) -> dict[str, Process]:
        """Return who runs a trainer of a generation."""
        living = [pod for pods in self.pods.values() for pod in pods if pod.alive]
        return {pod.name: pod for pod in living if pod.trainer is not None and pod.trainer.pair == pair}

    def whole(self, pair: Pair) -> bool:
        found = self.of(pair)
        trainers = [pod.trainer for pod in found.values() if pod.trainer is not None]
        if not trainers or set(trainers[0].cluster) != set(found):
            return False
        return len({pod.group for pod in found.values()}) == 1 and not any(t.frozen for t in trainers)

    def began(self, pair: Pair) -> None:
        if pair in self.step_of:
            return
        self.step_of[pair] = -1
        self.at(2 * STEP_SECONDS, lambda: self.train(pair))

    def train(self, pair: Pair) -> None:
        """Make a step, if all are there; begin where the checkpoint is."""
        found = self.of(pair)
        if not found:
            return
        if self.whole(pair):
            current = self.newest(gang.CHIEF)
            for other in self.step_of:
                if other != pair and self.whole(other):
                    stale = min(pair, other)
                    assert current is not None
                    assert stale[0] < current.incarnation, "two generations at once"
            if self.step_of[pair] < 0:
                self.step_of[pair] = self.saved
                self.fence = max(self.fence, pair)
            self.made(pair, self.step_of[pair] + 1, found)
        self.at(STEP_SECONDS, lambda: self.train(pair))

    def made(self, pair: Pair, step: int, found: dict[str, Process]) -> None:
        chief = found[gang.CHIEF]
        if step <= self.total:
            self.step_of[pair] = step
            self.steps_made.append((self.now, pair, step))
            chief.feed(gang.Progressed(pair[1], step, self.total))
            if step % SAVE_EVERY == 0:
                self.save(pair)
        if step >= self.total:
            self.save(pair)
            chief.ends(chief.trainer, OK)
            for name, pod in found.items():
                if name != gang.CHIEF:
                    trainer = pod.trainer
                    self.at(self.random.uniform(0, 1), lambda pod=pod, trainer=trainer: pod.ends(trainer, OK))

    def save(self, pair: Pair) -> None:
        if pair < self.fence:
            return  # FencedError
        assert self.step_of[pair] >= self.saved or pair[0] == 0, "a checkpoint goes back"
        self.saved = max(self.saved, self.step_of[pair])

    def saves(self, pair: Pair) -> None:
        """All were asked to stop: they save together, and end."""
        found = self.of(pair)
        if not self.whole(pair) or not all(pod.trainer is not None and pod.trainer.asked for pod in found.values()):
            return
        trainers = [(pod, pod.trainer) for pod in found.values()]

        def done() -> None:
            if all(pod.trainer is trainer and pod.alive for pod, trainer in trainers) and self.whole(pair):
                if self.step_of[pair] >= 0:
                    self.save(pair)
                for pod, trainer in trainers:
                    self.at(self.random.uniform(0, 0.3), lambda pod=pod, t=trainer: pod.ends(t, SAVED))

        self.at(0.5, done)

    def broke(self, pair: Pair, end: TrainerExit) -> None:
        if end.code not in (0, SAVED.code):
            self.echo(pair, 0.0)

    def echo(self, pair: Pair, delay: float) -> None:
        for pod in self.of(pair).values():
            trainer = pod.trainer
            if trainer is not None and not trainer.frozen and len(trainer.cluster) > 1:
                wait = delay + self.random.uniform(0.1, 4.0)
                self.at(wait, lambda pod=pod, trainer=trainer: pod.ends(trainer, NOISE))

    # Harm.

    def hurt(self, name: str, how: str, end: TrainerExit = KILLED, seconds: float = 20.0) -> bool:
        """Do harm to the newest pod of a member; return whether there was anything to harm."""
        pod = self.newest(name)
        if pod is None or not pod.alive or self.over:
            return False
        if how == "exit":
            hit = pod.trainer is not None
            pod.ends(pod.trainer, end)
            return hit
        if how == "crash":
            pod.dies()
        elif how == "delete":
            pod.deleted = True
            pod.dies()
        elif how == "terminate":
            pod.feed(gang.Terminate() if name == gang.CHIEF else member.Terminate())
            self.at(30.0, lambda: (setattr(pod, "deleted", True), pod.dies()))
        elif how == "cut":
            for link in list(pod.links):
                self.break_link(link)
        elif how == "freeze":
            if pod.trainer is not None:
                trainer = pod.trainer
                trainer.frozen = True
                self.at(3.0, lambda: pod.ends(trainer, TrainerExit(137, 9, "TrainerFrozen", "frozen")))
        elif how == "slow":
            pod.kill_takes = seconds
        elif how == "part":
            self.part([pod], seconds)
        elif how == "part with chief":
            chief = self.newest(gang.CHIEF)
            self.part([pod, *([chief] if chief is not None and chief is not pod and chief.alive else [])], seconds)
        elif how == "crash unseen":  # what the last chief knew only its members can tell the next
            self.operator_away = True
            self.at(seconds, lambda: setattr(self, "operator_away", False))
            self.at(seconds - 0.5, lambda: self.hurt(gang.CHIEF, "delete"))
        elif how == "operator away":
            self.operator_away = True
            self.at(seconds, lambda: setattr(self, "operator_away", False))
        return True
