"""Series as a picture, with matplotlib, which only this needs."""

from collections.abc import Sequence
from pathlib import Path

from trainingjob_client.errors import ClientError, Exit
from trainingjob_client.view.history import Series

ENDINGS = (".png", ".svg", ".pdf")
_INSTALL = "plots need matplotlib: pip install 'trainingjob-client[plot]' (or: pip install matplotlib)"


def check(path: str) -> None:
    """Refuse early what could not be written.

    Raises:
        ClientError: another ending, no such folder, or matplotlib is missing.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ClientError(f"{path}: the name must end in {', '.join(ENDINGS)}", Exit.MISUSED)
    if not Path(path).absolute().parent.is_dir():
        raise ClientError(f"{path}: there is no folder {Path(path).parent}", Exit.MISUSED)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ClientError(_INSTALL) from error


def panels(series: Sequence[Series]) -> list[list[Series]]:
    """Return series by picture: a metric and its val_ twin, when both count the same, share one."""
    out: dict[tuple[str, str], list[Series]] = {}
    for line in series:
        out.setdefault((line.name.removeprefix("val_"), line.unit), []).append(line)
    return [sorted(group, key=lambda line: line.name.startswith("val_")) for group in out.values()]


def write(path: str, title: str, series: Sequence[Series]) -> None:
    """Write the picture; the ending says in which format.

    Raises:
        ClientError: the file can't be written.
    """
    # Figure alone, without pyplot: no display, no state of the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = panels(series)
    figure = Figure(figsize=(8, 1 + 2.6 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for index, group in enumerate(groups):
        axes = figure.add_subplot(len(groups), 1, index + 1)
        for line in group:
            xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
            axes.plot(xs, ys, label=line.name, marker="." if len(xs) < 30 else None)
        for x in sorted({x for line in group for x in line.generations}):
            axes.axvline(x, color="grey", linestyle=":", linewidth=1)
        axes.set_xlabel({"s": "seconds"}.get(group[0].unit, group[0].unit))
        axes.legend()
        axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from error
