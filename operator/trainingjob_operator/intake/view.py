"""A report as the status shows it, with what all reports so far add up to: best values, history, goodput. Pure.

A restart must not make the numbers jump: while a gang forms anew the progress of the generation before stays, without
speed and time left, which were of its moment. The next generation's first report of a step takes its place.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_operator.api.contract import Report, Training, encode_number
from trainingjob_operator.api.names import Phase
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.core.best import merge_best
from trainingjob_operator.core.conditions import format_time
from trainingjob_operator.core.goodput import account, shown_beat
from trainingjob_operator.core.history import Order, Sample, extend, in_time, knows_progress, unseen
from trainingjob_operator.core.numbers import plain_number
from trainingjob_operator.core.observe import parse_time
from trainingjob_operator.core.sections import COLUMNS, METRICS
from trainingjob_operator.core.telemetry import telemetry_status
from trainingjob_operator.intake.gang import Lost, chief_lost, gang_status
from trainingjob_operator.intake.pending import NOTHING, Pending

Json = Mapping[str, Any]

#: What a report without progress says nothing about, and therefore leaves as it was.
_PROGRESS = ("step", "totalSteps", "epoch", "totalEpochs", "percent", "metrics")
_DISPLAY = ("progress", "epoch", "loss", "metric")
#: States of a report whose progress is that of a generation that is over.
_OVER = ("Forming", "Restarting", "Terminated")
#: How a job is reported on that says nothing of it.
REPORTING = Reporting()


def status_order(training: Json) -> Order | None:
    """Return the order of the report that a `status.training` shows, None if it shows none."""
    numbers = [training.get(field) for field in ("incarnation", "generation", "sequence")]
    if not all(isinstance(number, int) for number in numbers):
        return None
    incarnation, generation, sequence = (int(number) for number in numbers if number is not None)
    return incarnation, generation, sequence


def fragment(
    report: Report,
    received_at: float,
    previous: Json | None = None,
    reporting: Reporting = REPORTING,
    pending: Pending | None = None,
    lost: Lost | None = None,
) -> dict[str, Any]:
    """Return the intake's part of the status (see core/sections.py), as it is after a report.

    `received_at` is seconds since 1970 by the operator's clock. `previous` is the job's status as it is, `reporting`
    its spec's, `pending` what was said since, this report included; `lost` is what workers said of the chief. A
    report without progress (a gang that forms, a trainer that died) keeps the progress that is known, so that the
    last values survive; speed and time left are of the moment and go. Telemetry stays until the last report, after
    which nothing is used any more.
    """
    before = previous or {}
    old: Json = before.get("training") or {}
    shown = status_order(old)
    pending = pending or NOTHING.plus(report, received_at)
    samples = unseen(pending.samples, shown)
    newer = [sample for sample in samples if shown is None or sample.order > shown]
    training: dict[str, Any] = {
        "incarnation": report.incarnation,
        "generation": report.generation,
        "sequence": report.sequence,
        "state": report.state,
        "lastReportTime": format_time(datetime.fromtimestamp(received_at, UTC)),
        # a chief whose pod was asked to go says its last word, not the job's
        "final": report.final and report.state != "Terminated",
    }
    if (resumed := _resumed_step(report, old, shown)) is not None:
        training["resumedStep"] = resumed
    progress, display = _far(report, before, newer, reporting)
    training |= progress
    training |= _lasting(old, samples, pending, shown, reporting)
    out: dict[str, Any] = {"training": training, "display": display}
    gang = gang_status(
        report, received_at, before.get("gang") or {}, shown, pending.ledger, pending.failure, pending.missed, lost
    )
    if gang:
        out["gang"] = gang
    if report.telemetry is not None and not report.final:
        out["telemetry"] = telemetry_status(report.telemetry)
    elif before.get("telemetry") and not report.final:
        out["telemetry"] = before["telemetry"]
    goodput = _goodput(before, pending, shown, reporting)
    if goodput:
        out["goodput"] = goodput
    if "ratio" in goodput:
        display["goodput"] = f"{math.floor(100 * goodput['ratio'])}%"
    return out


def late_fragment(
    previous: Json, reporting: Reporting, pending: Pending, lost: Lost | None = None, heard_at: float | None = None
) -> dict[str, Any] | None:
    """Return what the intake owns of a status that shows a later report than ours, with what ours add to the past.

    `lost` is what workers said of the chief, which was heard here last at `heard_at`. None when nothing is added: the
    other replica that wrote it took the same reports, or they came too late.
    """
    old: Json = previous.get("training") or {}
    shown = status_order(old)
    lasting = _lasting(old, unseen(pending.samples, shown), pending, shown, reporting)
    gang = dict(previous.get("gang") or {})
    times = [time.timestamp() for time in (parse_time(old.get("lastReportTime")),) if time is not None]
    times += [] if heard_at is None else [heard_at]
    notice = chief_lost(gang, lost, max(times, default=None), shown[0] if shown else 0)
    past: tuple[tuple[str, Any], ...] = (("history", []), ("best", {}))
    if gang.get("chiefLost") == notice and all(lasting.get(name, none) == old.get(name, none) for name, none in past):
        return None
    gang = {name: value for name, value in gang.items() if name != "chiefLost"}
    gang |= {"chiefLost": notice} if notice else {}
    training = {name: value for name, value in old.items() if name not in ("history", "best")} | lasting
    out = _kept(previous, METRICS) | {"display": _kept(previous.get("display"), COLUMNS)}
    out |= {"training": training, "gang": gang}
    return {name: value for name, value in out.items() if value or name == "display"}


def _far(
    report: Report, before: Json, newer: list[Sample], reporting: Reporting
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return how far it is, and its columns: as the report says, or the last one that did, or as it was."""
    if report.training is not None and knows_progress(report.training):
        columns = _display(report.training, reporting.metric, final=report.final)
        if report.state not in _OVER:
            return _progress(report.training), columns
        return _kept(_progress(report.training), _PROGRESS), _kept(columns, _DISPLAY)
    if newer:
        columns = _display(newer[-1].training, reporting.metric, final=True)
        return _kept(_progress(newer[-1].training), _PROGRESS), _kept(columns, _DISPLAY)
    return _kept(before.get("training"), _PROGRESS), _kept(before.get("display"), _DISPLAY)


def _resumed_step(report: Report, old: Json, shown: Order | None) -> int | None:
    """Return the step that the report's generation began at, as far as it has been told."""
    if report.training is not None and report.training.resumed_step is not None:
        return report.training.resumed_step
    same = shown is not None and shown[:2] == (report.incarnation, report.generation)
    return old.get("resumedStep") if same else None


def _lasting(
    old: Json, samples: list[Sample], pending: Pending, shown: Order | None, reporting: Reporting
) -> dict[str, Any]:
    """Return best values and history. They stay when a new generation begins, or a new chief."""
    # those of a chief that was replaced already come too late, as its samples do
    extremes = pending.extremes if pending.beats and in_time(pending.beats[-1].order, shown) else {}
    first = ("loss", "val_loss", reporting.metric or "")
    values = {
        "best": merge_best(old.get("best") or {}, samples, extremes, reporting.best or {}),
        "history": extend(old.get("history") or (), samples, reporting.history, shown=shown, first=first),
    }
    return {name: value for name, value in values.items() if value}


def _goodput(before: Json, pending: Pending, shown: Order | None, reporting: Reporting) -> dict[str, Any]:
    start = parse_time(before.get("startTime"))
    goodput = before.get("goodput") or {}
    if start is None or before.get("phase") == Phase.SUSPENDED:
        return dict(goodput)  # it goes on when the job does
    start -= timedelta(seconds=before.get("activeSeconds") or 0)
    told = pending.told
    shown_now = shown_beat(before.get("training") or {}, before.get("gang") or {})
    last = told if told is not None and told.order == shown else shown_now
    beats = [beat for beat in pending.beats if shown is None or beat.order > shown]
    return dict(account(goodput, start, last, beats, reporting.interval_seconds))


def percent_of(training: Training) -> float | None:
    """Return progress in percent: as reported, or from the steps."""
    if training.percent is not None:
        return training.percent
    if training.step is not None and training.total_steps:
        return min(100.0, 100.0 * training.step / training.total_steps)
    return None


def chosen_metric(metrics: Mapping[str, float], wanted: str | None = None) -> str | None:
    """Return the name of the metric that `kubectl get` shows besides the loss.

    Until the wanted one is reported it is one of the others: the column says which.
    """
    for name in (wanted, "val_accuracy", "accuracy"):
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
        "percent": plain_number(percent_of(training)),
        "etaSeconds": plain_number(training.eta_seconds),
        "examplesPerSecond": plain_number(training.examples_per_second),
    }
    if training.metrics:
        values["metrics"] = {name: plain_number(value) for name, value in training.metrics.items()}
    return {name: value for name, value in values.items() if value is not None}


def _display(training: Training, wanted: str | None, *, final: bool) -> dict[str, str]:
    shown: dict[str, str] = {}
    percent = percent_of(training)
    if percent is not None:
        shown["progress"] = f"{math.floor(percent)}%"
    if training.epoch is not None:
        total = training.total_epochs
        shown["epoch"] = f"{training.epoch}/{total}" if total is not None else str(training.epoch)
    if "loss" in training.metrics:
        shown["loss"] = short_number(training.metrics["loss"])
    metric = chosen_metric(training.metrics, wanted)
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


def _kept(section: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: section[field] for field in fields if field in section} if isinstance(section, Mapping) else {}
