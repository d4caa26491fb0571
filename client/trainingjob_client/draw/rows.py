"""The table of `list` and `watch`: the columns that `kubectl get tj` has, and with -o wide two more."""

from collections.abc import Callable, Sequence
from datetime import datetime

from trainingjob_client.draw.words import age, clean, table
from trainingjob_client.view.job import JobView

Column = tuple[str, Callable[[JobView], str]]
_COLUMNS: tuple[Column, ...] = (
    ("NAME", lambda job: job.name),
    ("PHASE", lambda job: job.state),
    ("MEMBERS", lambda job: job.display.members),
    ("PROGRESS", lambda job: job.display.progress),
    ("EPOCH", lambda job: job.display.epoch),
    ("LOSS", lambda job: job.display.loss),
    ("METRIC", lambda job: job.display.metric),
    ("SPEED", lambda job: job.display.speed),
    ("ETA", lambda job: job.display.eta),
    ("RESTARTS", lambda job: _restarts(job)),
)
_WIDE: tuple[Column, ...] = (
    ("REASON", lambda job: job.display.reason),
    ("NODE", lambda job: job.display.node),
    ("GENERATION", lambda job: _count(job.training.generation)),
    ("GOODPUT", lambda job: job.display.goodput),
    ("RESUMED", lambda job: _count(job.gang.resumed_step)),
    ("FAILURE", lambda job: f"{job.failure.reason} of {job.failure.member}" if job.failure else ""),
)
#: Columns of `watch` as lines, where the widest text is not known beforehand.
_WIDTHS = {"NAME": 20, "METRIC": 18, "ETA": 5, "LOSS": 7, "MEMBERS": 7, "PROGRESS": 8, "EPOCH": 7, "RESTARTS": 8}


def rows(jobs: Sequence[JobView], now: datetime, *, wide: bool = False, namespaces: bool = False) -> list[str]:
    """Return the table's lines, the header first. `namespaces` adds a column for them."""
    columns = _chosen(wide=wide, namespaces=namespaces)
    header = [*(name for name, _ in columns), "AGE"]
    return table(header, [[*(clean(cell(job)) for _, cell in columns), age(job.created, now)] for job in jobs])


def stream_header(*, namespaces: bool = False) -> str:
    """Return the header of a table whose rows come one by one."""
    return _spaced([*(name for name, _ in _chosen(namespaces=namespaces)), "AGE"])


def stream_row(job: JobView, now: datetime, *, namespaces: bool = False) -> str:
    """Return one row of it."""
    texts = [clean(cell(job)) for _, cell in _chosen(namespaces=namespaces)]
    return _spaced([*texts, age(job.created, now)])


def cells(job: JobView) -> tuple[str, ...]:
    """Return what a job's row shows apart from its age: a new line is worth printing when this changes."""
    return tuple(cell(job) for _, cell in _COLUMNS)


def _chosen(*, wide: bool = False, namespaces: bool = False) -> tuple[Column, ...]:
    columns = (*_COLUMNS, *(_WIDE if wide else ()))
    return (("NAMESPACE", lambda job: job.namespace), *columns) if namespaces else columns


def _spaced(texts: Sequence[str]) -> str:
    """Return texts in columns that are wide enough for what they hold as a rule."""
    widths = [_WIDTHS.get(name, 11) for name in (["NAMESPACE"] if len(texts) > len(_COLUMNS) + 1 else [])]
    widths += [_WIDTHS.get(name, 11) for name, _ in _COLUMNS]
    return "   ".join(f"{text:{width}}" for text, width in zip(texts, [*widths, 0], strict=True)).rstrip()


def _restarts(job: JobView) -> str:
    """Return the restarts, and how much of the backoff limit is used up: 3 (2/6)."""
    gang = job.gang
    if not gang.counted:
        return _count(gang.restarts)
    used = str(gang.counted) if gang.limit is None else f"{gang.counted}/{gang.limit}"
    return f"{gang.restarts or 0} ({used})"


def _count(number: int | None) -> str:
    return "" if number is None else str(number)
