"""What the trainer tells its launcher, and what follows from it: percent, speed, time to go.

Trainers write JSON datagrams to a Unix socket (package `trainingjob`). Whatever comes there that makes no sense is
dropped: training goes on, and the launcher too. Unknown stays None.
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
from typing import Any, Callable, Dict, Mapping, Optional

from trainingjob_launcher.contract import MAX_METRICS, METRIC_NAME, Training

MAX_DATAGRAM = 64 * 1024
#: What an evaluator has to say: of its other numbers the chief's trainer knows better.
EVALUATION_PREFIX = "val_"
#: Rates are averaged over about so many seconds.
SMOOTHING_SECONDS = 10.0
_MAX_COUNT = 2**53 - 1
_MAX_ETA = 1e9
_MAX_RATE = 1e15


class Progress:
    """The latest state of the trainer. Pure: times come from the caller, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._counts: Dict[str, Optional[int]] = {}
        self._metrics: Dict[str, float] = {}
        self._given_rate: Optional[float] = None
        self._batch: Optional[int] = None
        self._rate: Optional[float] = None  # of `_position` per second
        self._position: Optional[float] = None
        self._at = -math.inf

    def take(self, document: Any, now: float) -> bool:
        """Take a document of the trainer; return False when there is nothing in it.

        Keys: step, totalSteps, epoch, totalEpochs, batchSize, examplesPerSecond, metrics, and `time`, when it was
        true on the same clock as `now`.
        """
        if not isinstance(document, dict):
            return False
        counts = {key: _whole(document.get(key)) for key in ("step", "totalSteps", "epoch", "totalEpochs")}
        self._counts.update({key: value for key, value in counts.items() if value is not None})
        self._batch = _whole(document.get("batchSize")) or self._batch
        rate = _number(document.get("examplesPerSecond"))
        if rate is not None and 0 <= rate <= _MAX_RATE:
            self._given_rate = rate
        metrics = document.get("metrics")
        if isinstance(metrics, Mapping):
            self._take_metrics(metrics)
        said = _number(document.get("time"))
        self._advance(now if said is None else min(now, said))
        return True

    def training(self) -> Training:
        """Return what is known, fit for a report."""
        step, total = self._counts.get("step"), self._counts.get("totalSteps")
        share = self._share()
        rate = self._given_rate
        if rate is None and self._batch is not None and self._rate is not None and step is not None:
            rate = min(_MAX_RATE, self._rate * self._batch)
        return Training(
            step=step,
            total_steps=total,
            epoch=self._counts.get("epoch"),
            total_epochs=self._counts.get("totalEpochs"),
            percent=None if share is None else round(100.0 * share, 2),
            eta_seconds=self._eta(),
            examples_per_second=None if rate is None else float(f"{rate:.6g}"),
            metrics=dict(self._metrics),
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

    def _where(self) -> tuple[Optional[int], Optional[int]]:
        """Return position and end, in steps where steps are told, else in epochs."""
        if self._counts.get("step") is not None:
            return self._counts["step"], self._counts.get("totalSteps")
        return self._counts.get("epoch"), self._counts.get("totalEpochs")

    def _share(self) -> Optional[float]:
        position, total = self._where()
        if total is None or position is None:
            position, total = self._counts.get("epoch"), self._counts.get("totalEpochs")
        if not total or position is None:
            return None
        return min(1.0, position / total)

    def _eta(self) -> Optional[float]:
        position, total = self._where()
        if position is None or not total:
            return None
        if position >= total:
            return 0.0
        if not self._rate:
            return None
        return min(_MAX_ETA, round((total - position) / self._rate, 1))

    def _advance(self, now: float) -> None:
        position, _ = self._where()
        if position is None or now < self._at:
            return
        before, self._position = self._position, float(position)
        elapsed = now - self._at
        if before is None or position < before:
            self._rate, self._at = None, now  # a new start: nothing to compare with
            return
        if position == before or elapsed <= 0:
            self._position = before
            return
        self._at = now
        rate = (position - before) / elapsed
        weight = 1.0 - math.exp(-elapsed / SMOOTHING_SECONDS)
        self._rate = rate if self._rate is None else self._rate + weight * (rate - self._rate)


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
