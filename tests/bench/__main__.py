"""`python -m tests.bench`: measure, print the table, keep the numbers. Exit code 1 when a target is missed."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.comparisons import COMPARISONS
from tests.bench.pairs import Finding, load, table

RESULTS = Path(__file__).parent / "results"
_started = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[{time.monotonic() - _started:4.0f}s] {text}", file=sys.stderr, flush=True)


def _say_of(key: str, text: str) -> None:
    say(f"{key}: {text}")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    packages = {name: version(name) for name in ("tensorflow-cpu", "keras", "numpy")}
    return {"cpus": os.cpu_count(), "cpu": sorted(models), "python": platform.python_version(), **packages}


def main() -> int:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=5, help="how many pairs of each comparison, or how long (default: 5)"
    )
    parser.add_argument("--only", nargs="+", choices=[c.key for c in COMPARISONS], help="these comparisons alone")
    parser.add_argument("--out", type=Path, help=f"the JSON file (default: in {RESULTS.name}/, by the date)")
    arguments = parser.parse_args()
    before = load()
    if before > 0.5:
        say(f"the machine is not quiet: its load is {before}. Ratios of pairs bear that better than numbers do")
    results: list[Finding] = []
    for comparison in COMPARISONS:
        if not arguments.only or comparison.key in arguments.only:
            results += comparison.measure(arguments.pairs, partial(_say_of, comparison.key))
    now = datetime.datetime.now(datetime.UTC)
    document = {
        "time": now.isoformat(timespec="seconds"),
        "load before": before,
        "machine": machine(),
        "results": [result.document() for result in results],
    }
    out = arguments.out or RESULTS / f"{now:%Y-%m-%d-%H%M}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(results))
    for result in results:
        print(f"  {result.name}: {result.sentence()}")
    say(f"every pair is in {out}")
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
