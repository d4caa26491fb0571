"""Listener and Caller over real sockets in one event loop, and what strangers do to them: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.launcher.machines import hello
from trainingjob_launcher import rendezvous
from trainingjob_launcher.rendezvous import MAX_NEWCOMERS, Caller, Listener, listening_socket
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.wire import MAX_LINE, MemberHandshake

KEY = b"k" * 32
FAST = Timings(heartbeat=0.05, silence=0.4, handshake=0.3)


class Meeting:
    """A listener and what it has heard; `happened` waits for an event."""

    def __init__(self, timings: Timings = FAST) -> None:
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.timings = timings
        self.listener = Listener(
            KEY,
            timings,
            lambda who, connection: self.events.put_nowait(("joined", who.member, connection)),
            lambda who, connection, frame: self.events.put_nowait(("frame", who, frame)),
            lambda who, connection, why: self.events.put_nowait(("lost", who, why)),
        )
        self.callers: list[Caller] = []

    async def open(self) -> Meeting:
        sock = listening_socket(0)
        self.port = sock.getsockname()[1]
        await self.listener.start(sock)
        return self

    def call(self, name: str = "worker-0", key: bytes = KEY, claims: str = "") -> Caller:
        caller = Caller(
            ("127.0.0.1", self.port),
            key,
            lambda _: hello(claims or name),
            name,
            self.timings,
            lambda: self.events.put_nowait(("connected", name)),
            lambda frame: self.events.put_nowait(("told", name, frame)),
            lambda why: self.events.put_nowait(("gone", name, why)),
        )
        caller.connect()
        self.callers.append(caller)
        return caller

    async def happened(self, kind: str) -> tuple[Any, ...]:
        async with asyncio.timeout(10):
            while True:
                event = await self.events.get()
                if event[0] == kind:
                    return event

    async def stranger(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=MAX_LINE)


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    meeting = await Meeting().open()
    yield meeting
    for caller in meeting.callers:
        await caller.close()
    await meeting.listener.close()


async def test_a_member_joins_and_both_are_heard(meeting: Meeting) -> None:
    caller = meeting.call()
    assert await meeting.happened("joined") == ("joined", "worker-0", 1)
    caller.send({"t": "exit"})
    assert await meeting.happened("frame") == ("frame", "worker-0", {"t": "exit"})
    meeting.listener.send(1, {"t": "start"})
    assert await meeting.happened("told") == ("told", "worker-0", {"t": "start"})


async def test_a_closed_connection_is_noticed_on_both_sides(meeting: Meeting) -> None:
    caller = meeting.call()
    await meeting.happened("joined")
    caller.drop("enough")
    assert (await meeting.happened("gone"))[2] == "enough"
    meeting.call("worker-1")
    await meeting.happened("joined")
    await meeting.listener.close()
    assert (await meeting.happened("gone"))[2] == "the connection was closed"


async def test_refused_members_are_told_why(meeting: Meeting) -> None:
    meeting.call()
    await meeting.happened("joined")
    meeting.listener.refuse(1, "the job has ended")
    assert (await meeting.happened("told"))[2] == {"t": "refused", "why": "the job has ended"}
    assert await meeting.happened("gone")


@pytest.mark.parametrize("fault", ["wrong key", "another's name"])
async def test_who_can_not_prove_who_it_is_does_not_join(meeting: Meeting, fault: str) -> None:
    meeting.call("worker-0", *((b"x" * 32,) if fault == "wrong key" else (KEY, "worker-1")))
    meeting.call("worker-2")
    assert (await meeting.happened("joined"))[1] == "worker-2"


async def test_a_stranger_that_says_nothing_is_dropped_after_the_deadline(meeting: Meeting) -> None:
    reader, writer = await meeting.stranger()
    async with asyncio.timeout(10):
        assert b"nonce" in await reader.readline()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_a_member_that_proves_itself_and_then_says_nothing_is_dropped(meeting: Meeting) -> None:
    reader, writer = await meeting.stranger()
    handshake = MemberHandshake(KEY, "worker-0")
    writer.write(handshake.respond(await reader.readline()))
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()
    assert meeting.events.empty()


async def test_when_all_places_are_taken_the_oldest_stranger_goes() -> None:
    patient = await Meeting(Timings(handshake=60.0)).open()
    strangers = [await patient.stranger() for _ in range(MAX_NEWCOMERS + 3)]
    async with asyncio.timeout(10):
        for reader, _ in strangers[:3]:
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(100):
                    pass
        assert b"nonce" in await strangers[-1][0].readline()
    patient.call()
    assert (await patient.happened("joined"))[1] == "worker-0"
    for _, writer in strangers:
        writer.close()
    for caller in patient.callers:
        await caller.close()
    await patient.listener.close()


async def test_a_frame_that_was_tampered_with_ends_that_connection_only(meeting: Meeting) -> None:
    meeting.call("worker-1")
    await meeting.happened("joined")
    reader, writer = await meeting.stranger()
    handshake = MemberHandshake(KEY, "worker-0")
    writer.write(handshake.respond(await reader.readline()))
    session = handshake.session(await reader.readline())
    writer.write(session.seal(hello("worker-0").to_json()))
    await meeting.happened("joined")
    writer.write(session.seal({"t": "exit", "code": 0}).replace(b"0", b"1"))
    event = await meeting.happened("lost")
    assert event[1] == "worker-0"
    assert "not signed" in event[2]
    meeting.callers[0].send({"t": "exit"})
    assert (await meeting.happened("frame"))[1] == "worker-1"
    writer.close()


async def test_a_peer_that_does_not_read_is_dropped(meeting: Meeting) -> None:
    reader, writer = await meeting.stranger()
    handshake = MemberHandshake(KEY, "worker-0")
    writer.write(handshake.respond(await reader.readline()))
    session = handshake.session(await reader.readline())
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(session.seal(hello("worker-0").to_json()))
    await meeting.happened("joined")
    for _ in range(400):
        meeting.listener.send(1, {"text": "x" * 60_000})
    assert (await meeting.happened("lost"))[2] == "it does not read what it is sent"
    writer.transport.abort()


async def test_the_caller_finds_a_chief_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "BACKOFF", (0.01, 0.02))
    late = Meeting()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        late.port = sock.getsockname()[1]
    late.call()
    sock = listening_socket(late.port)
    await late.listener.start(sock)
    assert (await late.happened("joined"))[1] == "worker-0"
    await late.callers[0].close()
    await late.listener.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.binary(max_size=300) | st.just(b"\n") | st.just(b"{" * 70_000), min_size=1, max_size=5))
def test_garbage_never_joins_and_never_breaks_the_listener(chunks: list[bytes]) -> None:
    async def scene() -> None:
        meeting = await Meeting().open()
        _, writer = await meeting.stranger()
        for chunk in chunks:
            writer.write(chunk)
        writer.write_eof()
        meeting.call("worker-1")
        assert (await meeting.happened("joined"))[1] == "worker-1"
        writer.transport.abort()
        await meeting.callers[0].close()
        await meeting.listener.close()

    asyncio.run(scene())
