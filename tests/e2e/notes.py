"""What the tests measured, and what they could not look at: printed at the end of the run."""

NOTES: list[str] = []


def note(text: str) -> None:
    """Keep a line for the end of the run."""
    NOTES.append(text)
