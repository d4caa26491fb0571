"""`/metrics` over plain HTTP, on a port of its own: the intake's certificate and limits are not for Prometheus."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from trainingjob_operator.telemetry.exposition import CONTENT_TYPE, Chunks

#: Below this the network is quicker than packing.
MIN_PACKED_BYTES = 16 * 1024


def make_app(chunks: Callable[[], Awaitable[Chunks]]) -> web.Application:
    """Return the application; `chunks` makes what is shown, in pieces."""

    async def metrics(request: web.Request) -> web.Response:
        parts = await chunks()
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        packed = "gzip" in request.headers.get("Accept-Encoding", "") and sum(map(len, parts)) >= MIN_PACKED_BYTES
        if not packed:
            return web.Response(body=b"".join(parts), headers=headers)
        # In a thread: zlib lets the interpreter go meanwhile.
        body = await asyncio.get_running_loop().run_in_executor(None, _gzip, parts)
        return web.Response(body=body, headers=headers | {"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


class MetricsServer:
    """Serves the application on one port."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, keepalive_timeout=75.0, shutdown_timeout=2.0
        )

    async def start(self, host: str | None, port: int) -> int:
        """Listen; return the port, which is another one than asked for if that was 0."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and close."""
        await self._runner.cleanup()


def _gzip(parts: Chunks) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return b"".join((*map(packer.compress, parts), packer.flush()))
