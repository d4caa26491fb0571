"""What the time since the job's start went to, and the share of it that was training.

Nobody measures it: it follows from the reports. The time up to a report goes to what the gang was doing at the report
before it. Two cases are not that simple, because reports come every few seconds only while somebody sends and
somebody takes them:

- A gang that trained is silent for long, and then a gang that forms reports: its chief was lost. What is more than
  `patience` is not training.
- A gang that formed was silent for long, and then one that trains reports: the operator was away. The steps since,
  at the speed that is reported, are training.

The parts always add up to the time from the job's start to the last report that was accounted for, so the last
accounting needs no time of its own. Time before the job's first step is starting, later time without steps is
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


@dataclass(frozen=True, slots=True)
class Beat:
    """A report for the accounting. `at` is its arrival in seconds since 1970, `rate` steps a second, if known."""

    order: Order
    at: float
    doing: Doing
    step: int | None = None
    rate: float | None = None


def beat_of(report: Report, at: float) -> Beat:
    """Return what a report says of the gang."""
    training = report.training
    if training is None or report.state == "Forming" or not knows_progress(training):
        return Beat(order_of(report), at, Doing.WAITING)
    rate = None
    if training.eta_seconds and training.step is not None and training.total_steps is not None:
        rate = (training.total_steps - training.step) / training.eta_seconds
    return Beat(order_of(report), at, Doing.TRAINING, training.step, rate if rate and rate > 0 else None)


def add_beat(beats: tuple[Beat, ...], beat: Beat, limit: int = 32) -> tuple[Beat, ...]:
    """Return the beats with one more; of several in a row that say the same the first and the last are enough."""
    if len(beats) >= 2 and beats[-2].doing is beats[-1].doing is beat.doing:
        return (*beats[:-1], beat)
    return (*beats, beat)[-limit:]


def shown_beat(training: Json) -> Beat:
    """Return what the gang was doing at the report that a `status.training` shows."""
    history = training.get("history") or ()
    generation = training.get("generation")
    stepped = any(name in training for name in ("step", "epoch", "percent", "metrics"))
    # progress that an earlier generation made stays in the status: the history knows whose it was
    own = not history or history[-1].get("generation") == generation
    doing = Doing.TRAINING if training.get("state") == "Running" and stepped and own else Doing.WAITING
    return Beat((0, 0, 0), 0.0, doing, training.get("step"))


def account(goodput: Json, start: datetime, before: Beat, beats: Iterable[Beat], interval: float) -> dict[str, float]:
    """Return `status.goodput` after these reports; `before` is the last report that it already has.

    `interval` is the job's report interval in seconds. A clock that goes back costs nothing and gains nothing.
    """
    parts = {name: float(goodput.get(name) or 0.0) for name in _PARTS}
    patience = max(PATIENCE_SECONDS, PATIENCE_INTERVALS * interval)
    first = not goodput
    for beat in beats:
        elapsed = beat.at - start.timestamp() - sum(parts.values())
        if elapsed > 0:
            trained = _trained(before, beat, elapsed, patience, first=first)
            idle = "restartingSeconds" if parts["productiveSeconds"] else "startingSeconds"
            parts["productiveSeconds"] += trained
            parts[idle] += elapsed - trained
        before, first = beat, False
    return _shown(parts)


def _trained(before: Beat, beat: Beat, elapsed: float, patience: float, *, first: bool) -> float:
    """Return how much of the time between two reports was training."""
    if before.doing is Doing.TRAINING:
        return min(elapsed, patience) if beat.doing is Doing.WAITING else elapsed
    if first or elapsed <= patience or beat.rate is None or beat.step is None:
        return 0.0
    return min(elapsed, max(0, beat.step - (before.step or 0)) / beat.rate)


def _shown(parts: Mapping[str, float]) -> dict[str, float]:
    shown = {name: rounded for name, value in parts.items() if (rounded := round(value, 1))}
    if "productiveSeconds" in shown:
        shown["ratio"] = round(parts["productiveSeconds"] / sum(parts.values()), 3)
    return shown
