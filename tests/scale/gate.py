"""The gate: a small measurement whose ratios may not get worse by a fifth against the stored ones, the rate by a half.

`python -m tests.scale.gate` measures and compares, `--store` writes `gate.json` anew (in a commit that says why), and
`--from FILE` takes a measurement that was made before. Figures are ratios of one run or counts, so that a slower
machine changes little, and of several pairs the median. Over eight pairs on a machine that others use as well they came
to: requests 12.5 to 12.9, CPU 0.21 to 0.24, memory 99 to 101 MB, and the rate 0.29 to 0.56, in which the bare client
has most of the noise: of the rate only what is gross can be told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.scale import audit, operators, runs
from tests.scale.__main__ import say, sizes
from tests.scale.control_plane import build_programs

Json = dict[str, Any]
STORED = Path(__file__).parent / "gate.json"
JOBS, PAIRS = 100, 2
#: Long enough for a gang to be whole before its first pod ends, short enough for a gate.
PLAN = runs.Plan(pod_seconds=8.0, longest=90.0)
#: A figure may be worse by this share of the stored one.
ALLOWED = 0.20
#: Of rounding, when a figure is worse by the whole share.
_EXACT = 1e-9


@dataclass(frozen=True)
class Figure:
    """One figure. `higher` is better, or lower is.

    It may be worse by the share `allowed` of the stored one, and by `slack` where that is near to nothing.
    """

    name: str
    higher: bool = False
    allowed: float = ALLOWED
    slack: float = 0.0

    def limit(self, stored: float) -> float:
        """Return the worst value that passes."""
        return stored * (1 - self.allowed) - self.slack if self.higher else stored * (1 + self.allowed) + self.slack

    def passes(self, stored: float, now: float) -> bool:
        """Whether a value is not worse than it may be."""
        limit = self.limit(stored)
        slack = abs(limit) * _EXACT
        return now >= limit - slack if self.higher else now <= limit + slack


RATE = Figure("pods' rate to the bare client's", higher=True, allowed=0.5)
REQUESTS = Figure("requests of the operator, a job")
CONTROLLERS = Figure("requests of the controller manager, a job", slack=0.5)
CPU = Figure("CPU of the operator to that of its API server")
MEMORY = Figure("peak memory of the operator, MB")
FIGURES = (RATE, REQUESTS, CONTROLLERS, CPU, MEMORY)


def figures(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median of each figure over the pairs; a pair of which a run was not completed gives none."""
    pairs: dict[int, dict[str, Mapping[str, Any]]] = {}
    for run in found:
        if "pair" in run and run["complete"]:
            pairs.setdefault(run["pair"], {})[run["who"]] = run
    whole = [(both["operator"], both["bare client"]) for both in pairs.values() if len(both) == 2]
    each = [_of_pair(ours, bare) for ours, bare in whole]
    return {
        figure.name: round(statistics.median(values), 4)
        for figure in FIGURES
        if (values := [one[figure.name] for one in each if figure.name in one])
    }


def _of_pair(ours: Mapping[str, Any], bare: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    rates = [run["reached"].get("pods created") for run in (ours, bare)]
    if all(rates):
        found[RATE.name] = rates[0]["per_second"] / rates[1]["per_second"]
    asked = ours["requests per job"]
    if operators.ACCOUNT in asked:
        found[REQUESTS.name] = asked[operators.ACCOUNT]
        # Who is not in an audit log that has others asked nothing.
        found[CONTROLLERS.name] = asked.get(audit.CONTROLLERS, 0.0)
    used = ours["processes"].get("operator")
    server = ours["processes"].get("kube-apiserver")
    if used and server:
        found[CPU.name] = used["cpu_seconds"] / server["cpu_seconds"]
    if used:
        found[MEMORY.name] = used["peak_mb"]
    return found


def compare(stored: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """Return what is wrong, a sentence each: a figure that is missing on either side, or is too much worse."""
    out = []
    for figure in FIGURES:
        if figure.name not in stored:
            out.append(f"{figure.name}: nothing is stored; store it with make test-scale ARGS=--store")
        elif figure.name not in now:
            out.append(f"{figure.name}: not measured, a run was not completed")
        elif not figure.passes(stored[figure.name], now[figure.name]):
            side = "least" if figure.higher else "most"
            limit = figure.limit(stored[figure.name])
            out.append(f"{figure.name}: {now[figure.name]:g}, stored {stored[figure.name]:g}, at {side} {limit:g}")
    return out


def main() -> int:
    """Measure, and compare or store."""
    parser = argparse.ArgumentParser(prog="make test-scale ARGS=…", description=__doc__)
    parser.add_argument("--store", action="store_true", help=f"write {STORED.name} instead of comparing")
    parser.add_argument("--from", dest="given", type=Path, help="a measurement of before, as --out wrote it")
    parser.add_argument("--out", type=Path, help="keep the measurement as JSON")
    parser.add_argument("--jobs", type=int, default=JOBS, help="jobs at once (%(default)s); others are not stored")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="runs of both in turns (%(default)s)")
    given = parser.parse_args()
    if given.store and given.jobs != JOBS:
        parser.error(f"--store is for {JOBS} jobs, which are what is compared")
    if given.given:
        found = json.loads(given.given.read_text(encoding="utf-8"))["runs"]
    else:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        build_programs()
        found = asyncio.run(sizes([given.jobs], given.pairs, 1, PLAN))
    if given.out:
        given.out.write_text(json.dumps({"runs": found}, indent=1) + "\n", encoding="utf-8")
    now = figures(found)
    for name, value in now.items():
        print(f"{name}: {value:g}")
    if given.store:
        if missing := [figure.name for figure in FIGURES if figure.name not in now]:
            say(f"not stored, for this is missing: {', '.join(missing)}")
            return 1
        STORED.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        say(f"stored in {STORED.name}")
        return 0
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    worse = compare(stored, now)
    for sentence in worse:
        print(f"WORSE {sentence}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
