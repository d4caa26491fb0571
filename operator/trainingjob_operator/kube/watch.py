"""A watch: one long GET whose answer is a line of JSON for every change."""

import math
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import orjson

from trainingjob_operator.kube.errors import ApiError, UnreachableError
from trainingjob_operator.kube.resources import Resource
from trainingjob_operator.kube.transport import Transport, describe

#: An object may have 1.5 MiB (etcd's limit); a line that is longer than this is no watch event.
MAX_LINE = 8 * 1024 * 1024


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; a bookmark's object has a resourceVersion and no more.

    CONNECTED comes first, with an empty object: the server has accepted the watch.
    """

    type: str
    object: dict[str, Any]


class Lines:
    """Cut a stream of chunks into lines."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._rest = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete with this chunk."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > self._limit:
            raise ApiError(502, "BadAnswer", f"watch: a line is longer than {self._limit} bytes")
        self._rest = rest
        for line in lines:
            if line.strip():
                yield line


async def stream(
    http: Transport,
    resource: Resource,
    path: str,
    *,
    resource_version: str,
    selectors: Mapping[str, str],
    seconds: float,
    grace: float,
) -> AsyncGenerator[WatchEvent, None]:
    """Yield changes until the server ends the watch, which it does after `seconds`.

    A connection that died without a word (a load balancer that forgot it) looks like a quiet cluster. So the watch is
    short, and one that the server has not ended `grace` seconds after its time is given up.

    Raises:
        ApiError: refused, or an ERROR event; `expired` (410) says that `resource_version` is too old.
        UnreachableError: the connection failed, broke or froze.
    """
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(max(1, math.ceil(seconds))),
        **selectors,
    }
    timeout = aiohttp.ClientTimeout(total=seconds + grace, sock_connect=http.options.connect_timeout)
    await http.throttle()
    started, status = time.monotonic(), 0
    try:
        async with http.start("GET", path, timeout=timeout, params=params) as response:
            status = response.status
            if status != 200:
                raise ApiError.from_response(status, await response.read(), response.headers.get("Retry-After"))
            yield WatchEvent("CONNECTED", {})
            lines = Lines()
            async for chunk in response.content.iter_any():
                for line in lines.feed(chunk):
                    yield _event(line)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnreachableError(f"watch {resource.plural}: {describe(error)}") from error
    finally:
        http.observe("watch", resource.plural, status, started)


def _event(line: bytes) -> WatchEvent:
    try:
        document = orjson.loads(line)
        kind, body = document["type"], document["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ApiError(502, "BadAnswer", f"watch: not an event: {line[:80]!r}") from error
    if not isinstance(body, dict):
        raise ApiError(502, "BadAnswer", f"watch: event {kind!r} without an object")
    if kind == "ERROR":
        raise ApiError.from_status(body)
    return WatchEvent(str(kind), body)
