"""Whose fault a failure is. Pure.

When a member of a TensorFlow cluster dies, the trainers of the others fail too, some 0.1-9 s later, with an error
that speaks of the network or of the coordination service. Such an exit is *collateral*: it says that somebody
else went away. What counts is the exception that ended the program; only where there is none (an abort in C++)
do the last log lines speak.
"""

from __future__ import annotations

import re
import signal
from typing import List, Optional, Sequence

from trainingjob_launcher.contract import Failure
from trainingjob_launcher.messages import TrainerExit

_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)")
_ERROR_LINE = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt)(?::|$)")
#: What TensorFlow raises in the survivors, and our checkpoints in those that the chief has told of its trouble.
_PEER_ERRORS = frozenset(
    {"UnavailableError", "AbortedError", "DeadlineExceededError", "CancelledError", "ChiefError"}
)
_NOISE = re.compile(
    r"UnavailableError|AbortedError|DeadlineExceededError|Connection reset|Socket closed|recvmsg:|"
    r"coordination[ _]?service|stopped sending heartbeats|Collective ops is aborted|Collective has timed out",
    re.IGNORECASE,
)
_LINES_THAT_SPEAK = 15
#: TensorFlow tells at length that all is well, also of connections: `I0000 00:00:…`, `2026-…: I tensorflow/…`. It
#: lists the cluster's tasks, and says that it does not log to a file yet.
_INFORMATION = re.compile(
    r"^(?:I[0-9]{4} [0-9:.]+ |[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+: I |/job:\w+/replica:\d+/task:\d+\s*$|"
    r"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR)"
)
#: A program ends with these on purpose, to be started again: 42 as it likes, 77 after it has saved, 143 by SIGTERM.
RESTART_CODES = frozenset({42, 77, 143})
#: Kubernetes' own word for a container that was killed for that; ours for a trainer in one that goes on.
OUT_OF_MEMORY = "OOMKilled"
OUT_OF_MEMORY_SAID = "the trainer ran out of memory: raise spec.resources.limits.memory or lower the batch size"
#: Nothing that a peer does ends a trainer with these: the kernel (out of memory), a fault of its own, or a person.
_OWN_SIGNALS = frozenset({signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})


def exception_line(lines: Sequence[str]) -> Optional[str]:
    """Return the line that names the exception which ended a Python program, None when there is none."""
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].startswith(_TRACEBACK):
            for line in lines[at + 1 :]:
                if line and not line[0].isspace() and _EXCEPTION.match(line):
                    return line
            return None
    # The traceback may be longer than what is kept: its last line is enough.
    return next((line for line in reversed(lines) if _ERROR_LINE.match(line)), None)


def _said(lines: Sequence[str]) -> Optional[str]:
    """Return what the exception says. TensorFlow's "Graph execution error:" says it some lines further down."""
    line = exception_line(lines)
    if line is None or not line.endswith("error:"):
        return line
    after = lines[len(lines) - 1 - list(reversed(lines)).index(line) + 1 :]
    more = (text for text in after if text and not text[0].isspace() and not text.startswith("Detected at node"))
    return f"{line} {next(more, '')}".rstrip()


def is_collateral(end: TrainerExit) -> bool:
    """True when this exit looks like the echo of another member's end."""
    if end.code == 0 or end.signal in _OWN_SIGNALS or end.code in RESTART_CODES or end.reason == OUT_OF_MEMORY:
        return False
    line = exception_line(end.log_lines)
    if line is not None:
        matched = _EXCEPTION.match(line)
        return (matched is not None and matched.group(1) in _PEER_ERRORS) or _NOISE.search(line) is not None
    return any(_NOISE.search(line) for line in _that_speak(end.log_lines)[-_LINES_THAT_SPEAK:])


def _that_speak(lines: Sequence[str]) -> List[str]:
    return [line for line in lines if line.strip() and not _INFORMATION.match(line)]


def message_of(code: int, number: Optional[int], lines: Sequence[str]) -> str:
    """Say in one line why a trainer ended: its exception, its signal, or its code and the last thing it said."""
    if number is not None:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = ": killed from outside, most often for want of memory" if number == signal.SIGKILL else ""
        return f"the trainer was ended by {name}{hint}"
    line = _said(lines)
    if line is not None:
        return line
    last = next(reversed(_that_speak(lines)), "")
    return f"the trainer ended with exit code {code}" + (f": {last.strip()}" if last else "")


def failure_of(member: str, generation: int, end: TrainerExit) -> Failure:
    """Return the failure that a trainer's exit means for its generation."""
    return Failure(
        member=member,
        reason=end.reason or ("TrainerKilled" if end.signal is not None else "TrainerFailed"),
        message=end.message or message_of(end.code, end.signal, end.log_lines),
        exit_code=end.code,
        signal=end.signal,
        generation=generation,
        last_log_lines=end.log_lines,
    )
