"""From `trainingjob.report` in a program to the number in the job's status, as a watch (`kubectl get -w`) sees it.

A real launcher, operator and API server; the report interval is the default. Programs report the moment at which they
do, so each number that becomes visible says how old it is. Numbers that a later one replaces on the way never do: the
launcher posts one report an interval, the latest.

Programs differ in how often they have something to say: that decides how long a number waits for its turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

from tests.apiserver.api import JOBS
from tests.bench.operator_side import NAMESPACE, Side, operator_side
from tests.bench.watching import Json, Watch

#: Seconds between the reports of each program; two numbers are drawn between.
PROGRAMS = {"ten-a-second": (0.1, 0.1), "every-3-seconds": (3.0, 3.0), "up-to-15-seconds": (0.5, 15.0)}
INTERVAL = 5.0
#: A status holds six digits of a number: the moment within so many seconds, to the millisecond.
CYCLE = 1000.0
PROGRAM = f"""\
import random, sys, time, trainingjob
low, high, lots = float(sys.argv[1]), float(sys.argv[2]), random.Random(1)
while True:
    trainingjob.report(said=time.monotonic() % {CYCLE})
    time.sleep(lots.uniform(low, high))
"""


def main(seconds: float) -> None:
    """Print one JSON object: for each program the ages of what became visible, in seconds, and those from the post."""
    ages: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    last: dict[str, float] = {}

    def seen(now: float, _kind: str, job: Json) -> None:
        training = (job.get("status") or {}).get("training") or {}
        said, name = (training.get("metrics") or {}).get("said"), job["metadata"]["name"]
        if name in ages and said is not None and last.get(name) != said:
            last[name] = said
            ages[name].append((now - said) % CYCLE)

    with operator_side() as side, Watch(side.server, JOBS.format(NAMESPACE), seen), contextlib.ExitStack() as stack:
        for name, (low, high) in PROGRAMS.items():
            stack.enter_context(_launcher(side, name, [str(low), str(high)]))
        posted = _posts(side, seconds)
    print(json.dumps({"ages": ages, "from the post": posted}))


@contextlib.contextmanager
def _launcher(side: Side, name: str, arguments: list[str]) -> Iterator[None]:
    env = side.launcher_env(name, INTERVAL)
    env |= {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ["PYTHONPATH"]}
    env |= {"TRAININGJOB_TERMINATION_PATH": str(side.server.folder / f"{name}.termination")}
    command = [sys.executable, "-m", "trainingjob_launcher", "--", sys.executable, "-c", PROGRAM, *arguments]
    with (side.server.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            yield
        finally:
            if process.poll() is not None:
                sys.stderr.write((side.server.folder / f"{name}.log").read_text()[-2000:])
            process.terminate()
            process.wait(30)


def _posts(side: Side, seconds: float) -> list[float]:
    """Post reports of one more job ourselves, one an interval; return how long each took to become visible."""
    name, news = "posted", threading.Condition()
    visible: dict[int, float] = {}

    def seen(now: float, _kind: str, job: Json) -> None:
        step = ((job.get("status") or {}).get("training") or {}).get("step")
        if job["metadata"]["name"] == name and step is not None:
            with news:
                visible.setdefault(step, now)
                news.notify()

    env = side.launcher_env(name, INTERVAL)
    with open(env["TRAININGJOB_REPORT_TOKEN_FILE"], encoding="ascii") as file:
        token = file.read()
    waits: list[float] = []
    end, due = time.monotonic() + seconds, time.monotonic()
    with Watch(side.server, JOBS.format(NAMESPACE), seen):
        for step in range(1, 100_000):
            if due > end:
                return waits
            time.sleep(max(0.0, due - time.monotonic()))
            began, due = time.monotonic(), due + INTERVAL
            status, answer = side.cluster.report(side.operator.intake_port, token, _report(step), name)
            if status != 204:
                raise RuntimeError(f"the intake answered {status}: {answer}")
            with news:
                news.wait_for(partial(visible.__contains__, step), 2 * INTERVAL)
            waits.append(visible.get(step, float("inf")) - began)
    return waits


def _report(step: int) -> bytes:
    from trainingjob_operator.api.contract import Report, Training

    return Report("chief-0", 1, 1, step, "Running", False, Training(step=step)).encode()


if __name__ == "__main__":
    main(float(sys.argv[1]))
