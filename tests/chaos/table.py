"""What the tests measured: fault, seconds to the next finished step, outcome, restarts. Printed at the end."""

from dataclasses import dataclass

ROWS: list["Row"] = []


@dataclass(frozen=True)
class Row:
    """One fault. `seconds` is None where no step was to come."""

    fault: str
    seconds: float | None
    outcome: str
    counted: int
    free: int


def add(fault: str, seconds: float | None, outcome: str, counted: int, free: int) -> None:
    """Keep a row for the end of the run."""
    ROWS.append(Row(fault, seconds, outcome, counted, free))


def lines() -> list[str]:
    """Return the table as text."""
    cells = [("fault", "next step", "restarts", "outcome")]
    for row in ROWS:
        seconds = "-" if row.seconds is None else f"{row.seconds:.1f} s"
        cells.append((row.fault, seconds, f"{row.counted} counted, {row.free} free", row.outcome))
    widths = [max(len(row[at]) for row in cells) for at in range(3)]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}" for a, b, c, d in cells]
