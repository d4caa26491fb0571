"""How long a connection lives in silence, on a clock of the test's own (looptime)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from trainingjob_launcher.channel import Channel, LostError
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.wire import FROM_CHIEF, FROM_MEMBER, Session

NONCES = ("a", "b")


async def ends(
    left: socket.socket, right: socket.socket
) -> tuple[Channel, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(sock=left)
    channel = Channel(reader, writer, Session(b"k", NONCES, "worker-0", FROM_CHIEF), Timings())
    return channel, *await asyncio.open_connection(sock=right)


@pytest.mark.looptime
async def test_five_seconds_of_silence_are_the_end(looptime: object) -> None:
    channel, _, writer = await ends(*socket.socketpair())
    with pytest.raises(LostError, match="nothing was heard for 5 s"):
        await channel.receive()
    assert looptime == 5
    channel.drop("over")
    writer.close()


@pytest.mark.looptime
async def test_a_drip_of_bytes_that_is_no_frame_is_silence(looptime: object) -> None:
    channel, _, writer = await ends(*socket.socketpair())

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(1)

    task = asyncio.ensure_future(drip())
    with pytest.raises(LostError, match="nothing was heard for 5 s"):
        await channel.receive()
    assert looptime == 5
    task.cancel()
    channel.drop("over")
    writer.close()


@pytest.mark.looptime
async def test_a_beat_each_second_is_sent_and_keeps_the_other_side_patient(looptime: object) -> None:
    channel, reader, writer = await ends(*socket.socketpair())
    member = Session(b"k", NONCES, "worker-0", FROM_MEMBER)

    async def other_side() -> None:
        for _ in range(30):
            assert member.open(await reader.readline()) == {"t": "beat"}
            writer.write(member.seal({"t": "beat"}))
        writer.write(member.seal({"t": "exit"}))

    task = asyncio.ensure_future(other_side())
    assert await channel.receive() == {"t": "exit"}
    assert looptime == 30
    await task
    channel.drop("over")
    writer.close()
