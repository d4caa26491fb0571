"""The one error that commands raise for people: a sentence with its remedy, and the exit code that goes with it."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command. docs/guides/kubectl-plugin.md lists them."""

    DONE = 0
    NOT_DONE = 1
    """The job failed (watch), or what was asked for can't be done."""
    MISUSED = 2
    """The command line is wrong."""
    CLUSTER = 3
    """The cluster could not be asked: unreachable, no credentials, no right, no such thing."""
    INTERRUPTED = 130
    """Ctrl-C."""


class ClientError(Exception):
    """What went wrong, in a sentence that says what to do. `code` is the exit code."""

    def __init__(self, message: str, code: Exit = Exit.NOT_DONE) -> None:
        super().__init__(message)
        self.code = code


class MissingError(ClientError):
    """There is no such job."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.CLUSTER)
