"""The two parts of a status, and the whole that is written. Pure.

The intake makes what reports say: `METRICS`, and `COLUMNS` of what `kubectl get` shows. The reconciler makes the
rest. Every write carries the whole status, at the resourceVersion that it was made of (409 if anything was written
since): so whoever writes takes the other's part along as it is, a report that begins a phase goes with it in one
write, and what is left out is gone.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

#: Sections of the status that reports fill.
METRICS = ("training", "telemetry", "goodput", "gang")
#: What of `status.display` shows them.
COLUMNS = ("progress", "epoch", "loss", "metric", "speed", "eta", "goodput")


def with_metrics(status: Json, metrics: Json) -> dict[str, Any]:
    """Return a status with other metrics: all that `metrics` does not name of them goes."""
    return _joined(status, metrics)


def with_metrics_of(status: Json, wanted: Json) -> dict[str, Any]:
    """Return the reconciler's `wanted` status with the metrics of the present one."""
    return _joined(wanted, status)


def _joined(rest: Json, metrics: Json) -> dict[str, Any]:
    whole = {name: value for name, value in rest.items() if name not in METRICS}
    whole |= {name: metrics[name] for name in METRICS if name in metrics}
    shown = {name: text for name, text in (rest.get("display") or {}).items() if name not in COLUMNS}
    shown |= {name: text for name, text in (metrics.get("display") or {}).items() if name in COLUMNS}
    whole.pop("display", None)
    return whole | ({"display": shown} if shown else {})
