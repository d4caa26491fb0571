"""What the job says about checkpoints, and when the next one is due. Read from the environment, `{}` on a laptop."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Mapping, Optional

PREEMPTED = 77  # exit code of a trainer that was told to end and has saved


def read_spec(environ: Mapping[str, str]) -> Dict[str, Any]:
    """The document TRAININGJOB_SPEC; `{}` without one."""
    text = environ.get("TRAININGJOB_SPEC")
    spec = json.loads(text) if text else {}
    return spec if isinstance(spec, dict) else {}


def is_chief(environ: Mapping[str, str]) -> bool:
    """Whether this process writes for the gang: the chief, worker 0 where there is none, or a process alone."""
    if is_evaluator(environ):
        return False
    text = environ.get("TF_CONFIG")
    config = json.loads(text) if text else {}
    task = config.get("task") or {}
    if not task or task.get("type") in ("chief", "master"):
        return True
    cluster = config.get("cluster") or {}
    return bool(task.get("type") == "worker" and not task.get("index") and not cluster.get("chief"))


def is_evaluator(environ: Mapping[str, str]) -> bool:
    """Whether this process evaluates what the gang trains."""
    if environ.get("TRAININGJOB_MEMBER", "").startswith("evaluator"):
        return True
    text = environ.get("TF_CONFIG")
    task = (json.loads(text).get("task") if text else None) or {}
    return bool(task.get("type") == "evaluator")


class Schedule:
    """When a checkpoint is due: by steps, or by the time since the last one."""

    def __init__(self, spec: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        """`spec` is `checkpoint` of the document: everySteps or everySeconds."""
        self.every_steps: Optional[int] = spec.get("everySteps")
        self.every_seconds: Optional[float] = spec.get("everySeconds")
        self._clock = clock
        self._step = 0
        self._time = clock()

    def start(self, step: int) -> None:
        """Count from `step` and from now on."""
        self._step, self._time = step, self._clock()

    def elapsed(self) -> float:
        """Seconds since the last checkpoint, or the start."""
        return self._clock() - self._time

    def is_due(self, step: int) -> bool:
        """Whether there was no checkpoint for so long. Multiples of everySteps, so that all members agree."""
        if step <= self._step:
            return False
        if self.every_steps:
            return step // self.every_steps > self._step // self.every_steps
        return self.every_seconds is not None and self.elapsed() >= self.every_seconds


class Termination:
    """Notes SIGTERM, so that a program can save and end at the end of its step."""

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def watch(self) -> None:
        """Install the handler. Call it when the strategy is there: TensorFlow's own would replace it, and do nothing.

        Does nothing outside of the main thread, where Python takes no handlers.
        """
        if self._before is None and threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, self._note)
            self._before = before or signal.SIG_DFL

    def _note(self, number: int, frame: Any) -> None:
        self.requested = True
        if callable(self._before):
            self._before(number, frame)


def end_on_sigterm() -> None:
    """Let SIGTERM end the program, where it has no handler of its own and nothing would be saved.

    TensorFlow takes the signal when it makes a strategy of several members, and does nothing with it: such a program
    would use up the whole grace period for nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


termination = Termination()


def folder(spec: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """Return `checkpoint` of the document, None when the job asks for none."""
    checkpoint = spec.get("checkpoint")
    return checkpoint if isinstance(checkpoint, dict) and checkpoint.get("path") else None


def environ() -> Mapping[str, str]:
    """This process's environment."""
    return os.environ
