"""Writes the tables of docs/guides/monitoring.md from the catalog of metric families.

metrics.py            rewrite the part between the two marks
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "operator"), str(REPOSITORY / "trainer_image")]

from trainingjob_operator.telemetry import families  # noqa: E402
from trainingjob_operator.telemetry.families import Family  # noqa: E402

PAGE = REPOSITORY / "docs" / "guides" / "monitoring.md"
BEGIN, END = "<!-- made by docs/hack/metrics.py: make generate -->\n", "<!-- end -->\n"
SECTIONS = (
    ("Jobs, on the leading replica", families.PER_JOB),
    ("Numbers of jobs, on the leading replica", families.JOB_COUNTS),
    ("The operator, on every replica", families.OPERATOR),
)


def table(rows: tuple[Family, ...]) -> str:
    """Return one table."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for family in rows:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |")
    return "\n".join(lines) + "\n"


def page(current: str) -> str:
    """Return the page with its tables made anew.

    Raises:
        ValueError: one of the two marks is missing.
    """
    before, _, rest = current.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{PAGE}: the lines {BEGIN.strip()} and {END.strip()} must be there")
    made = "\n".join(f"### {title}\n\n{table(rows)}" for title, rows in SECTIONS)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
