"""`python -m tests.scale`: run the sizes, print what was found, keep it as JSON."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.bench.pairs import load
from tests.scale import churn, fair, growth, lead, operators, report, runs, standing
from tests.scale.control_plane import build_programs
from tests.scale.runs import Plan

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 100, 500, 2000)
_started = time.monotonic()

Json = dict[str, Any]


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[{time.monotonic() - _started:4.0f}s] {text}", file=sys.stderr, flush=True)


async def sizes(wanted: list[int], pairs: int, single: int, plan: Plan) -> list[Json]:
    """Measure one size after the other: first single jobs, which also show what a bare client is to make."""
    say(f"{single} jobs one after the other")
    result, template = await runs.single(single, plan)
    found = [result]
    say(report.line(result))
    for size in (size for size in wanted if size > 1):
        for pair in range(pairs):
            order = ["operator", "bare client"] if pair % 2 == 0 else ["bare client", "operator"]
            for who in order:
                say(f"{size} jobs of {plan.members} pods, {who}, pair {pair + 1} of {pairs}, load {load()}")
                one = await (runs.ours(size, plan) if who == "operator" else runs.bare(size, plan, template))
                found.append({**one, "pair": pair})
                say(report.line(one))
    return found


def settings(given: list[str], *, chart: bool) -> dict[str, str]:
    """Return the operator's settings: tuned as the peers were, or the chart's, and what was given."""
    found = {} if chart else dict(operators.TUNED)
    return found | dict(pair.split("=", 1) for pair in given)


def chosen(given: argparse.Namespace) -> list[tuple[str, Callable[..., Coroutine[Any, Any, Json]], Any]]:
    """Return the measurements that are made instead of the sizes: name, how, and what was asked for (None: not)."""
    return [
        ("fair", fair.measure, given.fair),
        ("lead", lead.measure, given.lead),
        ("churn", churn.measure, given.churn),
    ]


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="make bench-scale ARGS=…", description=__doc__)
    parser.add_argument(
        "--sizes", default=",".join(map(str, SIZES)), help="jobs at once, by commas (default: %(default)s)"
    )
    parser.add_argument(
        "--pairs", type=int, default=2, help="runs of ours and of the bare client, in turns (%(default)s)"
    )
    parser.add_argument("--single", type=int, default=10, help="jobs one after the other, for size 1 (%(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="workers of a job, besides its chief (%(default)s)")
    parser.add_argument("--pod-seconds", type=float, default=20.0, help="how long pods run (%(default)s)")
    parser.add_argument("--reports", type=float, default=5.0, help="seconds between a chief's reports (%(default)s)")
    parser.add_argument("--no-reports", action="store_true", help="chiefs report only that the gang runs")
    parser.add_argument(
        "--standing", type=int, default=2000, help="running jobs that others come to; 0: none (%(default)s)"
    )
    parser.add_argument("--new", type=int, default=20, help="how many come, one after the other (%(default)s)")
    parser.add_argument(
        "--idle", type=float, default=60.0, help="seconds of idling with the running jobs (%(default)s)"
    )
    parser.add_argument(
        "--fair",
        type=int,
        nargs="?",
        const=1000,
        metavar="N",
        help="only: a flood of N jobs beside single ones (1000)",
    )
    parser.add_argument(
        "--lead", type=int, nargs="?", const=100, metavar="N", help="only: the leader is killed amid N jobs (100)"
    )
    parser.add_argument("--churn", type=float, metavar="MINUTES", help="only: waves of short jobs, for so long")
    parser.add_argument("--chart-settings", action="store_true", help="the operator's defaults, instead of QPS 1000")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the operator")
    parser.add_argument(
        "--longest", type=float, default=300.0, help="give a run up after so many seconds (%(default)s)"
    )
    parser.add_argument("--out", type=Path, help=f"the JSON file (default: in {RESULTS.name}/, by the date)")
    given = parser.parse_args()
    plan = Plan(
        workers=given.workers,
        pod_seconds=given.pod_seconds,
        reports=None if given.no_reports else given.reports,
        settings=settings(given.set, chart=given.chart_settings),
        longest=given.longest,
    )
    wanted = sorted(int(size) for size in given.sizes.split(",") if size)
    # as Ctrl-C: everything that was started is stopped
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    build_programs()
    if given.single < 1:
        parser.error(f"--single {given.single}: at least 1, the bare client's pods are made as its first job's were")
    before = load()
    if before > 0.5:
        say(f"the machine is not quiet: its load is {before}. Ratios of pairs bear that better than numbers do")
    special = {
        name: asyncio.run(measure(amount, plan, say)) for name, measure, amount in chosen(given) if amount is not None
    }
    found = asyncio.run(sizes(wanted, given.pairs, given.single, plan)) if wanted and not special else []
    still = (
        asyncio.run(standing.measure(given.standing, given.new, given.idle, plan, say))
        if given.standing and not special
        else None
    )
    now = datetime.datetime.now(datetime.UTC)
    document = {
        "time": now.isoformat(timespec="seconds"),
        "load before": before,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.release()},
        "plan": dataclasses.asdict(plan),
        "runs": found,
        "standing": still,
        **special,
    }
    out = given.out or RESULTS / f"{now:%Y-%m-%d-%H%M}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(report.text(document))
    for picture in growth.pictures(found):
        print(picture)
    say(f"all of it is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
