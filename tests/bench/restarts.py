"""How fast a gang is back: 1 chief + 1 worker, small CNN, real launchers and trainers on this machine, no cluster.

`cold` and `warm`: from SIGKILL of a trainer, the chief's and the worker's in turns, to the end of the next step.
`frozen`: from SIGSTOP of a trainer or of a launcher until somebody has noticed. `standby`: what the process that waits
for the next restart costs the training beside it.
"""

from __future__ import annotations

import itertools
import signal
import statistics
import time
from collections.abc import Callable, Iterator

from tests.bench.gangs import (
    MEMBERS,
    Gang,
    Line,
    children,
    cpu_ticks,
    has_tensorflow,
    is_alive,
    kill,
    memory_of,
    running,
)
from tests.bench.pairs import Finding, Result, Target
from tests.bench.samples import Sample
from trainingjob_launcher.policy import Policy

COLD_SECONDS, WARM_SECONDS, FROZEN_SECONDS = 8.0, 2.5, 6.0
#: Restarts for each pair that is asked for.
RESTARTS = 2
#: Between two faults: steps that the job has never done before, so that no restart is held back.
STEPS_BETWEEN = 60
#: How long a standby may take until it waits, at the lowest priority beside a training that takes all processors.
STANDBY_SECONDS = 180.0
#: A speed is measured over so long.
BLOCK_SECONDS = 6.0
#: Far more than there will be: nothing but the faults is measured.
PLENTY = 1_000_000

Say = Callable[[str], None]


def cold(count: int, say: Say) -> list[Finding]:
    """Restarts without a standby."""
    return [_restarts("restart, cold", COLD_SECONDS, count * RESTARTS, say, warm=False)]


def warm(count: int, say: Say) -> list[Finding]:
    """Restarts with a standby that is ready."""
    return [_restarts("restart, warm standby", WARM_SECONDS, count * RESTARTS, say, warm=True)]


def _restarts(name: str, limit: float, count: int, say: Say, *, warm: bool) -> Sample:
    sample = Sample(name, "s", limit, [])
    formed: list[float] = []
    repeated: list[int] = []
    with running(_policy(warm=warm)) as gang:
        trainers = gang.trainers()
        for victim in itertools.islice(itertools.cycle(MEMBERS), count):
            gang.train_for(STEPS_BETWEEN)
            if warm:
                standbys(gang)
            known, last = gang.known, gang.best
            began = time.monotonic()
            kill(trainers[victim], signal.SIGKILL)
            first = gang.first_step(known, f"a step after the trainer of {victim} was killed")
            sample.values.append(first.seconds - began)
            formed.append(_formed_after(gang, began) - began)
            repeated.append(max(0, last - first.start))
            say(f"{victim} killed: a step {sample.values[-1]:.2f} s later, the gang formed after {formed[-1]:.2f} s")
            trainers = gang.trainers(known)
    sample.notes = {
        "s until the next generation was formed": round(statistics.median(formed), 2),
        "steps done again": round(statistics.median(repeated)),
    }
    return sample


def frozen(count: int, say: Say) -> list[Finding]:
    """SIGSTOP of a trainer until it is gone, and of the worker's launcher until the chief says that it is lost."""
    trainer = Sample("frozen trainer, noticed", "s", FROZEN_SECONDS, [])
    launcher = Sample("frozen launcher, noticed", "s", FROZEN_SECONDS, [])
    with running(_policy(warm=False)) as gang:
        trainers = gang.trainers()
        for victim in itertools.islice(itertools.cycle(MEMBERS), count * RESTARTS):
            gang.train_for(STEPS_BETWEEN)
            known, began = gang.known, time.monotonic()
            kill(trainers[victim], signal.SIGSTOP)
            while is_alive(trainers[victim]) and time.monotonic() < began + 10 * FROZEN_SECONDS:
                time.sleep(0.01)  # the kernel tells nobody but its parent
            trainer.values.append(time.monotonic() - began)
            say(f"the trainer of {victim} stood still: killed after {trainer.values[-1]:.2f} s")
            trainers = gang.trainers(known)
        for _ in range(count):
            gang.train_for(STEPS_BETWEEN)
            known, began = gang.known, time.monotonic()
            kill(gang.launchers[MEMBERS[1]].pid, signal.SIGSTOP)
            try:
                lost = _line_after(gang, began, f"{MEMBERS[1]} is lost")
            finally:
                kill(gang.launchers[MEMBERS[1]].pid, signal.SIGCONT)
            launcher.values.append(lost.seconds - began)
            say(f"the launcher of {MEMBERS[1]} stood still: lost after {launcher.values[-1]:.2f} s")
            gang.trainers(known)
    return [trainer, launcher]


def standby(count: int, say: Say) -> list[Finding]:
    """Compare a training beside its standbys, while these import and while they wait, to the same one without.

    All in one run, one after the other: the standbys are killed for the last part. The launcher makes no other then
    until the next generation.
    """
    imports = Result("beside a standby that imports", "with", "without", "steps/s", Target(at_least=0.95))
    waits = Result("beside a standby that waits", "with", "without", "steps/s", Target(at_least=0.99))
    own: list[int] = []
    seconds: list[float] = []
    for _ in range(count):
        with running(_policy(warm=True)) as gang:
            gang.trainers()
            began = time.monotonic()
            gang.train_for(STEPS_BETWEEN)
            importing = _speed(gang)
            there = standbys(gang)
            seconds.append(time.monotonic() - began)
            waiting = _speed(gang)
            own += [memory_of(pid)["own"] for pid in there.values()]
            for pid in there.values():
                kill(pid, signal.SIGKILL)
            alone = _speed(gang)
        imports.pairs.append((importing, alone))
        waits.pairs.append((waiting, alone))
        say(f"{importing:.1f} steps/s while it imports, {waiting:.1f} while it waits, {alone:.1f} without")
    imports.notes = {"s until it waits": round(statistics.median(seconds))}
    waits.notes = {"MB of its own": round(statistics.median(own) / 1e6)}
    return [imports, waits]


def _speed(gang: Gang) -> float:
    """Return the steps per second of the next seconds."""
    before = gang.newest[MEMBERS[0]]
    time.sleep(BLOCK_SECONDS)
    after = gang.newest[MEMBERS[0]]
    return (after.step - before.step) / (after.seconds - before.seconds)


def _policy(*, warm: bool) -> Policy:
    return Policy(backoff_limit=PLENTY, warm_standby=warm, checkpoints=True)


def _formed_after(gang: Gang, began: float) -> float:
    """Return when the chief said that the next generation starts."""
    return next(
        line.seconds for line in gang.lines
        if line.seconds >= began and line.member == MEMBERS[0] and _starts(line.text)
    )  # fmt: skip


def _starts(text: str) -> bool:
    return text.startswith("trainingjob: generation ") and " starts with " in text


def _line_after(gang: Gang, began: float, part: str) -> Line:
    def found() -> Line | None:
        return next((line for line in gang.lines if line.seconds >= began and part in line.text), None)

    return gang.until(found, part, 10 * FROZEN_SECONDS)


def standbys(gang: Gang) -> dict[str, int]:
    """Wait until every member has a process that has imported TensorFlow and waits; return their numbers.

    The kernel is asked, not the launcher: a child of the launcher that is no trainer, has the library, and rests.
    """
    deadline = time.monotonic() + STANDBY_SECONDS

    def found() -> dict[str, int] | None:
        trainers = gang.known
        candidates = {name: list(_resting(process.pid, trainers)) for name, process in gang.launchers.items()}
        return {name: pids[0] for name, pids in candidates.items()} if all(candidates.values()) else None

    return gang.until(found, "a standby of each member", deadline - time.monotonic())


def _resting(launcher: int, trainers: set[int]) -> Iterator[int]:
    for pid in children(launcher):
        if pid not in trainers and has_tensorflow(pid):
            used = cpu_ticks(pid)
            time.sleep(2.0)  # it imports in slices, several in this time, also on a busy machine
            if cpu_ticks(pid) == used and is_alive(pid):
                yield pid
