"""A watch of the API server, in a thread: what it tells, and when, by the machine's monotonic clock."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.apiserver.server import ApiServer

Json = dict[str, Any]


class Watch:
    """Calls `seen(seconds, kind, object)` for every event of a collection, in a thread of its own."""

    def __init__(self, server: ApiServer, path: str, seen: Callable[[float, str, Json], None]) -> None:
        parts = urlsplit(server.url)
        context = ssl.create_default_context(cadata=server.ca.decode())
        self._connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context)
        self._request = (f"{path}?watch=true", {"Authorization": f"Bearer {server.token}"})
        self._seen = seen
        self._closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watch:
        path, headers = self._request
        self._connection.request("GET", path, headers=headers)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._closed = True
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(5)
        self._connection.close()

    def _read(self) -> None:
        try:
            for line in self._lines():
                now = time.monotonic()
                event = json.loads(line)
                self._seen(now, event["type"], event["object"])
        except (OSError, http.client.HTTPException, ValueError):
            if not self._closed:
                raise

    def _lines(self) -> Iterator[bytes]:
        response = self._connection.getresponse()
        while line := response.readline():
            yield line
