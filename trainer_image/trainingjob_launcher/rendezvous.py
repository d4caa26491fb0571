"""Where launchers meet: the chief's `Listener` and the other members' `Caller`.

Both turn a TCP connection into events for their state machines and know nothing else. Whoever connects has
`handshake` seconds and `MAX_NEWCOMERS` places to prove that it holds the job's key; when the places are full the
oldest stranger goes, so that nobody can lock members out by just sitting there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import time
from typing import Any, Callable, Dict, List, Optional, Set

from trainingjob_launcher.channel import Channel, LostError, Timeout, read_handshake
from trainingjob_launcher.log import say
from trainingjob_launcher.messages import Hello, MessageError
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.wire import MAX_LINE, ChiefHandshake, MemberHandshake, WireError

MAX_NEWCOMERS = 32
#: Waits between two attempts to reach the chief: from the first to the second, times a random factor.
BACKOFF = (0.1, 1.0)
CONNECT_SECONDS = 3.0

Frame = Dict[str, Any]


def listening_socket(port: int) -> socket.socket:
    """Return a socket that listens on all addresses, IPv6 and IPv4 where the machine has both.

    Raises:
        OSError: the port is taken.
    """
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # a kernel without IPv6 says so only here
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=128, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port), backlog=128)


class Listener:
    """The chief's end. Calls, all from the event loop:

    `joined(hello, connection)` once per authenticated member, `frame(member, connection, frame)` for what it says,
    `lost(member, connection, why)` once when it is gone. `connection` is a number never used twice, from 1 on.
    """

    def __init__(
        self,
        key: bytes,
        timings: Timings,
        joined: Callable[[Hello, int], None],
        frame: Callable[[str, int, Frame], None],
        lost: Callable[[str, int, str], None],
    ) -> None:
        self._key = key
        self._timings = timings
        self._joined = joined
        self._frame = frame
        self._lost = lost
        self._numbers = itertools.count(1)
        self._channels: Dict[int, Channel] = {}
        self._newcomers: List[asyncio.StreamWriter] = []
        self._tasks: Set[asyncio.Future[None]] = set()
        self._server: Optional[asyncio.AbstractServer] = None

    async def start(self, sock: socket.socket) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, sock=sock, limit=MAX_LINE)

    def send(self, connection: int, frame: Frame) -> None:
        """Send a frame to a connection, if it is still there."""
        channel = self._channels.get(connection)
        if channel is not None:
            channel.send(frame)

    def refuse(self, connection: int, why: str) -> None:
        """Tell a connection that it is not wanted, and close it."""
        channel = self._channels.get(connection)
        if channel is not None:
            channel.send({"t": "refused", "why": why})
            self._keep(channel.close())

    def drop(self, connection: int, why: str) -> None:
        """End a connection at once, without a word; `lost` follows."""
        channel = self._channels.get(connection)
        if channel is not None:
            channel.drop(why)

    async def close(self) -> None:
        """Send what waits and end all connections, within a second."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    def _keep(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._newcomers) >= MAX_NEWCOMERS:
            self._newcomers.pop(0).transport.abort()
        self._newcomers.append(writer)
        try:
            channel, hello = await asyncio.wait_for(self._meet(reader, writer), self._timings.handshake)
        except (LostError, WireError, MessageError, OSError, Timeout):
            writer.transport.abort()
            return
        finally:
            with contextlib.suppress(ValueError):
                self._newcomers.remove(writer)
        connection = next(self._numbers)
        self._channels[connection] = channel
        try:
            self._joined(hello, connection)
            while True:
                self._frame(hello.member, connection, await channel.receive())
        except (LostError, MessageError) as error:
            channel.drop(str(error))
            del self._channels[connection]
            self._lost(hello.member, connection, str(error))

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[Channel, Hello]:
        handshake = ChiefHandshake(self._key)
        writer.write(handshake.challenge())
        answer, session = handshake.answer(await read_handshake(reader))
        writer.write(answer)
        channel = Channel(reader, writer, session, self._timings)
        try:
            hello = Hello.from_json(await channel.receive())
            if hello.member != session.member:
                raise MessageError("it says it is somebody else than it proved")
        except BaseException:
            channel.drop("the handshake failed")
            raise
        return channel, hello


class Caller:
    """A member's end: keeps looking for the chief, then reads it.

    Calls `connected()`, `frame(frame)` and `lost(why)` from the event loop, `lost` once per `connected`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        key: bytes,
        hello: Callable[[str], Hello],
        member: str,
        timings: Timings,
        connected: Callable[[], None],
        frame: Callable[[Frame], None],
        lost: Callable[[str], None],
    ) -> None:
        self._address = address
        self._key = key
        self._hello = hello
        self._member = member
        self._timings = timings
        self._connected = connected
        self._frame = frame
        self._lost = lost
        self._channel: Optional[Channel] = None
        self._task: Optional[asyncio.Future[None]] = None

    def connect(self, delay: float = 0.0) -> None:
        """Look for the chief until it answers, beginning in `delay` seconds."""
        self._task = asyncio.ensure_future(self._run(delay))

    def send(self, frame: Frame) -> None:
        """Send a frame to the chief, if it is there."""
        if self._channel is not None:
            self._channel.send(frame)

    def drop(self, why: str) -> None:
        """End the connection; `lost` is called with `why`."""
        if self._channel is not None:
            self._channel.drop(why)

    async def close(self) -> None:
        """Send what waits and stop looking, within a second."""
        if self._channel is not None:
            await self._channel.close()
        if self._task is not None:
            self._task.cancel()

    async def _run(self, delay: float) -> None:
        if delay > 0:
            await asyncio.sleep(delay)
        self._channel = await self._find()
        self._connected()
        try:
            while True:
                self._frame(await self._channel.receive())
        except (LostError, MessageError) as error:
            self._channel.drop(str(error))
            self._channel = None
            self._lost(str(error))

    async def _find(self) -> Channel:
        host, port = self._address
        delay, said = BACKOFF[0], time.monotonic()
        while True:
            try:
                return await asyncio.wait_for(self._meet(), CONNECT_SECONDS + self._timings.handshake)
            except (LostError, WireError) as error:
                why = f"the handshake failed: {error}; do both have the same TRAININGJOB_KEY?"
            except Timeout:
                why = "it does not answer"
            except OSError as error:
                why = error.strerror or str(error) or type(error).__name__
            if time.monotonic() - said >= self._timings.patience:
                said = time.monotonic()
                say(f"waiting for the chief at {host}:{port} ({why})")
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(BACKOFF[1], delay * 2)

    async def _meet(self) -> Channel:
        # The name is resolved at each attempt: the chief's pod may have been replaced. Several addresses are
        # tried side by side: an old one may lead nowhere.
        opening = asyncio.open_connection(
            *self._address, limit=MAX_LINE, happy_eyeballs_delay=0.25, family=socket.AF_UNSPEC
        )
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        try:
            handshake = MemberHandshake(self._key, self._member)
            writer.write(handshake.respond(await read_handshake(reader)))
            session = handshake.session(await read_handshake(reader))
        except BaseException:
            writer.transport.abort()
            raise
        channel = Channel(reader, writer, session, self._timings)
        channel.send(self._hello(_own_host(writer)).to_json())
        return channel


def _own_host(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("sockname")
    return str(name[0]) if name else ""


def join_address(host: str, port: int) -> str:
    """Return HOST:PORT, IPv6 addresses in brackets, an IPv4 address in IPv6 clothes without them."""
    if host.lower().startswith("::ffff:") and "." in host:
        host = host[len("::ffff:") :]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
