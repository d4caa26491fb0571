"""Tells the measurement how many steps are done, at most ten times a second. The trainer's reports do it in theirs."""

import json
import os
import socket
import time

SECONDS = 0.1


class Clock:
    """Does nothing on members that are not asked."""

    def __init__(self):
        self._address = os.environ.get("BENCH_SOCKET")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        self._said = 0.0

    def tick(self, step):
        """Say that `step` steps are done: call it when their result is there, not when they were only begun."""
        now = time.monotonic()
        if self._socket is not None and now - self._said >= SECONDS:
            self._said = now
            self._socket.sendto(json.dumps({"step": step, "time": now}).encode(), self._address)
