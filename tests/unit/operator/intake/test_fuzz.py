"""Twelve thousand requests that no launcher sends, at a real server, while a well-behaved job reports beside them.

Whatever comes, the answer is a 4xx or a closed connection; nothing is logged; nothing is kept; what is taken can be
shown in a status; and the well-behaved job loses no report and waits for none.
"""

import asyncio
import collections
import contextlib
import gc
import itertools
import json
import logging
import os
import random
import re
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.web_protocol import RequestHandler

from tests.unit.operator.intake.corpus import Attack, Heads, documents, every_field_with_every_value, tokens
from tests.unit.operator.intake.signer import Signer
from tests.unit.operator.intake.world import CA, GOOD, PATH, World, serving
from trainingjob_launcher.reporter import Intake as Launcher
from trainingjob_operator.intake.connections import ConnectionLimits
from trainingjob_operator.intake.limits import ReportRates
from trainingjob_operator.intake.listener import Patience
from trainingjob_operator.intake.server import Limits
from trainingjob_operator.intake.view import fragment

SEED = 20261122
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: Small, so that slow clients are done with soon; refusals are not held back, so that there is time for many.
QUICK = Limits(body=0.2, refusal=0.0)
PATIENCE = Patience(handshake=0.3, idle=0.3)
FAST = ReportRates(job=1e9, namespace=1e9, job_burst=10**9, clock=time.monotonic)
CONNECTIONS = ConnectionLimits(total=100, per_address=100, rate=1e6, burst=10**6)


@dataclass
class Watch:
    """What went wrong, as the log and the event loop heard it."""

    troubles: list[str] = field(default_factory=list)
    codes: collections.Counter[int] = field(default_factory=collections.Counter)
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)

    def answered(self, kind: str, answer: bytes) -> None:
        """Note the answers of one connection."""
        self.kinds[kind] += 1
        for code in re.findall(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) [A-Z]", answer):
            self.codes[int(code)] += 1
        if answer and not answer.startswith(b"HTTP/"):
            self.troubles.append(f"{kind}: {answer[:200]!r}")

    def check(self) -> None:
        """Nothing was a defect of ours."""
        assert self.troubles == []
        assert {code for code in self.codes if code >= 500 or code < 200} <= {100}


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            watch.troubles.append(self.format(record))

    handler = Handler(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(handler)


class Behaved:
    """A well-behaved job, which reports with the launcher's own client the whole time.

    A connection that is closed under it before it was known may cost it another try, as the launcher makes one.
    """

    def __init__(self, world: World, token_file: Path) -> None:
        self.world = world
        token_file.write_text(world.add("good", "citizen"))
        url = f"https://127.0.0.1:{world.port}{PATH.replace('/ns/', '/good/').replace('/job/', '/citizen/')}"
        self.client = Launcher(url, CA.certificate.decode(), str(token_file))
        self.waits: list[float] = []
        self.tries = 0
        self.enough = False

    async def run(self) -> None:
        for sequence in itertools.count(1):
            if self.enough:
                return
            started = time.perf_counter()
            status = await self.post(replace(GOOD, sequence=sequence).encode())
            self.waits.append(time.perf_counter() - started)
            entry = self.world.store.get("u-good-citizen")
            assert status == 204, f"report {sequence} of the well-behaved job: {status}"
            assert entry is not None
            assert entry.report.sequence == sequence
            await asyncio.sleep(0.02)

    async def post(self, body: bytes) -> int:
        for _ in range(10):
            self.tries += 1
            with contextlib.suppress(OSError):
                return (await asyncio.to_thread(self.client.post, body)).status
        return 0


@contextlib.asynccontextmanager
async def under_fire(watch: Watch) -> AsyncIterator[World]:
    """Serve, with the well-behaved job beside whatever the test does, and look for traces afterwards."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: watch.troubles.append(str(context)))
    async with serving(QUICK, PATIENCE, CONNECTIONS, FAST) as world:
        with tempfile.TemporaryDirectory() as folder:
            behaved = Behaved(world, Path(folder, "token"))
            task = asyncio.create_task(behaved.run())
            before = len(asyncio.all_tasks())
            try:
                yield world
                if task.done():
                    task.result()
                assert len(behaved.waits) > 10
                slowest = 1000 * max(behaved.waits)
                told = f"{len(behaved.waits)} reports in {behaved.tries} tries"
                print(f"well-behaved: {told}, the slowest took {slowest:.0f} ms")
                assert slowest < 3000, "what the launcher waits for an answer"
                # Nothing is left of the strangers, as soon as the last one's time is over.
                async with asyncio.timeout(20):
                    while len(world.server.roster) > 1 or len(asyncio.all_tasks()) > before + 1:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            finally:
                # Its posts are a thread's: one that was cancelled here would open its connection after the close.
                behaved.enough = True
                await asyncio.gather(task, return_exceptions=True)
                behaved.client.close()
    watch.check()


async def opened(world: World, tries: int = 1) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect. On a busy machine a handshake may take longer than its time, as the server has it here."""
    for _ in range(tries - 1):
        with contextlib.suppress(ConnectionError):
            return await asyncio.open_connection("127.0.0.1", world.port, ssl=TRUST)
    return await asyncio.open_connection("127.0.0.1", world.port, ssl=TRUST)


TRUST = ssl.create_default_context(cadata=CA.certificate.decode())


async def assault(world: World, watch: Watch, attack: Attack) -> None:
    """Send the bytes of one attack over a connection of its own, and read until the server has enough."""
    reader, writer = await opened(world, tries=20)
    answer = b""
    try:
        writer.write(attack.data)
        if attack.then == "abort":
            writer.transport.abort()
        elif attack.then == "hang up":
            writer.close()
        else:
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 20)
    except OSError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    watch.answered(attack.kind, answer)


class Lane:
    """One connection over which well-formed requests go, one after the other."""

    def __init__(self, world: World, watch: Watch) -> None:
        self.world = world
        self.watch = watch
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, token: str, body: bytes) -> int:
        """Send one; return the status."""
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: i\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if self.streams is None:
            self.streams = await opened(self.world)
        reader, writer = self.streams
        writer.write(head.encode("utf-8", "surrogatepass") + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        fields = dict(line.split(b": ", 1) for line in answer.lower().split(b"\r\n")[1:-2])
        text = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if text:
            sentence = json.loads(text)["error"]
            assert "\n" not in sentence, sentence
            assert 10 < len(sentence) < 400, sentence
        if fields.get(b"connection") == b"close":
            await self.close()
        self.watch.answered("request", answer)
        return int(answer[9:12])

    async def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            with contextlib.suppress(OSError):
                await self.streams[1].wait_closed()
            self.streams = None


async def in_lanes(world: World, watch: Watch, work: Iterator[Any], do: Any, lanes: int) -> None:
    """Work through an iterator from several connections at once."""

    async def lane() -> None:
        mine = Lane(world, watch)
        for item in work:
            await do(mine, item)
        await mine.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())


def showable(world: World, uid: str, shown: dict[str, Any]) -> None:
    """What was taken goes into a status: nothing in it is more than JSON can carry."""
    entry = world.store.get(uid)
    if entry is not None:
        shown["status"] = fragment(entry.report, entry.received_at, shown.get("status"))
        text = orjson.dumps(shown["status"])
        assert orjson.loads(text) == shown["status"], "no bare NaN, which orjson would write as null"
        assert len(text) < 200_000
        orjson.dumps(entry.report.to_json())  # the failure too, which others write


async def test_odd_documents_of_a_jobs_own_chief(watch: Watch) -> None:
    """Every field with every odd value, then mixtures: its own token opens the door to all of the decoding."""
    chance = random.Random(SEED)
    work = itertools.chain(every_field_with_every_value(), itertools.islice(documents(chance), 3500))
    token = Signer().token()
    statuses: collections.Counter[int] = collections.Counter()
    shown: dict[str, Any] = {}
    memory: list[float] = []

    async def post(lane: Lane, body: bytes) -> None:
        lane.world.store.drop("u-1")  # or the highest numbers would make all others old
        code = await lane.post(token, body)
        statuses[code] += 1
        assert code in (204, 400, 403, 409), (code, body[:300])
        if code == 204:
            showable(lane.world, "u-1", shown)
        if sum(statuses.values()) in (1000, 2000):
            memory.append(resident())

    async with under_fire(watch) as world:
        await in_lanes(world, watch, work, post, 1)
        gc.collect()
        assert resident() - memory[-1] < 24, "MiB more than after the first two thousand"
    print(f"{statuses.total()} documents: {dict(statuses)}")
    assert statuses.total() > 7000
    assert statuses[204] > 300, "some of the odd values are lawful: they must reach the status"
    assert statuses[400] > 3000


async def test_tokens_that_are_not_good(watch: Watch) -> None:
    chance = random.Random(SEED)
    body = GOOD.encode()
    codes: collections.Counter[int] = collections.Counter()

    async def post(lane: Lane, token: str) -> None:
        code = await lane.post(token, body)
        codes[code] += 1
        assert code in (400, 401), (code, token)

    async with under_fire(watch) as world:
        await in_lanes(world, watch, itertools.islice(tokens(chance), 2000), post, 4)
        assert world.store.get("u-1") is None
    print(f"{codes.total()} tokens: {dict(codes)}")


async def test_requests_that_are_not_quite_http(watch: Watch) -> None:
    chance = random.Random(SEED)
    async with under_fire(watch) as world:
        attacks = itertools.islice(Heads(chance, PATH, Signer().token()).all(), 2000)

        async def attack(_lane: Lane, one: Attack) -> None:
            await assault(world, watch, one)

        await in_lanes(world, watch, attacks, attack, 80)
    gc.collect()
    left = sum(isinstance(one, RequestHandler) for one in gc.get_objects())
    assert left == 0, f"{left} connections were never let go"
    print(f"{watch.kinds.total()} connections: {dict(watch.kinds)}; answers {dict(watch.codes)}")
    assert watch.kinds.total() == 2000
    assert {400, 401, 404, 405, 408, 413, 415, 417} <= set(watch.codes)


async def test_slow_silent_and_numerous_clients(watch: Watch) -> None:
    """Three times as many as there is room for; a good part of them never says a word of TLS, or none that is any."""
    chance = random.Random(SEED)
    head = f"POST {PATH} HTTP/1.1\r\nHost: i\r\nAuthorization: Bearer {Signer().token()}\r\n".encode()

    async def slowly(world: World, data: bytes) -> None:
        try:
            reader, writer = await opened(world)
        except OSError:
            return  # made room for another before it was there
        with contextlib.suppress(OSError):
            for byte in data:
                if reader.at_eof():
                    break
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
            watch.answered("slow", await asyncio.wait_for(reader.read(), 20))
        writer.close()

    async def raw(world: World, data: bytes, *, half: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        with contextlib.suppress(OSError):
            writer.write(data)
            if half:
                writer.write_eof()
            await asyncio.wait_for(reader.read(), 20)
        writer.close()
        watch.kinds["raw"] += 1

    async def deaf(world: World) -> None:
        """Asks and asks, and never reads an answer."""
        with contextlib.suppress(OSError, TimeoutError):
            _, writer = await opened(world)
            try:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                # Who reads nothing isn't told that the server has gone; asyncio warns of the sixth write after that.
                for _ in range(5):
                    writer.write(10 * (head + b"\r\n"))
                    await asyncio.wait_for(writer.drain(), 0.2)
            finally:
                writer.transport.abort()
        watch.kinds["deaf"] += 1

    async with under_fire(watch) as world, asyncio.TaskGroup() as group:
        for number in range(300):
            kind = number % 5
            if kind == 0:
                group.create_task(slowly(world, head + b"X: " + b"y" * 100))
            elif kind == 1:
                group.create_task(slowly(world, head + b"Content-Length: 100\r\n\r\n{" + b" " * 30))
            elif kind == 2:
                group.create_task(raw(world, b"", half=chance.random() < 0.5))
            elif kind == 3:
                hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
                data = chance.choice([chance.randbytes(600), b"GET / HTTP/1.1\r\n\r\n", hello, hello + bytes(600)])
                group.create_task(raw(world, data, half=chance.random() < 0.5))
            else:
                group.create_task(deaf(world))
    print(f"{dict(watch.kinds)}; answers {dict(watch.codes)}")


def resident() -> float:
    """Return the memory of this process, client and server, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
