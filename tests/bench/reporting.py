"""What reports cost, end to end: from the program through its launcher to the operator. Three measurements."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.elsewhere import answer_of, launcher_environment
from tests.bench.intervals import quantile
from tests.bench.pairs import Finding, Result, Target
from tests.bench.runs import PROGRAMS, ROOT, RunError
from tests.bench.samples import Sample

BATCH = 128
#: Pairs of blocks for each pair that is asked for. Short blocks have more in common with their neighbours; every other
#: one holds one of the reports that a program sends each second.
PAIRS, BLOCK_SECONDS = 200, 0.5
#: So many times as often as it is everything is done that a report costs, and what it takes is divided by it.
TIMES = 10
#: Between two posts: the default. The launcher's clock goes on while it is stopped, so that in the time with reports it
#: posts, and measures what its member uses, twice as often as that.
INTERVAL = 5.0
HOOKS = '{"version": 1, "keras": {"patchFit": true}}'
LONGEST = 1800.0
JOBS, NEW_JOBS = 1000, 16
#: The operator's limit is 20; a window that is cut out of it may hold a few more.
WRITES_A_SECOND = 20.5
SECONDS_VISIBLE = 25.0

Say = Callable[[str], None]


def throughput(name: str, program: str, count: int, say: Say) -> list[Finding]:
    """Compare blocks of steps with reports to blocks without, all of one process: by the clock and by CPU time."""
    blocks = _blocks(program, count * PAIRS)
    clock = Result(f"reports, {name}", "with", "without", "img/s", Target(at_least=0.995))
    cpu = Result(f"reports, {name}: CPU", "with", "without", "img/CPU s", Target(at_least=0.995))
    for block in blocks:
        with_, without, images = block["with"], block["without"], block["steps"] * BATCH
        clock.pairs.append(_speeds(images, with_["seconds"], without["seconds"]))
        cpu.pairs.append(_speeds(images, with_["cpu"] + with_["launcher"], without["cpu"]))
    clock.notes = {
        "pairs of blocks": f"{len(blocks)} of {BLOCK_SECONDS} s, {TIMES} times as many reports",
        "µs a step more": round(_more(blocks, lambda side: float(side["seconds"])), 1),
    }
    cpu.notes = {
        "µs of CPU a step more in the trainer": round(_more(blocks, lambda side: float(side["cpu"])), 1),
        "ms of CPU a second in the launcher": round(1e3 * _launchers_share(blocks), 2),
    }
    say(f"{clock.value:.2%} by the clock, {cpu.value:.2%} by CPU time")
    return [clock, cpu]


def _speeds(images: int, with_: float, without: float) -> tuple[float, float]:
    """Return images a second with and without reports; `with_` is the time that TIMES as many reports took."""
    return images / (without + (with_ - without) / TIMES), images / without


def _more(blocks: list[dict[str, Any]], of: Callable[[dict[str, Any]], float]) -> float:
    return float(1e6 * statistics.median((of(b["with"]) - of(b["without"])) / b["steps"] for b in blocks)) / TIMES


def _launchers_share(blocks: list[dict[str, Any]]) -> float:
    return float(sum(b["with"]["launcher"] for b in blocks) / sum(b["with"]["seconds"] for b in blocks)) / TIMES


def _blocks(program: str, pairs: int) -> list[dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        launcher_environment(INTERVAL / TIMES) as environment,
    ):
        out, log = Path(folder, "blocks"), Path(folder, "log")
        env = os.environ | environment | {
            "BENCH_OUT": str(out),
            "BENCH_PAIRS": str(pairs),
            "BENCH_BLOCK_SECONDS": str(BLOCK_SECONDS),
            "BENCH_TIMES": str(TIMES),
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": f"{ROOT / 'trainer_image'}{os.pathsep}{ROOT}",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TRAININGJOB_SPEC": HOOKS,
            "TRAININGJOB_TERMINATION_PATH": str(Path(folder, "termination")),
        }  # fmt: skip
        command = [sys.executable, "-m", "trainingjob_launcher", "--", sys.executable, str(PROGRAMS / program)]
        with log.open("wb") as output:
            done = subprocess.run(
                command, check=False, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT, timeout=LONGEST
            )
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        if done.returncode:
            raise RunError(f"{program} ended with {done.returncode}:\n{said}")
        if "the operator's intake" in said:
            raise RunError(f"{program}: its reports did not reach the operator:\n{said}")
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def visible(count: int, say: Say) -> list[Finding]:
    """How old a number is when it becomes visible in the job's status: from the program, and from the post."""
    found = answer_of("tests.bench.visible", str(count * SECONDS_VISIBLE))
    samples = [Sample(f"visible, program reports {name}", "s", 2.0, ages) for name, ages in found["ages"].items()]
    posted = Sample("visible, from the post", "s", 2.0, found["from the post"])
    for sample in (posted, *samples):
        say(f"{sample.name}: {sample.value:.2f} s (median)")
    return [posted, *samples]


def thousand(count: int, say: Say) -> list[Finding]:
    """A thousand jobs that report: the status writes they cost, and what a new job beside them waits for its pod."""
    found = answer_of("tests.bench.thousand", str(JOBS), str(count * NEW_JOBS))
    writes = Sample(
        f"status writes of {JOBS} jobs", "a second", WRITES_A_SECOND, [float(n) for n in found["writes"]], mean=True,
        notes={
            "reports answered a second": round(sum(found["answers"].values()) / found["reported for"], 1),
            "answers": found["answers"], "s until all were seen to run": round(found["all run"]),
        },
    )  # fmt: skip
    pairs = [(float(a), float(b)) for a, b in found["pairs"]]
    with_, without = (statistics.median(side) for side in zip(*pairs, strict=True))
    wait = Result(f"a new job beside {JOBS}", "they report", "they don't", "s", Target(at_most=0.1), pairs)
    slowest = [quantile(side, 0.95) for side in zip(*pairs, strict=True)]
    wait.notes = {
        "ratio of the medians": round(with_ / without, 2),
        "95 % below": f"{slowest[0]:.2f} s and {slowest[1]:.2f} s",
    }
    say(
        f"{writes.value:.1f} writes a second; a new job's pod after {1e3 * with_:.0f} ms, {1e3 * without:.0f} ms alone"
    )
    return [writes, wait]
