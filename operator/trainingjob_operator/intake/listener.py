"""The TLS port: from an accepted socket to an HTTP connection, with a bound on all that strangers can open.

asyncio's own TLS server neither says when a handshake has begun nor lets go of one, and holds a buffer of 256 KiB for
every connection: a thousand chiefs would be 285 MiB (measured), more than half of what the chart allows the operator.
"""

import asyncio
import resource
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from trainingjob_operator.intake.connections import ConnectionLimits, Roster
from trainingjob_operator.intake.server import ROSTER, SILENT

#: Files that the rest of the operator may have open: watches, requests, its log.
_OTHER_FILES = 256
_READ_BUFFER = 16 * 1024


@dataclass(frozen=True)
class Patience:
    """Seconds that a client has. `idle` is also the time for a request's headers."""

    handshake: float = 10.0
    idle: float = 30.0
    shutdown: float = 2.0


class IntakeServer:
    """Serves an application on one TLS port."""

    def __init__(
        self,
        app: web.Application,
        context: ssl.SSLContext,
        patience: Patience | None = None,
        connections: ConnectionLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._patience = patience or Patience()
        limits = connections or ConnectionLimits()
        self.roster = Roster(replace(limits, total=min(limits.total, files_left())), clock)
        app[ROSTER] = self.roster
        # Bodies are limited before they are unpacked, so packed ones are not taken.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=SILENT,
            keepalive_timeout=self._patience.idle,
            lingering_time=1.0,
            read_bufsize=_READ_BUFFER,
            auto_decompress=False,
            handler_cancellation=True,
            shutdown_timeout=self._patience.shutdown,
        )
        self._server: asyncio.Server | None = None

    async def start(self, host: str | None, port: int) -> int:
        """Listen; return the port, which is another one than asked for if that was 0."""
        await self._runner.setup()
        # asyncio accepts up to `backlog` connections before it looks at those that are open: a burst of strangers
        # must not keep them waiting for long.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Door(self._admit), host, port, backlog=128
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment, and close."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _admit(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        http = self._runner.server() if self._runner.server is not None else None
        if http is None or not self.roster.admit(http, address, transport.abort):
            transport.abort()
            return
        tls = _Tls(http, self._context, self._patience, lambda: self.roster.lost(http))
        transport.set_protocol(tls)
        tls.connection_made(transport)


class _Door(asyncio.Protocol):
    """Where a connection is before it is known whether there is room for it."""

    def __init__(self, admit: Callable[[asyncio.Transport], None]) -> None:
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._admit(transport)


class _Tls(sslproto.SSLProtocol):
    """asyncio's TLS with a smaller buffer, one record's, which says when the connection is over."""

    max_size = 16 * 1024 + 512

    def __init__(
        self, http: asyncio.Protocol, context: ssl.SSLContext, patience: Patience, on_lost: Callable[[], None]
    ) -> None:
        nobody: Any = None  # waits for the handshake: `http` is told when it is done
        seconds: Any = patience.handshake  # a fraction is fine
        super().__init__(
            asyncio.get_running_loop(),
            http,
            context,
            nobody,
            server_side=True,
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=seconds,
        )
        self._on_lost = on_lost

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._on_lost()


def files_left() -> int:
    """Raise the limit of open files as far as it goes, and return how many of them may be connections.

    Container runtimes start programs with a soft limit of 1024 and a far higher hard one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(16, hard - _OTHER_FILES) if hard != resource.RLIM_INFINITY else 2**31
