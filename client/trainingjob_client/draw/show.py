"""One job in words: what `show` prints and `watch NAME` redraws."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from trainingjob_client import names
from trainingjob_client.draw.plot import number, plot
from trainingjob_client.draw.words import age, bar, clean, duration, size, table
from trainingjob_client.view.events import EventView
from trainingjob_client.view.history import metric_names, series
from trainingjob_client.view.job import JobView, Member
from trainingjob_client.view.training import Usage

_COLOURS = {"Succeeded": "green", "Failed": "red", "Invalid": "red", "Running": "cyan", "Suspended": "blue"}
#: More plots than this only when they are asked for.
PLOTS = 4
PLOT_HEIGHT = 7
_EVENTS = 8


@dataclass(frozen=True)
class Paper:
    """What is drawn on. `metrics` are those to plot; empty for the first ones."""

    width: int
    ascii_only: bool = False
    metrics: tuple[str, ...] = ()
    plot_height: int = PLOT_HEIGHT
    plots: int = PLOTS


def show(
    job: JobView, members: Sequence[Member], events: Sequence[EventView], now: datetime, paper: Paper
) -> list[Text]:
    """Return all lines of a job, to read from top to bottom; a blank one between the parts."""
    return _joined(
        _head(job, now, paper),
        _trouble(job, now),
        _failure(job, now),
        _conditions(job, now),
        _metrics(job),
        _members(members),
        _usage(job),
        _goodput(job),
        _events(events, now),
        _plots(job, paper),
    )


def live(job: JobView, now: datetime, paper: Paper) -> list[Text]:
    """Return the lines of a job that change while it trains: what a screen must have room for."""
    why = _failure(job, now, brief=not job.finished)
    return _joined(_head(job, now, paper), _trouble(job, now), why, _waiting(job), _plots(job, paper), _metrics(job))


def beneath(job: JobView, members: Sequence[Member], events: Sequence[EventView], now: datetime) -> list[Text]:
    """Return what stands beneath them on a higher screen."""
    return _joined([Text()], _members(members), _usage(job), _goodput(job), _events(events, now))[1:]


def _joined(*parts: Iterable[Text]) -> list[Text]:
    lines: list[Text] = []
    for part in parts:
        found = list(part)
        if found:
            lines += [*([Text()] if lines else []), *found]
    return lines


def _head(job: JobView, now: datetime, paper: Paper) -> Iterator[Text]:
    phase = job.state or "Not seen by the operator yet"
    took = ""
    if job.started:
        took = f"   {'took' if job.completed else 'for'} {age(job.started, job.completed or now)}"
    counted = f"   {job.display.members} members" if job.display.members else ""
    yield Text.assemble(
        (job.name, "bold"), f"   namespace {job.namespace}   ", (phase, _COLOURS.get(phase, "yellow")),
        counted, _restarts(job), took,
    )  # fmt: skip
    line = _progress(job, paper)
    if line:
        yield Text(line)


def _progress(job: JobView, paper: Paper) -> str:
    training = job.training
    parts = []
    if training.percent is not None:
        room = min(30, max(5, paper.width - 60))
        text = job.display.progress or f"{int(training.percent)}%"
        parts.append(f"{bar(training.percent, room, ascii_only=paper.ascii_only)} {text}")
    parts += [_of("epoch", training.epoch, training.total_epochs), _of("step", training.step, training.total_steps)]
    parts += [job.display.speed, f"{duration(training.eta_seconds)} left" if training.eta_seconds else ""]
    return "   ".join(clean(part) for part in parts if part)


def _of(what: str, done: int | None, total: int | None) -> str:
    if done is None:
        return ""
    return f"{what} {done}" if total is None else f"{what} {done}/{total}"


def _restarts(job: JobView) -> str:
    """Return how often the gang was formed anew, where it went on, and how much more the job survives."""
    gang = job.gang
    parts = []
    if gang.restarts:
        at = f", the last at step {gang.resumed_step}" if gang.resumed_step is not None else ""
        parts.append(f"{gang.restarts} restart{'s' * (gang.restarts != 1)}{at}")
    if gang.counted:
        limit = "" if gang.limit is None else f" of {gang.limit}"
        parts.append(f"{gang.counted}{limit} failures counted")
    return "".join(f"   {part}" for part in parts)


def _trouble(job: JobView, now: datetime) -> Iterator[Text]:
    """Say what is going on with the gang just now."""
    if job.finished:
        return
    if job.gang.stalled_seconds is not None:
        yield Text(f"Stalled: no step for {duration(job.gang.stalled_seconds)}", "yellow")
    for missed in job.gang.missed:
        since = f" for {age(missed.since, now)}" if missed.since is not None else ""
        yield Text(f"{clean(missed.name)} has been out of the gang's sight{since}", "yellow")


def _failure(job: JobView, now: datetime, *, brief: bool = False) -> Iterator[Text]:
    """Say why the job failed; or, of one that has not, why its last generation that failed did."""
    failure = job.failure
    if failure is None:
        return
    how = f", exit code {failure.exit_code}" if failure.exit_code is not None else ""
    how += f", signal {_signal(failure.signal)}" if failure.signal is not None else ""
    where = f" on {failure.node}" if failure.node else ""
    last = job.phase != names.FAILED
    when = [f"generation {failure.generation}"] if last and failure.generation is not None else []
    when += [f"{age(failure.time, now)} ago"] if last and failure.time is not None else []
    what = ("Last failure" if last else "Failure") + (f" ({', '.join(when)})" if when else "")
    told = f"{what}: {failure.reason or 'unknown'} of {failure.member or 'the job'}{where}{how}"
    yield Text(clean(told), "yellow" if last else "red")
    if brief:
        return
    yield from (Text(f"  {clean(line)}") for line in failure.message.splitlines())
    if failure.last_log_lines:
        yield Text(f"  last lines of its log ({failure.pod or failure.member}):")
        yield from (Text(f"    {clean(line)}", "dim") for line in failure.last_log_lines)


def _conditions(job: JobView, now: datetime) -> Iterator[Text]:
    if not job.conditions:
        return
    yield _title("Conditions")
    rows = [(c.type, c.status, c.reason, age(c.since, now), clean(c.message)) for c in job.conditions]
    # A message of several lines would break the table.
    for line in table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows):
        yield Text(f"  {line}")


def _waiting(job: JobView) -> Iterator[Text]:
    """What keeps a job from running, in the condition's own sentence."""
    ready = job.condition("MembersReady")
    if ready is not None and ready.status == "False" and not job.finished:
        yield Text(f"{ready.reason}: {clean(ready.message)}", "yellow")


def _metrics(job: JobView) -> Iterator[Text]:
    training = job.training
    found = [name for name in metric_names(job) if name in training.metrics]
    if not found:
        return
    yield _title("Metrics")
    rows = []
    for name in found:
        best = training.best.get(name)
        at = "" if best is None or best.step is None else f"at step {best.step}"
        rows.append((clean(name), number(training.metrics[name]), "" if best is None else number(best.value), at))
    for line in table(("NAME", "LATEST", "BEST", ""), rows):
        yield Text(f"  {line}")


def _members(members: Sequence[Member]) -> Iterator[Text]:
    if not members:
        return
    yield _title("Members")
    rows = [
        (
            member.name,
            member.phase,
            member.node,
            member.pod,
            "" if member.incarnation is None else str(member.incarnation),
        )
        for member in members
    ]
    for line in table(("NAME", "PHASE", "NODE", "POD", "INCARNATION"), rows):
        yield Text(f"  {line}")


def _usage(job: JobView) -> Iterator[Text]:
    total = job.telemetry.total
    if total is None:
        return
    yield _title("Usage")
    rows = [*((usage.name, *_used(usage)) for usage in job.telemetry.members), ("all", *_used(total))]
    header = ("NAME", "CPU", "MEMORY", "GPUS", "GPU BUSY", "GPU MEMORY")
    kept = [at for at in range(len(header)) if any(row[at] for row in rows)]
    for line in table([header[at] for at in kept], [[row[at] for at in kept] for row in rows]):
        yield Text(f"  {line}")


def _used(usage: Usage) -> tuple[str, str, str, str, str]:
    memory = "" if usage.memory_bytes is None else size(usage.memory_bytes)
    if memory and usage.memory_limit_bytes:
        memory += f" of {size(usage.memory_limit_bytes)}"
    return (
        "" if usage.cpu_cores is None else f"{usage.cpu_cores:.2f}",
        memory,
        str(usage.gpus) if usage.gpus else "",
        "" if usage.gpu_percent is None else f"{usage.gpu_percent:.0f}%",
        "" if usage.gpu_memory_bytes is None else size(usage.gpu_memory_bytes),
    )


def _goodput(job: JobView) -> Iterator[Text]:
    goodput = job.goodput
    parts = (
        (goodput.productive, "training"), (goodput.starting, "starting"),
        (goodput.restarting, "restarting"), (goodput.stalled, "stalled"),
    )  # fmt: skip
    spent = ", ".join(f"{duration(seconds)} {what}" for seconds, what in parts if seconds)
    if goodput.ratio is not None:
        yield Text(f"Goodput {goodput.ratio:.0%}" + (f": {spent}" if spent else ""))


def _events(events: Sequence[EventView], now: datetime) -> Iterator[Text]:
    if not events:
        return
    yield _title("Events")
    for event in events[-_EVENTS:]:
        line = f"  {age(event.time, now):>6} ago   {event.reason}   {clean(event.message)}"
        yield Text(line, "yellow" if event.warning else "")


def _plots(job: JobView, paper: Paper) -> Iterator[Text]:
    wanted = paper.metrics or tuple(metric_names(job))
    drawn = 0
    left_out: list[str] = []
    for name in wanted:
        line = series(job.training.history, name)
        if not paper.metrics and drawn >= paper.plots:
            left_out += [name] if line.points else []
            continue
        lines = plot(line.points, paper.width, paper.plot_height, line.unit, ascii_only=paper.ascii_only)
        if lines:
            if drawn:
                yield Text()
            yield _title(clean(name))
            yield from (Text(each) for each in lines)
            drawn += 1
        elif paper.metrics:
            yield Text(f"{clean(name)}: no values to plot")
    if left_out:
        yield Text(f"(not plotted: {clean(', '.join(left_out))}; choose with --metric NAME)", "dim")


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _title(text: str) -> Text:
    return Text(text, "bold")
