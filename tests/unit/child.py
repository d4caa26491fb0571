"""A child process whose output is read as it comes."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


class Child:
    """One process, and what it wrote so far to standard output and standard error. Its end is the caller's affair."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, patience: float) -> None:
        """Start it. Nobody waits for it longer than `patience` seconds."""
        self.process = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._patience = patience
        self._written = {1: b"", 2: b""}
        self._lines: queue.Queue[str] = queue.Queue()
        streams = {1: self.process.stdout, 2: self.process.stderr}
        self._readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in streams.items()]
        for reader in self._readers:
            reader.start()

    def _read(self, number: int, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._written[number] += line
                self._lines.put(line.decode(errors="replace").rstrip("\n"))

    def line(self, start: str) -> str:
        """Wait for a line that starts so, and return it. Each is looked at once, in the order in which they came."""
        while True:
            try:
                line = self._lines.get(timeout=self._patience)
            except queue.Empty:
                written = b"\n".join(self._written.values()).decode(errors="replace")
                raise AssertionError(f"no line {start!r} came\n{written}") from None
            if line.startswith(start):
                return line

    def wait(self) -> int:
        """Wait for its end and the end of its output; return its exit code."""
        code = self.process.wait(self._patience)
        for reader in self._readers:
            reader.join(self._patience)
        return code
