"""What the trainer tells its launcher, and what follows from it: percent, speed, time to go.

Trainers write JSON datagrams to a Unix socket (package `trainingjob`). Whatever comes there that makes no sense is
dropped: training goes on, and the launcher too. Unknown stays None: a program that says nothing has no speed, rather
than none at all. While a trainer is quiet, in a validation, say, everything stays as it was last.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import secrets
import shutil
import socket
import tempfile
import time
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from trainingjob_launcher.contract import MAX_METRICS, METRIC_NAME, Extremes, Training
from trainingjob_launcher.pace import Pace

MAX_DATAGRAM = 64 * 1024
#: What an evaluator has to say: of its other numbers the chief's trainer knows better.
EVALUATION_PREFIX = "val_"
BUSY = ("", "starting", "evaluation", "checkpoint")
STEPS, EPOCHS = "steps", "epochs"
_MAX_COUNT = 2**53 - 1
_MAX_ETA = 1e9
_MAX_RATE = 1e15


class Progress:
    """The latest state of a trainer. Pure: times come from the caller, in seconds of a monotonic clock."""

    def __init__(self, extremes: Optional[Mapping[str, Extremes]] = None) -> None:
        """`extremes` are those of the trainers before this one."""
        self._counts: Dict[str, Optional[int]] = {}
        self._metrics: Dict[str, float] = {}
        self._extremes: Dict[str, Extremes] = dict(extremes or {})
        self._given_rate: Optional[float] = None
        self._batch: Optional[int] = None
        self._paces = {STEPS: Pace(), EPOCHS: Pace()}
        self._percent: Optional[float] = None
        self._plan: Tuple[str, Optional[int]] = ("", None)  # what the percent is of
        self._resumed: Optional[int] = None
        #: What the trainer does that may take long without a step: starting, evaluation, checkpoint. "" is training.
        self.busy = ""
        self._at = -math.inf

    def take(self, document: Any, now: float) -> bool:
        """Take a document of the trainer; return False when there is nothing in it.

        Keys: step, totalSteps, epoch, totalEpochs, batchSize, examplesPerSecond, metrics, extremes (metric ->
        [low, its step, high, its step], over the trainer's life), resumedStep (where this trainer began, from a
        checkpoint), busy (one of `BUSY`), and `time`, when it was true on the same clock as `now`.
        """
        if not isinstance(document, dict):
            return False
        counts = {key: _whole(document.get(key)) for key in ("step", "totalSteps", "epoch", "totalEpochs")}
        self._counts.update({key: value for key, value in counts.items() if value is not None})
        self._batch = _whole(document.get("batchSize")) or self._batch
        resumed, busy = _whole(document.get("resumedStep")), document.get("busy")
        self._resumed = self._resumed if resumed is None else resumed
        if isinstance(busy, str) and busy in BUSY:
            self.busy = busy
        rate = _number(document.get("examplesPerSecond"))
        if rate is not None and 0 <= rate <= _MAX_RATE:
            self._given_rate = rate
        metrics, extremes = document.get("metrics"), document.get("extremes")
        if isinstance(metrics, Mapping):
            self._take_metrics(metrics)
        if isinstance(extremes, Mapping):
            self._take_extremes(extremes)
        elif isinstance(metrics, Mapping):  # somebody who does not tell them: what was heard is what there is
            self.note({name: self._metrics[name] for name in metrics if name in self._metrics})
        said = _number(document.get("time"))
        self._advance(now if said is None else min(now, said))
        return True

    def training(self) -> Training:
        """Return what is known, fit for a report."""
        step = self._counts.get("step")
        rate = self._given_rate
        speed = self._paces[STEPS].speed
        if rate is None and self._batch is not None and speed is not None:
            rate = min(_MAX_RATE, speed * self._batch)
        return Training(
            step=step,
            total_steps=self._counts.get("totalSteps"),
            epoch=self._counts.get("epoch"),
            total_epochs=self._counts.get("totalEpochs"),
            percent=self._percent,
            eta_seconds=self._eta(),
            examples_per_second=None if rate is None else float(f"{rate:.6g}"),
            metrics=dict(self._metrics),
            extremes=dict(self._extremes),
            resumed_step=self._resumed,
        )

    def _take_metrics(self, metrics: Mapping[Any, Any]) -> None:
        for name, value in metrics.items():
            if not isinstance(name, str) or not METRIC_NAME.fullmatch(name):
                continue
            if name not in self._metrics and len(self._metrics) >= MAX_METRICS:
                continue
            number = _number(value, finite=False)
            if number is not None:
                self._metrics[name] = number

    def note(self, metrics: Mapping[str, float]) -> None:
        """Let these values count for the extremes, at the step that is known now; NaN is neither low nor high."""
        step = self._counts.get("step")
        for name, value in metrics.items():
            if value == value:
                self._widen(name, Extremes(value, value, step, step))

    def _take_extremes(self, extremes: Mapping[Any, Any]) -> None:
        for name, said in extremes.items():
            if not isinstance(name, str) or not METRIC_NAME.fullmatch(name):
                continue
            if not isinstance(said, list) or len(said) != 4:
                continue
            low, high = _number(said[0], finite=False), _number(said[2], finite=False)
            if low is not None and high is not None and low <= high:
                self._widen(name, Extremes(low, high, _whole(said[1]), _whole(said[3])))

    def _widen(self, name: str, said: Extremes) -> None:
        known = self._extremes.get(name)
        if known is not None:
            self._extremes[name] = known.wider(said)
        elif len(self._extremes) < MAX_METRICS:
            self._extremes[name] = said

    def _where(self) -> Tuple[str, Optional[int], Optional[int]]:
        """Return unit, position and end: in steps where their end is told, else in epochs where theirs is."""
        step, total = self._counts.get("step"), self._counts.get("totalSteps")
        epoch, epochs = self._counts.get("epoch"), self._counts.get("totalEpochs")
        if epoch is not None and epochs and (step is None or not total):
            return EPOCHS, epoch, epochs
        return STEPS, step, total

    def _eta(self) -> Optional[float]:
        unit, position, total = self._where()
        if position is None or not total:
            return None
        if position >= total:
            return 0.0
        epochs = self._counts.get("totalEpochs")
        cycle = total / epochs if epochs and unit == STEPS else None
        seconds = self._paces[unit].seconds_to(total, cycle, rough=unit == EPOCHS)
        return None if seconds is None else min(_MAX_ETA, round(seconds, 1))

    def _advance(self, now: float) -> None:
        if now >= self._at:
            self._at = now
            for unit, position in ((STEPS, self._counts.get("step")), (EPOCHS, self._counts.get("epoch"))):
                if position is not None:
                    self._paces[unit].advance(float(position), now)
        unit, position, total = self._where()
        if position is not None and total:
            percent = round(min(100.0, 100.0 * position / total), 2)
            # Never back, but where the end has moved: a second `fit` begins.
            same = self._plan == (unit, total) and self._percent is not None
            self._percent = max(percent, self._percent or 0.0) if same else percent
            self._plan = (unit, total)


def with_metrics(training: Training, more: Mapping[str, float]) -> Training:
    """Return the same progress with more metrics, which win over those of the same name.

    Of too many metrics the trainer's own go first: who wants an evaluator wants its numbers.
    """
    if not more:
        return training
    own = [name for name in training.metrics if name not in more][: max(0, MAX_METRICS - len(more))]
    metrics = {**{name: training.metrics[name] for name in own}, **more}
    return dataclasses.replace(training, metrics=metrics)


def _whole(value: Any) -> Optional[int]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        return None
    return value


def _number(value: Any, finite: bool = True) -> Optional[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) or not finite else None


class ProgressSocket:
    """The Unix datagram socket that trainers write to. `address` is what they are told (`TRAININGJOB_SOCKET`)."""

    def __init__(self, progress: Progress, changed: Callable[[], None]) -> None:
        self._progress = progress
        self._changed = changed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._folder: Optional[str] = None
        try:
            self._folder = tempfile.mkdtemp(prefix="trainingjob-")
            self.address = os.path.join(self._folder, "progress")
            self._socket.bind(self.address)
        except OSError:
            # No folder to write to, or too long a path: a name without a file, private to the pod's network.
            self.address = f"@trainingjob-{os.getpid()}-{secrets.token_hex(8)}"
            self._socket.bind("\0" + self.address[1:])
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Read what is there, and go."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._read()
        self._socket.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        changed = False
        for _ in range(64):  # then others have their turn
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except OSError:
                break
            with contextlib.suppress(ValueError, RecursionError):
                changed = self._progress.take(json.loads(data), time.monotonic()) or changed
        if changed:
            self._changed()
