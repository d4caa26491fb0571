"""A report as the status shows it. Pure."""

import datetime
import math
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api.contract import Report, Training, encode_number
from trainingjob_operator.intake.store import Order

#: What a report without progress says nothing about, and therefore leaves as it was.
_PROGRESS = ("step", "totalSteps", "epoch", "totalEpochs", "percent", "metrics")
_DISPLAY = ("progress", "epoch", "loss", "metric")


def status_order(training: Mapping[str, Any]) -> Order | None:
    """Return the order of the report that a `status.training` shows, None if it shows none."""
    numbers = [training.get(field) for field in ("incarnation", "generation", "sequence")]
    if not all(isinstance(number, int) for number in numbers):
        return None
    incarnation, generation, sequence = (int(number) for number in numbers if number is not None)
    return incarnation, generation, sequence


def fragment(report: Report, received_at: float, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return `training` and `display` of the status: all that the intake's field manager owns.

    `received_at` is seconds since 1970 by the operator's clock. `previous` is the job's status as it is: a report
    without progress (a gang that forms, a trainer that died) keeps the progress that is shown, so that the last
    values survive; speed and time left are of the moment and go.
    """
    training: dict[str, Any] = {
        "incarnation": report.incarnation,
        "generation": report.generation,
        "sequence": report.sequence,
        "state": report.state,
        "lastReportTime": rfc3339(received_at),
        "final": report.final,
    }
    if report.training is None:
        before = previous or {}
        training |= _kept(before.get("training"), _PROGRESS)
        return {"training": training, "display": _kept(before.get("display"), _DISPLAY)}
    training |= _progress(report.training)
    return {"training": training, "display": _display(report.training, final=report.final)}


def rfc3339(seconds: float) -> str:
    """Return a time since 1970 as Kubernetes writes it, in whole seconds, UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def percent_of(training: Training) -> float | None:
    """Return progress in percent: as reported, or from the steps."""
    if training.percent is not None:
        return training.percent
    if training.step is not None and training.total_steps:
        return min(100.0, 100.0 * training.step / training.total_steps)
    return None


def chosen_metric(metrics: Mapping[str, float]) -> str | None:
    """Return the name of the metric that `kubectl get` shows besides the loss."""
    for name in ("val_accuracy", "accuracy"):
        if name in metrics:
            return name
    others = [name for name in metrics if name not in ("loss", "val_loss")]
    validation = [name for name in others if name.startswith("val_")]
    return next(iter(validation + others), None)


def _progress(training: Training) -> dict[str, Any]:
    values: dict[str, Any] = {
        "step": training.step,
        "totalSteps": training.total_steps,
        "epoch": training.epoch,
        "totalEpochs": training.total_epochs,
        "percent": _rounded(percent_of(training)),
        "etaSeconds": _rounded(training.eta_seconds),
        "examplesPerSecond": _rounded(training.examples_per_second),
    }
    if training.metrics:
        values["metrics"] = {name: _rounded(value) for name, value in training.metrics.items()}
    return {name: value for name, value in values.items() if value is not None}


def _display(training: Training, *, final: bool) -> dict[str, str]:
    shown: dict[str, str] = {}
    percent = percent_of(training)
    if percent is not None:
        shown["progress"] = f"{math.floor(percent)}%"
    if training.epoch is not None:
        total = training.total_epochs
        shown["epoch"] = f"{training.epoch}/{total}" if total is not None else str(training.epoch)
    if "loss" in training.metrics:
        shown["loss"] = short_number(training.metrics["loss"])
    metric = chosen_metric(training.metrics)
    if metric is not None:
        shown["metric"] = f"{metric}={short_number(training.metrics[metric])}"
    if training.examples_per_second is not None:
        shown["speed"] = f"{short_rate(training.examples_per_second)} ex/s"
    if training.eta_seconds is not None and not final:
        shown["eta"] = short_duration(training.eta_seconds)
    return shown


def short_number(value: float) -> str:
    """Return three significant digits without needless exponents: 0.0481, 12.3, 1234, 4.5e-07, NaN."""
    if not math.isfinite(value):
        return str(encode_number(value))
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}"


def short_rate(value: float) -> str:
    """Return a rate like 0.42, 9.1, 812, 9.1k, 120k or 1.2M."""
    for limit, divisor, suffix in ((999.5, 1.0, ""), (999.5e3, 1e3, "k"), (math.inf, 1e6, "M")):
        if value < limit:
            scaled = value / divisor
            return (
                f"{scaled:.0f}" if scaled >= 99.95 else f"{scaled:.3g}" if not suffix else f"{scaled:.1f}"
            ) + suffix
    return "Infinity"


def short_duration(seconds: float) -> str:
    """Return a time like 41s, 3m10s, 2h05m or 3d04h."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def _rounded(value: float | None) -> float | str | None:
    """Return six significant digits; a whole number stays an integer in JSON; non-finite ones as texts."""
    if value is None:
        return None
    if not math.isfinite(value):
        return encode_number(value)
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _kept(section: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: section[field] for field in fields if field in section} if isinstance(section, Mapping) else {}
