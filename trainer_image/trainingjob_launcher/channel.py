"""One authenticated connection between two launchers: frames, heartbeats, and the end of patience."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Dict, Optional

from trainingjob_launcher.settings import Timings
from trainingjob_launcher.wire import MAX_HANDSHAKE_LINE, MAX_LINE, Session, WireError

BEAT: Dict[str, Any] = {"t": "beat"}
#: A peer that does not take what we send is dropped when this much waits for it.
MAX_UNSENT = 1024 * 1024


#: Until Python 3.11 not the built-in one.
Timeout = asyncio.TimeoutError


class LostError(Exception):
    """The connection is over; the text says why, for a person."""


async def read_line(reader: asyncio.StreamReader, limit: int = MAX_LINE) -> bytes:
    """Return the next line.

    Raises:
        LostError: the connection has ended, or the line is longer than `limit`.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise LostError("the connection was closed") from error
    except asyncio.LimitOverrunError as error:
        raise LostError("it sent a line above the limit") from error
    except OSError as error:
        raise LostError(f"the connection broke ({error.strerror or type(error).__name__})") from error
    if len(line) > limit:
        raise LostError("it sent a line above the limit")
    return line


async def read_handshake(reader: asyncio.StreamReader) -> bytes:
    """Return the next line of somebody unknown."""
    return await read_line(reader, MAX_HANDSHAKE_LINE)


class Channel:
    """An authenticated connection. `send` never blocks; `receive` ends with `LostError` after silence."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Session,
        timings: Timings,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._session = session
        self._timings = timings
        self._why: Optional[str] = None
        self._beats = asyncio.ensure_future(self._beat())
        # No delay: frames are small and each matters.
        sock = writer.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def member(self) -> str:
        """The member at the other end, or, on a member's side, this one."""
        return self._session.member

    @property
    def peer_host(self) -> str:
        """The other end's IP address."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if name else ""

    def send(self, frame: Dict[str, Any]) -> None:
        """Send a frame, or drop the connection when the peer does not take them."""
        if self._writer.is_closing():
            return
        self._writer.write(self._session.seal(frame))
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self.drop("it does not read what it is sent")

    async def receive(self) -> Dict[str, Any]:
        """Return the next frame that is no heartbeat; raises LostError when the connection is over."""
        while True:
            try:
                line = await asyncio.wait_for(read_line(self._reader), self._timings.silence)
                frame = self._session.open(line)
            except Timeout as error:
                raise LostError(self._why or f"nothing was heard for {self._timings.silence:g} s") from error
            except (WireError, LostError) as error:
                raise LostError(self._why or str(error)) from error
            if frame != BEAT:
                return frame

    def drop(self, why: str) -> None:
        """End the connection at once; `receive` then raises LostError with `why`."""
        if self._why is None:
            self._why = why
        self._beats.cancel()
        self._writer.transport.abort()

    async def close(self, patience: float = 1.0) -> None:
        """Send what waits, for at most `patience` seconds, and end the connection."""
        self._beats.cancel()
        self._writer.close()
        with contextlib.suppress(OSError, Timeout):
            await asyncio.wait_for(self._writer.wait_closed(), patience)
        self._writer.transport.abort()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._timings.heartbeat)
            self.send(BEAT)
