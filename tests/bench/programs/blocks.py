"""Runs a training in short blocks of steps, one with reports and one without next to each other, in one process.

What one run is faster than the next, for whatever reason, would hide half a percent. Two blocks that follow each other
have the machine, the model and the memory in common. Who goes first is drawn by lot.

`Without` means without everything that a report costs here: the launcher, our parent, is stopped meanwhile
(SIGSTOP), so that it can't send on in one block what was said in the other.

What reports cost is far less than what two blocks differ by anyhow. So everything that costs is done TIMES as often:
each call, and each send. What that takes longer, divided by TIMES, is what reports cost.
"""

import contextlib
import json
import os
import random
import signal
import time

from trainingjob import _progress

TIMES = int(os.environ["BENCH_TIMES"])


def main(train):
    """Call `train(steps, reporting)` until as many pairs are there as BENCH_PAIRS says.

    A line of JSON for each pair goes to the file BENCH_OUT.
    """
    pairs, seconds = int(os.environ["BENCH_PAIRS"]), float(os.environ["BENCH_BLOCK_SECONDS"])
    lots = random.Random(1)
    _progress.EARLY_SECONDS, _progress.URGENT_SECONDS = 0.0, min(_progress.URGENT_SECONDS, 1.0 / TIMES)
    _progress.SEND_SECONDS /= TIMES
    with open(os.environ["BENCH_OUT"], "w", encoding="utf-8") as out, _launcher_goes_on_at_the_end():
        steps = _steps_of(train, seconds)
        for _ in range(pairs):
            order = [True, False]
            lots.shuffle(order)
            took = {reporting: _block(train, steps, reporting) for reporting in order}
            print(json.dumps({"steps": steps, "with": took[True], "without": took[False]}), file=out, flush=True)


@contextlib.contextmanager
def _launcher_goes_on_at_the_end():
    try:
        yield
    finally:
        os.kill(os.getppid(), signal.SIGCONT)


def _block(train, steps, reporting):
    """Train; return wall time and the CPU time of all threads and of the launcher, in seconds."""
    os.kill(os.getppid(), signal.SIGCONT if reporting else signal.SIGSTOP)
    launcher, own, began = _launcher_cpu(), time.process_time(), time.perf_counter()
    train(steps, reporting)
    took = time.perf_counter() - began
    return {"seconds": took, "cpu": time.process_time() - own, "launcher": _launcher_cpu() - launcher}


def _steps_of(train, seconds):
    """Return how many steps take so long, once all is compiled and warm."""
    train(50, True)
    began = time.perf_counter()
    train(300, True)
    per_step = (time.perf_counter() - began) / 300
    steps = max(10, round(seconds / per_step))
    train(steps, False)
    train(steps, True)
    return steps


def _launcher_cpu():
    with open(f"/proc/{os.getppid()}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9
