"""Measures this member every few seconds, away from the event loop: a file system or a driver that hangs costs the
numbers, not a heartbeat.

Two threads, because a GPU's driver hangs more easily than /proc: one reads CPU and memory and tells, with what the
other has found out about the GPUs, as long as that is not too old.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from typing import Callable, Mapping, Tuple

from trainingjob_launcher.contract import GpuUsage, MemberUsage
from trainingjob_launcher.nvml import Nvml
from trainingjob_launcher.usage import UsageReader, usage_of

#: What was measured so many intervals ago says nothing about now.
STALE_INTERVALS = 3
#: How long the end may wait for the threads.
STOP_SECONDS = 0.5


class Meter:
    """Runs until `stop`. `told(usage)` is called in the event loop, for the first time after one interval."""

    def __init__(
        self,
        member: str,
        interval: float,
        in_container: bool,
        env: Mapping[str, str],
        told: Callable[[MemberUsage], None],
    ) -> None:
        self._member = member
        self._interval = interval
        self._in_container = in_container
        self._env = env
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._gpus: Tuple[float, Tuple[GpuUsage, ...]] = (-math.inf, ())
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("usage", self._watch), ("gpus", self._watch_gpus))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> bool:
        """End the threads; False when one of them hangs in a call."""
        self._stopping.set()
        by = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, by - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _watch(self) -> None:
        reader, pid = UsageReader(self._in_container), os.getpid()
        at, before = time.monotonic(), reader.read(pid)
        while not self._stopping.wait(self._interval):
            now, after = time.monotonic(), reader.read(pid)
            gpus_at, gpus = self._gpus
            fresh = now - gpus_at < STALE_INTERVALS * self._interval
            usage = usage_of(self._member, before, after, now - at, gpus if fresh else ())
            at, before = now, after
            try:
                self._loop.call_soon_threadsafe(self._told, usage)
            except RuntimeError:  # the loop is closed
                return

    def _watch_gpus(self) -> None:
        nvml = Nvml.open(self._env)
        if nvml is None:
            return
        while True:
            self._gpus = (time.monotonic(), nvml.read())
            if self._stopping.wait(self._interval):
                break
        nvml.close()
