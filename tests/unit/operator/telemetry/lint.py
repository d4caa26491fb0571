"""What `promtool check metrics` objects to, as far as it can be seen in the families."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

UNITS = {"seconds", "bytes", "ratio", "celsius", "meters", "volts", "joules", "grams", "amperes", "kelvin"}
NOT_BASE = {"minutes", "hours", "days", "weeks", "bits", "percent", "milliseconds", "microseconds", "nanoseconds",
            "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes", "gibibytes"}  # fmt: skip
SHORT = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
KINDS = {"counter", "gauge", "histogram", "summary"}


def problems(family: Metric) -> Iterator[str]:
    """Yield what is wrong with a family."""
    name = family.name + ("_total" if family.type == "counter" else "")
    words = name.split("_")
    if not family.documentation.strip():
        yield f"{name}: no HELP"
    if name != name.lower() or ":" in name:
        yield f"{name}: snake case, without colons"
    if family.type not in KINDS:
        yield f"{name}: of no type"
    if family.type != "counter" and name.endswith("_total"):
        yield f"{name}: _total is for counters"
    if family.type != "histogram" and name.endswith(("_count", "_sum", "_bucket")):
        yield f"{name}: a histogram's suffix"
    yield from (f"{name}: {word} is no base unit" for word in words if word in NOT_BASE)
    yield from (f"{name}: write out {word}" for word in words if word in SHORT)
    yield from (f"{name}: says its type" for word in words if word in KINDS)
    if family.type == "gauge" and "timestamp" in words and not name.endswith("_timestamp_seconds"):
        yield f"{name}: timestamps are seconds"
    for sample in family.samples:
        for label in sample.labels:
            if label in ("le", "quantile") and family.type != "histogram":
                yield f"{name}: label {label} is a histogram's"
            if label in ("job", "instance", "pod") or label.startswith("__"):
                yield f"{name}: label {label} is the scrape's own"
