"""`report`: hands the program's progress to the launcher without ever holding the program up.

A call merges its values into one slot and returns; a daemon thread sends the slot to the launcher's Unix socket, as
often as `spacing` says. What was overwritten before it was sent is not sent, but for the extremes: the lowest and the
highest value of each metric are exact, over all that was ever reported. A launcher that is slow or gone costs the
program nothing; the slot is offered again until it has been taken.

What the launcher must know to tell a pause from a stall does not wait for its turn: where the trainer has resumed,
and what it is busy with besides steps (`busy`).
"""

from __future__ import annotations

import atexit
import math
import operator
import os
import threading
import time

# json, re, socket and typing are imported where they are needed, if at all: `import trainingjob` costs next to
# nothing, and so it can be in programs that start often. Type checkers know this name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set, Tuple

    Extremes = Tuple[float, Optional[int], float, Optional[int]]

SOCKET_VARIABLE = "TRAININGJOB_SOCKET"
MAX_METRICS = 64
SEND_SECONDS = 1.0
RETRY_SECONDS = 1.0
#: For so long after its start a program tells its steps each URGENT_SECONDS: one that dies again and again soon after
#: its restart has come further, or has not, and the job's fate depends on which.
EARLY_SECONDS = 10.0
URGENT_SECONDS = 0.25  # the least between two sends, so that many short pauses cost next to nothing
BUSY = ("starting", "evaluation", "checkpoint")
FLUSH_SECONDS = 1.0
_METRIC_NAME = r"[A-Za-z_][A-Za-z0-9_./-]{0,62}"
_MAX_COUNT = 2**53 - 1


class Sender:
    """The slot and its thread. `address` is a socket's path, or `@name` for one without a file."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._values: Dict[str, Any] = {}
        self._metrics: Dict[str, float] = {}
        #: Metric -> lowest, its step, highest, its step. Replaced, never changed: the thread reads them unlocked.
        self._extremes: Dict[str, Extremes] = {}
        self._knows_step = False  # from the program itself, or from `fit`
        self._busy: List[str] = []
        self._warned: Set[str] = set()
        self.renew()

    def renew(self) -> None:
        """Start afresh in a forked child: locks may be held by threads that the child does not have."""
        self._lock = threading.RLock()  # again by the same thread: a signal handler may report too
        self._sending = threading.Lock()
        self._changed = threading.Event()
        self._urgent = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._dirty = False

    def report(self, counts: Dict[str, Any], rate: Any, metrics: Dict[str, Any], *, passing: bool = False) -> None:
        """Merge what is given (None is not) into the slot. Values in `passing` are no candidates for the best."""
        with self._lock:
            for name, value in counts.items():
                if value is not None:
                    self._set(self._values, name, _whole(value))
            if rate is not None:
                number = _number(rate)
                self._set(self._values, "examplesPerSecond", number if number is None or number >= 0 else None)
            self._knows_step = self._knows_step or counts.get("step") is not None
            self._merge(metrics, passing=passing)

    def observe(self, step: Any, metrics: Dict[str, Any]) -> None:
        """Merge what the program wrote for somebody else.

        Its step counts only where nobody says a better one, and never backwards: what is written once an epoch often
        has the epoch's number as its step.
        """
        with self._lock:
            whole = None if self._knows_step else _whole(step)
            if whole is not None:
                self._values["step"] = max(whole, self._values.get("step", 0))
            self._merge(metrics)

    def _merge(self, metrics: Dict[str, Any], *, passing: bool = False) -> None:
        for name, value in metrics.items():
            if name in self._metrics or self._is_welcome(name):
                number = _number(value)
                self._set(self._metrics, name, number)
                if number is not None and not passing:
                    self._note_extremes(name, number)
        self._values["time"] = time.monotonic()
        self._offer()

    def _offer(self) -> None:
        self._dirty = True
        if self._thread is None:
            self._start()
        self._changed.set()

    def resumed(self, step: Any) -> None:
        """Say at once that this run of the program began with `step` steps done before."""
        with self._lock:
            self._set(self._values, "resumedStep", _whole(step))
            self._urgent.set()
            self._offer()

    def begin_busy(self, what: str) -> None:
        """Say at once that the program does `what` instead of steps."""
        with self._lock:
            self._busy.append(what)
            self._tell_busy()

    def end_busy(self, what: str) -> None:
        """Say at once that it is done with `what`; what was around that goes on."""
        with self._lock:
            if what in self._busy:
                self._busy.remove(what)
            self._tell_busy()

    def _tell_busy(self) -> None:
        self._values["busy"] = self._busy[-1] if self._busy else ""
        self._urgent.set()
        self._offer()

    def _note_extremes(self, name: str, value: float) -> None:
        step = self._values.get("step")
        low, low_step, high, high_step = self._extremes.get(name) or (value, step, value, step)
        if value < low:
            self._extremes[name] = (value, step, high, high_step)
        elif value > high:
            self._extremes[name] = (low, low_step, value, step)
        elif name not in self._extremes and value == value:  # NaN is neither low nor high
            self._extremes[name] = (value, step, value, step)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="trainingjob-report", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the program is at its end: `flush` sends
            return
        self._thread = thread

    def flush(self, timeout: float) -> None:
        """Send what waits, now, in this thread; what the other thread is sending is waited for."""
        self._send(timeout)

    def _set(self, slot: Dict[str, Any], name: str, value: Any) -> None:
        if value is None:
            self._warn(name, "is not a number that can be shown, and was left out")
        else:
            slot[name] = value

    def _is_welcome(self, name: str) -> bool:
        import re

        if not re.fullmatch(_METRIC_NAME, name):
            self._warn(name, f"must match {_METRIC_NAME}, and was left out")
        elif len(self._metrics) >= MAX_METRICS:
            self._warn(name, f"is above the limit of {MAX_METRICS} metrics, and was left out")
        else:
            return True
        return False

    def _warn(self, name: str, text: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            import contextlib
            import logging

            with contextlib.suppress(Exception):  # the program's own handlers are called here
                logging.getLogger("trainingjob").warning("trainingjob.report: %.80s %s", name, text)

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            self._changed.wait()
            self._changed.clear()
            self._urgent.clear()
            is_sent = self._send(FLUSH_SECONDS)
            if not is_sent:  # perhaps the program says nothing more for a long time: try again without it
                self._changed.set()
            time.sleep(URGENT_SECONDS)
            pause = spacing(time.monotonic() - began) if is_sent else RETRY_SECONDS
            self._urgent.wait(pause - URGENT_SECONDS)

    def _send(self, timeout: float) -> bool:
        """Send the slot, if there is anything new in it; return False when that failed."""
        import json
        import socket

        # Held over the whole way from the slot to the socket: at the program's end `flush` must not find an empty
        # slot while the thread, which is about to die, still holds what was in it.
        if not self._sending.acquire(timeout=timeout):
            return False
        try:
            with self._lock:
                if not self._dirty:
                    return True
                self._dirty = False
                document = {**self._values, "metrics": dict(self._metrics), "extremes": dict(self._extremes)}
            data = json.dumps(document, separators=(",", ":")).encode()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(timeout)
                sock.sendto(data, self._address)
        except OSError:  # the launcher is gone or busy, or there is no file descriptor left
            self._dirty = True
            return False
        finally:
            self._sending.release()
        return True


def spacing(age: float) -> float:
    """Return the seconds between two reports of a program that began to report `age` seconds ago."""
    return URGENT_SECONDS if age < EARLY_SECONDS else SEND_SECONDS


def _number(value: Any) -> Optional[float]:
    """Return a Python, numpy or TensorFlow scalar as a float; NaN and infinities are numbers here."""
    try:
        return float(value)
    except Exception:  # any type of any library may come here, and training must go on
        return None


def _whole(value: Any) -> Optional[int]:
    try:
        number = operator.index(value)
    except Exception:  # not an integer type: a float or a variable of one may still be whole
        real = _number(value)
        number = -1 if real is None or not math.isfinite(real) or real != int(real) else int(real)
    return number if 0 <= number <= _MAX_COUNT else None


_sender: Optional[Sender] = None


def _start() -> Optional[Sender]:
    global _sender
    if _sender is None and os.environ.get(SOCKET_VARIABLE):
        _sender = Sender(os.environ[SOCKET_VARIABLE])
        os.register_at_fork(after_in_child=_sender.renew)
        atexit.register(flush)
    return _sender


def report(
    *,
    step: Any = None,
    total_steps: Any = None,
    epoch: Any = None,
    epochs: Any = None,
    examples_per_second: Any = None,
    batch_size: Any = None,
    **metrics: Any,
) -> None:
    """Tell the job how far training is; `kubectl get tj` and the job's status show it.

    Args:
        step: steps (optimizer updates) done since the start of the job.
        total_steps: steps that the job takes; with `step` gives percent and time to go.
        epoch: epoch that is running or was just done, counted from 1.
        epochs: epochs that the job takes.
        examples_per_second: of the whole gang. Left out, it follows from `step` and `batch_size`.
        batch_size: the global batch, that is, examples per step over all members.
        **metrics: named numbers, such as loss=0.31 or val_accuracy=0.97.

    Numbers may be Python's, numpy's or TensorFlow's (a tensor on a GPU is waited for). Each value stays until a later
    call gives it anew. Never blocks and never raises: what is no number is left out, with one warning per name.
    Only the chief's report is shown; the others may call it all the same. Does nothing outside a TrainingJob.
    """
    sender = _start()
    if sender is not None:
        counts = {"step": step, "totalSteps": total_steps, "epoch": epoch, "totalEpochs": epochs}
        sender.report({**counts, "batchSize": batch_size}, examples_per_second, metrics)


def report_passing(*, step: Any, total_steps: Any, epoch: Any, epochs: Any, **metrics: Any) -> None:
    """Like `report`, with values that are on their way to what they will be, as the running means of an epoch.

    They are shown, but none of them is a metric's best value: the mean of an epoch's first batch says little.
    """
    sender = _start()
    if sender is not None:
        counts = {"step": step, "totalSteps": total_steps, "epoch": epoch, "totalEpochs": epochs}
        sender.report(counts, None, metrics, passing=True)


def flush(timeout: float = FLUSH_SECONDS) -> None:
    """Send the last report now, waiting at most `timeout` seconds.

    Runs by itself when the program ends. Call it before `os._exit`, which skips that.
    """
    if _sender is not None:
        _sender.flush(timeout)


def observe(step: Any, name: str, value: Any) -> None:
    """Report a value that the program wrote for somebody else, at the step that it gave; see `Sender.observe`."""
    sender = _start()
    if sender is not None:
        sender.observe(step, {name: value})


def note_resumed(step: Any) -> None:
    """Tell the job that this run of the program goes on after `step` steps, from a checkpoint."""
    sender = _start()
    if sender is not None:
        sender.resumed(step)


def busy(what: str = "evaluation") -> Busy:
    """Say that the program is busy with something else than training steps, while the block runs.

        with trainingjob.busy("evaluation"):
            evaluate(model)

    A job with `failurePolicy.stallSeconds` that sees no step for so long takes the program for stuck; meanwhile it
    waits ten times as long. Costs next to nothing, blocks may lie in each other, and outside a TrainingJob it does
    nothing. `model.evaluate` inside of `fit`, and checkpoints, say it by themselves.

    Args:
        what: "evaluation", "checkpoint" or "starting".

    Raises:
        ValueError: `what` is something else.
    """
    if what not in BUSY:
        raise ValueError(f"trainingjob.busy({what!r}): it must be one of {', '.join(BUSY)}")
    return Busy(what)


class Busy:
    """What `busy` returns: a context manager, to be entered once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._sender: Optional[Sender] = None

    def __enter__(self) -> Busy:
        self._sender = _start()
        if self._sender is not None:
            self._sender.begin_busy(self._what)
        return self

    def __exit__(self, *_: Any) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.end_busy(self._what)
