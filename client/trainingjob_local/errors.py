"""What keeps a job from running here, in sentences for the person who asked for it."""

from collections.abc import Iterable


class LocalError(Exception):
    """The job can't be run on this machine as it is. `problems` are sentences with the field and the remedy."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(dict.fromkeys(problems))
        super().__init__("; ".join(self.problems))
