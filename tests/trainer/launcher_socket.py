"""The launcher's side of the reports: what a trainer under test has sent."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Launcher:
    """The end of the socket at which reports arrive. They are read as they come: the kernel holds ten of them."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._socket, self._address = sock, address
        self._found: list[dict[str, Any]] = []
        self.env = {"TRAININGJOB_SOCKET": address}
        self._start()

    def reports(self) -> list[dict[str, Any]]:
        """Return all that was sent up to now, since the last call."""
        self.close()
        found, self._found = self._found, []
        self._start()
        return found

    def close(self) -> None:
        """Read what is there, and stop."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._address)
        self._thread.join()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while data := self._socket.recv(65536):
            self._found.append(json.loads(data))


@contextlib.contextmanager
def listening(path: Path) -> Iterator[Launcher]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        launcher = Launcher(sock, str(path))
        try:
            yield launcher
        finally:
            launcher.close()
