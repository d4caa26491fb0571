"""What is compared with what. The job is always the CNN of examples/mnist-cnn.yaml with a global batch of 128."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.bench import reporting, restarts
from tests.bench.pairs import Finding, Result, Target, alternately, load
from tests.bench.reporting import Say
from tests.bench.runs import (
    ROOT,
    SOCKET_VARIABLE,
    Program,
    declarative,
    script,
    seconds_of,
    seconds_to_first_step,
    steps_per_second,
)

BATCH = 128
#: After the first step: until caches are warm, and then for how long a run is measured.
WARM_SECONDS, SECONDS = 3.0, 6.0
#: Several members share the processors: each gets its part of them, as the launcher gives it under a CPU quota.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"}

TRAINING: dict[str, Any] = {
    "dataset": {"builtin": {"name": "mnist"}},
    "pipeline": {"shuffle": True, "cache": "none", "prefetch": 2},
    "model": {
        "layers": [
            {"Conv2D": {"filters": 32, "kernel_size": 3, "activation": "relu"}},
            "MaxPooling2D",
            "Flatten",
            {"Dense": {"units": 10, "activation": "softmax"}},
        ]
    },
    "optimizer": "adam",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "steps": 1_000_000,
    "globalBatchSize": BATCH,
    "gradientAccumulation": 1,
    "precision": "float32",
    "seed": 1,
}
#: What the launcher does for a program: our sitecustomize comes first, and TRAININGJOB_SPEC says what is mended.
HOOKED = {
    "PYTHONPATH": str(ROOT / "trainer_image" / "trainingjob_hooks" / "site"),
    "TRAININGJOB_SPEC": '{"version": 1, "keras": {"patchFit": true}}',
}
DOCUMENT = {"version": 1, "training": TRAINING, "communication": "auto", "keras": {"patchFit": True}}


@dataclass(frozen=True)
class Comparison:
    """`pairs` makes as many measurements of both as it is asked for."""

    key: str
    name: str
    ours: str
    other: str
    target: Target
    pairs: Callable[[int], Iterator[tuple[float, float]]]
    unit: str = "img/s"

    def measure(self, count: int, say: Say) -> list[Finding]:
        """Measure `count` pairs."""
        result = Result(self.name, self.ours, self.other, self.unit, self.target)
        for ours, other in self.pairs(count):
            result.pairs.append((ours, other))
            result.load.append(load())
            say(f"{ours:,.2f} and {other:,.2f} {self.unit}")
        return [result]


@dataclass(frozen=True)
class Measurement:
    """What finds several things in one run, or has nothing to be compared with. `measure` takes what --pairs says."""

    key: str
    measure: Callable[[int, Say], list[Finding]]


@dataclass(frozen=True)
class _Side:
    """One side of a comparison: measures once when it is called."""

    name: str
    measure: Callable[[], float]


def _compare(key: str, name: str, ours: _Side, other: _Side, target: Target, unit: str = "img/s") -> Comparison:
    def pairs(count: int) -> Iterator[tuple[float, float]]:
        return itertools.islice(alternately(ours.measure, other.measure), count)

    return Comparison(key, name, ours.name, other.name, target, pairs, unit)


def _speed(program: Program, members: int) -> _Side:
    program = dataclasses.replace(program, env={**program.env, **(ONE_THREAD if members > 1 else {})})
    return _Side(program.name, lambda: BATCH * steps_per_second(program, members, WARM_SECONDS, SECONDS))


def _declarative(members: int) -> _Side:
    return _speed(declarative("declarative trainer", DOCUMENT), members)


def _loop(members: int, steps_per_call: int = 10) -> _Side:
    name = f"hand-written loop, {steps_per_call} step{'s' if steps_per_call > 1 else ''} a call"
    return _speed(script(name, "loop.py", str(steps_per_call)), members)


def _fit(members: int) -> _Side:
    """`fit` in a TrainingJob. Its reports are the clock: a callback of the program's own would look at every batch."""
    program = script("Keras fit with the hooks", "fit.py", "reported", **HOOKED)
    return _speed(dataclasses.replace(program, clock=SOCKET_VARIABLE), members)


def _fit_with_callback(members: int, *, hooked: bool) -> _Side:
    if not hooked:
        return _speed(script("Keras fit as it is, a callback on every batch", "fit.py"), members)
    program = script("Keras fit with the hooks, a callback on every batch", "fit.py", **HOOKED)
    return _speed(dataclasses.replace(program, reports=True), members)


def _start() -> _Side:
    return _Side("declarative trainer", lambda: seconds_to_first_step(declarative("declarative trainer", DOCUMENT)))


def _import() -> _Side:
    return _Side("import tensorflow", lambda: seconds_of([sys.executable, "-c", "import tensorflow"]))


COMPARISONS: tuple[Comparison | Measurement, ...] = (
    _compare("one", "declarative, 1 member", _declarative(1), _loop(1), Target(at_least=0.95)),
    _compare("two", "declarative, 2 members", _declarative(2), _loop(2), Target(at_least=0.95)),
    _compare(
        "fit-one",
        "fit, 1 member",
        _fit_with_callback(1, hooked=True),
        _fit_with_callback(1, hooked=False),
        Target(at_least=0.95),
    ),
    _compare("fit-two", "fit, 2 members", _fit(2), _loop(2), Target(at_least=0.90)),
    _compare(
        "fit-two-callback",
        "fit, 2 members, a callback on every batch",
        _fit_with_callback(2, hooked=True),
        _loop(2, 1),
        Target(at_least=0.90),
    ),
    _compare("start", "start to first step", _start(), _import(), Target(at_most=1.5), "s"),
    Measurement("reports-fit", partial(reporting.throughput, "Keras fit", "fit_blocks.py")),
    Measurement("reports-loop", partial(reporting.throughput, "custom loop", "loop_blocks.py")),
    Measurement("visible", reporting.visible),
    Measurement("thousand", reporting.thousand),
    Measurement("restart-cold", restarts.cold),
    Measurement("restart-warm", restarts.warm),
    Measurement("frozen", restarts.frozen),
    Measurement("standby", restarts.standby),
)
