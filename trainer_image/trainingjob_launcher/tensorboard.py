"""Event files for TensorBoard, written by the chief's launcher from what the trainer reports.

A thread of its own writes, at most once a second, so that a slow, full or absent disk holds nothing up: of each
metric the newest value waits in one slot. A metric is written when it has a new value, with the step that it came
with, so one that is measured once an epoch is one point an epoch. What could not be written is left out, which is
said once.

TensorBoard reads while we write. So a batch of events is one write at the end of the file, and one that did not get
through is cut off again; each generation and each new chief begins a file of its own that sorts after those that are
there, with the mark (SessionLog START) at which TensorBoard forgets the steps that were lost and are done again.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from typing import Callable, Dict, List, Mapping, Optional, Tuple

from trainingjob_launcher.contract import Training
from trainingjob_launcher.events import scalars_record, start_record, version_record
from trainingjob_launcher.log import say

WRITE_SECONDS = 1.0
SPEED_TAG = "examples_per_second"
_NAME = re.compile(r"events\.out\.tfevents\.([0-9]{10,})\.")
#: Time of a value, its step, the value.
Point = Tuple[float, int, float]


class Slot:
    """What is still to be written, pure: of each tag the newest value, if it is not the one that was there before."""

    def __init__(self) -> None:
        self._last: Dict[str, float] = {}
        self._waiting: Dict[str, Point] = {}

    def offer(self, training: Training, now: float) -> None:
        """Take what has changed; `now` is in seconds since 1970."""
        values = dict(training.metrics)
        if training.examples_per_second is not None:
            values[SPEED_TAG] = training.examples_per_second
        step = training.step if training.step is not None else training.epoch or 0
        for tag, value in values.items():
            known = self._last.get(tag)
            if known != value and not (known is not None and known != known and value != value):  # NaN again
                self._last[tag] = value
                self._waiting[tag] = (now, step, value)

    def take(self) -> Dict[str, Point]:
        """Return what waits, and forget it."""
        waiting, self._waiting = self._waiting, {}
        return waiting


class EventFiles:
    """The folder, and the thread that writes there. `offer` and `close` never raise, and `offer` never waits."""

    def __init__(self, folder: str, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._generation: Optional[int] = None
        self._slots: List[Slot] = []
        self._changed = threading.Event()
        self._end = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def offer(self, generation: int, training: Training) -> None:
        """Take what the chief's trainer has said; a new generation begins a new file."""
        with self._lock:
            if generation != self._generation:
                self._generation = generation
                self._slots.append(Slot())
            self._slots[-1].offer(training, self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tensorboard", daemon=True)
                self._thread.start()
        self._changed.set()

    def close(self, timeout: float) -> None:
        """Write what waits, if the disk does so within `timeout` seconds."""
        self._end.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        file: Optional[EventFile] = None
        complained = False
        while True:
            self._changed.wait()
            self._changed.clear()
            last = self._end.is_set()
            for slot, points in self._due():
                if file is None or file.slot is not slot:
                    file = EventFile(self._folder, slot, self._clock)
                try:
                    file.write(points)
                except OSError as error:
                    if not complained:
                        complained = True
                        say(f"event files for TensorBoard can't be written to {self._folder}: {error}")
            if last:
                return
            self._end.wait(WRITE_SECONDS)

    def _due(self) -> List[Tuple[Slot, Dict[str, Point]]]:
        with self._lock:
            due = [(slot, points) for slot in self._slots for points in [slot.take()] if points]
            self._slots = self._slots[-1:]
        return due


class EventFile:
    """The file of one generation, made with its first points."""

    def __init__(self, folder: str, slot: Slot, clock: Callable[[], float]) -> None:
        self.slot = slot
        self._folder = folder
        self._clock = clock
        self._path = ""
        self._size = 0

    def write(self, points: Mapping[str, Point]) -> None:
        """Append points, tag -> point.

        Raises:
            OSError: not all of it could be written; then none of it is there.
        """
        data = b""
        if not self._size:
            first = min(step for _, step, _ in points.values())
            data = version_record(self._clock()) + start_record(self._clock(), first)
            os.makedirs(self._folder, exist_ok=True)
            self._path = os.path.join(self._folder, next_name(os.listdir(self._folder), self._clock()))
        batches: Dict[Tuple[float, int], Dict[str, float]] = {}
        for tag, (when, step, value) in points.items():
            batches.setdefault((when, step), {})[tag] = value
        for (when, step), values in sorted(batches.items()):
            data += scalars_record(when, step, values)
        # Opened each time: on a network's file system what others shall see has to be closed.
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.pwrite(file, data, self._size) < len(data):
                raise OSError(f"{self._path}: the disk is full")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._size)
            raise
        finally:
            os.close(file)
        self._size += len(data)


def next_name(there: List[str], now: float) -> str:
    """Return the name of a new event file that sorts after those that are `there`, whatever the nodes' clocks say."""
    stamps = [int(match[1]) for match in map(_NAME.match, there) if match]
    stamp = max([int(now), *(known + 1 for known in stamps)])
    return f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}.trainingjob"
