"""kubectl's tables, read."""

LINE_WIDTH = 240


def columns(table: str) -> dict[str, str]:
    """Read the table of one object: header to cell, empty cells included."""
    header, row = table.splitlines()
    starts = [at for at in range(len(header)) if header[at] != " " and (at == 0 or header[at - 1] == " ")]
    ends = [*starts[1:], LINE_WIDTH]
    return {header[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}
