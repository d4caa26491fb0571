"""Many requests at once to the API server, as a bare client makes them, and watches in the same event loop."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

Json = dict[str, Any]
#: So many requests of a bare client are under way at once.
IN_FLIGHT = 50
#: A pod with its managedFields has a few KiB; a job with much history tens of them.
LINE_BYTES = 4 * 1024 * 1024
BUSY_SECONDS = 0.2


class RequestError(Exception):
    """The API server refused a request."""


class Client:
    """One user's connection to an API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """Send a request, again while the server says 429; return the answer. `kind` is the body's content type."""
        data = orjson.dumps(body) if body is not None else None
        while True:
            async with self._session.request(method, path, data=data, headers={"Content-Type": kind}) as answer:
                content = await answer.read()
                if answer.status < 300:
                    return dict(orjson.loads(content))
                if answer.status != 429:
                    raise RequestError(f"{method} {path}: {answer.status}: {content[:500]!r}")
            await asyncio.sleep(BUSY_SECONDS)

    async def create_all(self, objects: Iterable[tuple[str, Json]], done: Callable[[Json], None]) -> None:
        """Create (collection, object) of a sequence, IN_FLIGHT at once; `done` hears of each answer."""
        waiting = iter(objects)

        async def loop() -> None:
            for path, body in waiting:
                done(await self.send("POST", path, body))

        await asyncio.gather(*(loop() for _ in range(IN_FLIGHT)))

    async def watch(self, path: str, seen: Callable[[float, str, Json], None]) -> None:
        """Tell of every event of a collection until cancelled, with the moment by the monotonic clock."""
        version = (await self.send("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        while True:
            parameters = f"{path}?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
            async with self._session.get(parameters, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                if answer.status != 200:
                    raise RequestError(f"watch of {path}: {answer.status}")
                async for line in answer.content:
                    now = time.monotonic()
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise RequestError(f"watch of {path}: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        seen(now, event["type"], event["object"])


@asynccontextmanager
async def connected(url: str, ca: bytes, token: str) -> AsyncIterator[Client]:
    """Open a user's connections for the time of the block."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=ca.decode()), limit=0)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        url, connector=connector, headers=headers, read_bufsize=LINE_BYTES, timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        yield Client(session)


async def while_running(task: Awaitable[None], others: list[asyncio.Task[Any]]) -> None:
    """Await something; raise what one of the others dies of meanwhile, so that nobody waits for the dead."""
    main = asyncio.ensure_future(task)
    try:
        done, _ = await asyncio.wait([main, *others], return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
        await main
    finally:
        main.cancel()
