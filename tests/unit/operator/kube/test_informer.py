"""The informer against a real HTTP server that misbehaves like a real API server does.

Nothing here sleeps: back-off is recorded, and every step is awaited by what it causes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import pytest
from aiohttp import web

from tests.unit.operator.kube.api_server import ApiServer, answer, api_server, client_of, status
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.informer import Informer
from trainingjob_operator.kube.resources import PODS
from trainingjob_operator.kube.transport import Options
from trainingjob_operator.kube.watch import Lines


class Pod(NamedTuple):
    uid: str
    owner: str
    phase: str


def project(body: dict[str, Any]) -> Pod:
    return Pod(body["metadata"]["uid"], body["metadata"].get("owner", "job"), body["status"]["phase"])


def pod(uid: str, version: int, phase: str = "Pending", owner: str = "job") -> dict[str, Any]:
    metadata = {"uid": uid, "name": f"p-{uid}", "resourceVersion": str(version), "owner": owner}
    return {"metadata": metadata, "status": {"phase": phase}, "spec": {"big": "x" * 1000}}


class Cluster:
    """The server's side: what lists answer, and a script of what each watch does."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.objects: list[dict[str, Any]] = []
        self.version = 1
        self.watches: list[list[Any]] = []
        self.lists = 0
        server.handler = self.handle

    @property
    def watched_from(self) -> list[str]:
        return [seen.query["resourceVersion"] for seen in self.server.seen if "watch" in seen.query]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.lists += 1
            return answer({"items": self.objects, "metadata": {"resourceVersion": str(self.version)}})
        script = self.watches.pop(0) if self.watches else ["hang"]
        if isinstance(script[0], web.Response):
            return script[0]
        response = web.StreamResponse()
        await response.prepare(request)
        for step in script:
            if step == "hang":
                await asyncio.Event().wait()
            elif step == "abort":
                assert request.transport is not None
                request.transport.abort()
            elif isinstance(step, bytes):
                await response.write(step)
            else:
                await response.write(event(*step))
        return response


def event(kind: str, body: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": body}) + b"\n"


ERROR_410 = ("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
ERROR_500 = ("ERROR", {"kind": "Status", "code": 500, "message": "etcdserver: leader changed"})


class Watcher:
    """A running informer, the changes it told of, and the back-offs it took."""

    def __init__(self, server: ApiServer, **kwargs: Any) -> None:
        self.changes: asyncio.Queue[tuple[Pod | None, Pod | None]] = asyncio.Queue()
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self.client = client_of(server, options=Options(attempts=1))
        self.informer: Informer[Pod] = Informer(
            self.client,
            PODS,
            kwargs.pop("project", project),
            owner=lambda fact: fact.owner,
            on_change=lambda old, new: self.changes.put_nowait((old, new)),
            sleep=self.sleep,
            **kwargs,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        await asyncio.sleep(0)

    async def next(self) -> tuple[Pod | None, Pod | None]:
        return await asyncio.wait_for(self.changes.get(), 10)


@asynccontextmanager
async def watching(server: ApiServer, **kwargs: Any) -> AsyncIterator[Watcher]:
    watcher = Watcher(server, **kwargs)
    async with watcher.client:
        task = asyncio.create_task(watcher.informer.run())
        try:
            yield watcher
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), "the informer ended by itself"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with api_server() as server:
        yield Cluster(server)


async def test_lists_then_follows_changes(cluster: Cluster) -> None:
    cluster.objects = [pod("a", 1), pod("b", 1, owner="other")]
    cluster.watches = [
        [
            ("ADDED", pod("c", 2)),
            ("MODIFIED", pod("a", 3, "Running")),
            ("DELETED", pod("c", 4)),
            "hang",
        ]
    ]
    async with watching(cluster.server) as watcher:
        informer = watcher.informer
        assert not informer.synced.is_set()
        changes = [await watcher.next() for _ in range(5)]
        assert informer.synced.is_set()
    a, running = Pod("a", "job", "Pending"), Pod("a", "job", "Running")
    b, c = Pod("b", "other", "Pending"), Pod("c", "job", "Pending")
    assert changes == [(None, a), (None, b), (None, c), (a, running), (c, None)]
    assert (informer.get("a"), informer.get("c"), len(informer)) == (running, None, 2)
    assert informer.of_owner("job") == (running,)
    assert informer.of_owner("nobody") == ()
    assert set(informer) == {running, b}


async def test_what_a_write_returned_is_seen_before_the_watch_tells_of_it(cluster: Cluster) -> None:
    cluster.objects = [pod("a", 5, "Running")]
    cluster.watches = [["hang"]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        watcher.informer.remember(pod("a", 1))
        watcher.informer.remember(pod("b", 6))
        assert watcher.informer.get("a") == Pod("a", "job", "Running"), "what the watch knows is at least as new"
        assert watcher.informer.get("b") == Pod("b", "job", "Pending")


async def test_what_is_gone_does_not_come_back_by_a_late_answer(cluster: Cluster) -> None:
    cluster.objects = []
    cluster.watches = [[("ADDED", pod("a", 2)), ("DELETED", pod("a", 3)), "hang"]]
    async with watching(cluster.server) as watcher:
        assert [(await watcher.next())[1] is None for _ in range(2)] == [False, True]
        watcher.informer.remember(pod("a", 2))
        assert watcher.informer.get("a") is None


async def test_what_changes_nothing_that_matters_is_not_told(cluster: Cluster) -> None:
    cluster.objects = [pod("a", 1)]
    cluster.watches = [[("MODIFIED", pod("a", 2)), ("MODIFIED", pod("a", 3, "Running")), "hang"]]
    async with watching(cluster.server) as watcher:
        assert (await watcher.next())[0] is None
        old, new = await watcher.next()
    assert old is not None
    assert new is not None
    assert (old.phase, new.phase) == ("Pending", "Running")


async def test_an_object_that_changes_owner_moves(cluster: Cluster) -> None:
    cluster.objects = [pod("a", 1, owner="one")]
    cluster.watches = [[("MODIFIED", pod("a", 2, owner="two")), "hang"]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        await watcher.next()
        assert watcher.informer.of_owner("one") == ()
        assert len(watcher.informer.of_owner("two")) == 1


@pytest.mark.parametrize("as_event", [True, False])
async def test_after_410_what_vanished_in_the_gap_is_told_as_deleted(cluster: Cluster, as_event: bool) -> None:
    cluster.objects = [pod("a", 1), pod("b", 1)]
    added = ("ADDED", pod("c", 2))
    cluster.watches = [[added, ERROR_410]] if as_event else [[added], [status(410, "Expired")]]
    async with watching(cluster.server) as watcher:
        for _ in range(2):
            await watcher.next()
        cluster.objects, cluster.version = [pod("a", 8, "Running"), pod("d", 9)], 9
        told = {await watcher.next() for _ in range(5)}
    a, d = Pod("a", "job", "Pending"), Pod("d", "job", "Pending")
    b, c = Pod("b", "job", "Pending"), Pod("c", "job", "Pending")
    assert told == {(None, c), (a, a._replace(phase="Running")), (None, d), (b, None), (c, None)}
    assert set(watcher.informer) == {a._replace(phase="Running"), d}
    assert cluster.watched_from[-1] == "9"


async def test_a_pod_deleted_and_made_again_under_its_name_is_two_pods(cluster: Cluster) -> None:
    cluster.objects = [pod("a", 1)]
    cluster.watches = [[ERROR_410]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        again = pod("z", 5)
        again["metadata"]["name"] = "p-a"
        cluster.objects = [again]
        told = [await watcher.next(), await watcher.next()]
    assert told == [(None, Pod("z", "job", "Pending")), (Pod("a", "job", "Pending"), None)]


async def test_a_dropped_connection_goes_on_where_it_was(cluster: Cluster) -> None:
    cluster.objects, cluster.version = [pod("a", 1)], 5
    cluster.watches = [
        [("ADDED", pod("b", 6)), ("BOOKMARK", {"metadata": {"resourceVersion": "20"}}), "abort"],
        [("DELETED", pod("b", 21)), "hang"],
    ]
    async with watching(cluster.server) as watcher:
        changes = [await watcher.next() for _ in range(3)]
    assert changes[-1] == (Pod("b", "job", "Pending"), None)
    assert cluster.watched_from == ["5", "20"]
    assert cluster.lists == 1


async def test_half_an_event_is_not_an_event(cluster: Cluster) -> None:
    whole = event("ADDED", pod("b", 6))
    cluster.watches = [[whole[:40], "abort"], [whole[:7], whole[7:], "hang"]]
    async with watching(cluster.server) as watcher:
        assert await watcher.next() == (None, Pod("b", "job", "Pending"))


async def test_an_error_event_that_is_not_410_does_not_end_it_and_does_not_list_again(cluster: Cluster) -> None:
    cluster.watches = [[ERROR_500], [("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server) as watcher:
        assert await watcher.next() == (None, Pod("b", "job", "Pending"))
        assert watcher.slept.qsize() == 1
    assert cluster.lists == 1


async def test_a_frozen_watch_is_given_up(cluster: Cluster) -> None:
    cluster.watches = [["hang"], [("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server, watch_seconds=0.05, watch_grace=0.05) as watcher:
        assert await watcher.next() == (None, Pod("b", "job", "Pending"))


async def test_garbage_in_a_watch_does_not_end_it(cluster: Cluster) -> None:
    cluster.watches = [[b"<html>\n"], [b'{"type": "ADDED"}\n'], [b"[1]\n"], [("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server) as watcher:
        assert await watcher.next() == (None, Pod("b", "job", "Pending"))


async def test_an_object_that_cannot_be_read_is_kept_as_it_was(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.objects = [pod("a", 1)]
    strange = {"metadata": {"uid": "a", "name": "p-a", "resourceVersion": "2"}}
    cluster.watches = [[("MODIFIED", strange), ("ADDED", pod("b", 3)), "hang"]]
    async with watching(cluster.server) as watcher:
        assert [(await watcher.next())[1], (await watcher.next())[1]] == [
            Pod("a", "job", "Pending"),
            Pod("b", "job", "Pending"),
        ]
        assert watcher.informer.get("a") == Pod("a", "job", "Pending")
    assert "pods p-a: cannot be read" in caplog.text


async def test_back_off_grows_while_nothing_works_and_starts_anew_afterwards(cluster: Cluster) -> None:
    cluster.watches = [[status(500, "InternalError")] for _ in range(3)]
    cluster.watches += [[("ADDED", pod("b", 6)), ERROR_500], [("ADDED", pod("c", 7)), "hang"]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        await watcher.next()
        waits = [watcher.slept.get_nowait() for _ in range(watcher.slept.qsize())]
    assert len(waits) == 4
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1 <= waits[2] <= 2
    assert waits[3] <= 0.5


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_tight_loop(cluster: Cluster) -> None:
    cluster.watches = [[b""] for _ in range(5)] + [[("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        assert watcher.slept.qsize() == 5


async def test_410_for_ever_lists_with_back_off(cluster: Cluster) -> None:
    cluster.watches = [[status(410, "Expired")] for _ in range(6)] + [[("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server) as watcher:
        await watcher.next()
        assert watcher.slept.qsize() == 5, "only the first new list comes at once"


async def test_age_counts_from_the_last_word_of_the_server(cluster: Cluster) -> None:
    now = 0.0
    cluster.watches = [[("ADDED", pod("b", 6)), "hang"]]
    async with watching(cluster.server, clock=lambda: now) as watcher:
        await watcher.next()
        now = 42.0
        assert watcher.informer.age() == 42


async def test_an_unsynced_informer_stays_unsynced_while_lists_fail(cluster: Cluster) -> None:
    cluster.server.answers(status(403, "Forbidden"))
    async with watching(cluster.server) as watcher:
        await asyncio.wait_for(watcher.slept.get(), 10)
        await asyncio.wait_for(watcher.slept.get(), 10)
        assert not watcher.informer.synced.is_set()


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    text = b'{"a":1}\n\n{"b":2}\n{"c"'
    for size in range(1, len(text)):
        lines = Lines()
        got = [line for i in range(0, len(text), size) for line in lines.feed(text[i : i + size])]
        assert got == [b'{"a":1}', b'{"b":2}']
    with pytest.raises(ApiError, match="longer than 10 bytes"):
        list(Lines(limit=10).feed(b"x" * 11))
