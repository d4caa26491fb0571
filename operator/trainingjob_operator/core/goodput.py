"""What the time since the job's start went to, and the share of it that was training.

Nobody measures it: it follows from the reports. The time up to a report goes to what the gang was doing at the report
before it. Some cases are not that simple, also because reports come every few seconds only while somebody sends and
somebody takes them:

- A gang that trained is silent for long, and then a gang that forms reports: its chief was lost. What is more than
  `patience` is not training.
- A gang that formed was silent for long, and then one that trains reports: the operator was away. The steps since,
  at the speed that is reported, are training.
- A generation does steps again that one before it had done: they are no progress, and their time is restarting, up to
  the first step that no generation did before. So a restart costs what it costs, saves too seldom included. Which
  steps are new the ledger says, which has the highest there ever was.
- A gang says that it stalls when there was no step for long: so much time before that report is stalled too, also
  what was taken for training when nobody knew better.

The parts always add up to the time from the job's start to the last report that was accounted for, so the last
accounting needs no time of its own. Time in which the job was suspended is no time: its start is anew then, and what
came before is in status.activeSeconds. Time before the job's first step is starting, later time without new steps is
restarting. While nothing was training yet there is no ratio: a program that reports nothing has none, rather than 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from trainingjob_operator.api.contract import Report
from trainingjob_operator.core.history import Order, knows_progress, order_of

Json = Mapping[str, Any]
_PARTS = ("productiveSeconds", "startingSeconds", "restartingSeconds", "stalledSeconds")
#: A gang that is up reports more often than each so many seconds, and than each so many of its report intervals.
PATIENCE_SECONDS, PATIENCE_INTERVALS = 30.0, 3


class Doing(Enum):
    """What a gang does, as a report tells it."""

    WAITING = "waiting"
    TRAINING = "training"
    #: Steps that were done before.
    REPEATING = "repeating"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Beat:
    """A report for the accounting. `at` is its arrival in seconds since 1970, `rate` steps a second, if known.

    `highest` is the highest step that there ever was. `still` is for how many seconds there was no step, of a gang
    that stalls.
    """

    order: Order
    at: float
    doing: Doing
    step: int | None = None
    rate: float | None = None
    highest: int | None = None
    still: float = 0.0


#: States in which nothing trains, whatever the report says of the training so far.
_IDLE = ("Forming", "Restarting", "Terminated")


def beat_of(report: Report, at: float) -> Beat:
    """Return what a report says of the gang."""
    training, order = report.training, order_of(report)
    step = training.step if training is not None else None
    highest = report.ledger.step if report.ledger is not None and report.generation > 1 else None
    waiting = Beat(order, at, Doing.WAITING, step, highest=highest)
    if report.state in _IDLE:
        return waiting
    if report.stalled is not None:
        return Beat(order, at, Doing.STALLED, step, highest=highest, still=report.stalled)
    if training is None or not knows_progress(training):
        return waiting
    if training.resumed_step is not None and step is not None and step <= training.resumed_step:
        return waiting  # it has restored, and done nothing yet
    rate = None
    if training.eta_seconds and training.step is not None and training.total_steps is not None:
        rate = (training.total_steps - training.step) / training.eta_seconds
    return Beat(order, at, _progressing(step, highest), step, rate if rate and rate > 0 else None, highest)


def _progressing(step: Any, highest: Any) -> Doing:
    again = isinstance(step, int) and isinstance(highest, int) and step < highest
    return Doing.REPEATING if again else Doing.TRAINING


def add_beat(beats: tuple[Beat, ...], beat: Beat, limit: int = 32) -> tuple[Beat, ...]:
    """Return the beats with one more; of several in a row that say the same the first and the last are enough."""
    if len(beats) >= 2 and beats[-2].doing is beats[-1].doing is beat.doing:
        return (*beats[:-1], beat)
    return (*beats, beat)[-limit:]


def shown_beat(training: Json, gang: Json) -> Beat:
    """Return what the gang was doing at the report that a `status.training` and a `status.gang` show."""
    history = training.get("history") or ()
    generation, step = training.get("generation"), training.get("step")
    stepped = any(name in training for name in ("step", "epoch", "percent", "metrics"))
    # progress that an earlier generation made stays in the status: the history knows whose it was
    own = not history or history[-1].get("generation") == generation
    highest = (gang.get("ledger") or {}).get("step") if generation != 1 else None
    if training.get("state") != "Running":
        doing = Doing.WAITING
    elif gang.get("stalledSeconds") is not None:
        doing = Doing.STALLED
    else:
        doing = _progressing(step, highest) if stepped and own else Doing.WAITING
    return Beat((0, 0, 0), 0.0, doing, step, highest=highest)


def account(goodput: Json, start: datetime, before: Beat, beats: Iterable[Beat], interval: float) -> dict[str, float]:
    """Return `status.goodput` after these reports; `before` is the last report that it already has.

    `start` is the job's start, so much later as it was suspended. `interval` is the job's report interval in seconds.
    A clock that goes back costs nothing and gains nothing.
    """
    parts = {name: float(goodput.get(name) or 0.0) for name in _PARTS}
    patience = max(PATIENCE_SECONDS, PATIENCE_INTERVALS * interval)
    first = not goodput
    for beat in beats:
        elapsed = beat.at - start.timestamp() - sum(parts.values())
        if elapsed > 0:
            idle = "restartingSeconds" if parts["productiveSeconds"] else "startingSeconds"
            stalled = _stalled(before, beat, elapsed)
            trained = _trained(before, beat, elapsed - stalled, patience, first=first)
            parts["stalledSeconds"] += stalled
            parts["productiveSeconds"] += trained
            parts[idle] += elapsed - stalled - trained
            if beat.doing is Doing.STALLED and before.doing is not Doing.STALLED:
                mistaken = "productiveSeconds" if before.doing is Doing.TRAINING else idle
                moved = min(parts[mistaken], max(0.0, beat.still - stalled))
                parts[mistaken] -= moved
                parts["stalledSeconds"] += moved
        before, first = beat, False
    return _shown(parts)


def _stalled(before: Beat, beat: Beat, elapsed: float) -> float:
    """Return how much of the time between two reports there should have been a step, and was none."""
    if before.doing is Doing.STALLED:
        return elapsed
    return min(elapsed, beat.still) if beat.doing is Doing.STALLED else 0.0


def _trained(before: Beat, beat: Beat, elapsed: float, patience: float, *, first: bool) -> float:
    """Return how much of the time between two reports was training, of `elapsed` seconds that may have been."""
    if before.doing is Doing.TRAINING:
        return elapsed if beat.doing in (Doing.TRAINING, Doing.STALLED) else min(elapsed, patience)
    if before.doing is Doing.REPEATING:
        if beat.doing is not Doing.TRAINING or None in (before.step, before.highest, beat.step):
            return 0.0
        new, done = (beat.step or 0) - (before.highest or 0), (beat.step or 0) - (before.step or 0)
        return elapsed * min(1.0, max(0, new) / done) if done > 0 else 0.0
    if first or elapsed <= patience or beat.rate is None or beat.step is None:
        return 0.0
    return min(elapsed, max(0, beat.step - max(before.step or 0, before.highest or 0)) / beat.rate)


def _shown(parts: Mapping[str, float]) -> dict[str, float]:
    shown = {name: rounded for name, value in parts.items() if (rounded := round(value, 1))}
    if "productiveSeconds" in shown:  # of what is shown: whoever divides it gets the same
        shown["ratio"] = round(shown["productiveSeconds"] / sum(shown.values()), 3)
    return shown
