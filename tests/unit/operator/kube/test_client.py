"""The client on the wire: what it sends, what it makes of answers, what it sends again and what it does not."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.unit.operator.kube.api_server import ApiServer, Sleeps, answer, api_server, client_of, status
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.config import ClusterAddress, Credentials
from trainingjob_operator.kube.errors import ApiError, ClientClosedError, UnreachableError
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import EVENTS, PODS, SECRETS, TRAININGJOBS, Resource
from trainingjob_operator.kube.transport import Options


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with api_server() as running:
        yield running


async def test_get_reads_one_object_with_the_token(server: ApiServer) -> None:
    server.answers(answer({"metadata": {"name": "p"}}))
    async with client_of(server) as client:
        assert await client.get(PODS, "p", "ns") == {"metadata": {"name": "p"}}
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("GET", "/api/v1/namespaces/ns/pods/p")
    assert seen.headers["Authorization"] == "Bearer secret-token"


async def test_list_follows_the_continue_token_and_passes_selectors(server: ApiServer) -> None:
    server.answers(
        answer({"items": [{"a": 1}], "metadata": {"resourceVersion": "7", "continue": "more"}}),
        answer({"items": [{"a": 2}], "metadata": {"resourceVersion": "7"}}),
    )
    async with client_of(server) as client:
        page = await client.list(TRAININGJOBS, label_selector="x=y", field_selector="status.phase=Running", limit=1)
    assert (page.items, page.resource_version) == ([{"a": 1}, {"a": 2}], "7")
    assert [seen.path for seen in server.seen] == ["/apis/trainingjob.dev/v1alpha1/trainingjobs"] * 2
    assert server.seen[0].query == {"limit": "1", "labelSelector": "x=y", "fieldSelector": "status.phase=Running"}
    assert server.seen[1].query["continue"] == "more"


async def test_list_starts_again_once_when_its_token_expires(server: ApiServer) -> None:
    first = answer({"items": [{"a": 1}], "metadata": {"resourceVersion": "7", "continue": "more"}})
    server.answers(first, status(410, "Expired"), answer({"items": [{"a": 2}], "metadata": {"resourceVersion": "9"}}))
    async with client_of(server) as client:
        page = await client.list(PODS, "ns")
    assert (page.items, page.resource_version) == ([{"a": 2}], "9")


async def test_apply_sends_the_manager_and_the_kind(server: ApiServer) -> None:
    server.answers(answer({}))
    async with client_of(server) as client:
        body = {"metadata": {"name": "j"}, "status": {"phase": "Running"}}
        await client.apply(TRAININGJOBS, "j", body, "ns", field_manager="me", subresource="status")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PATCH", "/apis/trainingjob.dev/v1alpha1/namespaces/ns/trainingjobs/j/status")
    assert seen.query == {"fieldManager": "me", "force": "true"}
    assert seen.headers["Content-Type"] == "application/apply-patch+yaml"
    assert seen.body == {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob"} | body


async def test_delete_names_the_very_object(server: ApiServer) -> None:
    server.answers(answer({}))
    async with client_of(server) as client:
        assert await client.delete(PODS, "p", "ns", uid="u-1", grace_seconds=5, propagation="Foreground")
    assert server.seen[0].body == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 5,
        "preconditions": {"uid": "u-1"},
    }


async def test_delete_may_ask_that_nothing_has_changed(server: ApiServer) -> None:
    server.answers(answer({}), status(409, "Conflict", "the object has been modified"))
    async with client_of(server) as client:
        assert await client.delete(PODS, "p", "ns", uid="u-1", resource_version="7")
        assert not await client.delete(PODS, "p", "ns", resource_version="7")
    wanted = [{"uid": "u-1", "resourceVersion": "7"}, {"resourceVersion": "7"}]
    assert [seen.body["preconditions"] for seen in server.seen] == wanted


@pytest.mark.parametrize("refusal", [status(404, "NotFound"), status(409, "Conflict", "uid in precondition")])
async def test_deleting_what_is_gone_is_no_error(server: ApiServer, refusal: web.Response) -> None:
    server.answers(refusal)
    async with client_of(server) as client:
        assert not await client.delete(PODS, "p", "ns", uid="u-1")


async def test_a_conflict_without_uid_is_an_error(server: ApiServer) -> None:
    server.answers(status(409, "Conflict"))
    async with client_of(server) as client:
        with pytest.raises(ApiError) as caught:
            await client.delete(PODS, "p", "ns")
    assert caught.value.conflict


async def test_merge_patch_and_replace(server: ApiServer) -> None:
    server.answers(answer({}))
    async with client_of(server) as client:
        await client.merge_patch(PODS, "p", {"metadata": {"labels": {"a": None}}}, "ns")
        await client.replace(SECRETS, "s", {"metadata": {"name": "s", "resourceVersion": "3"}}, "ns")
        with pytest.raises(ValueError, match="resourceVersion is missing"):
            await client.replace(SECRETS, "s", {"metadata": {"name": "s"}}, "ns")
    assert [seen.method for seen in server.seen] == ["PATCH", "PUT"]
    assert server.seen[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_errors_carry_what_the_status_says(server: ApiServer) -> None:
    server.answers(status(403, "Forbidden", "exceeded quota: gpus", name="p", causes=[]))
    async with client_of(server) as client:
        with pytest.raises(ApiError) as caught:
            await client.create(PODS, {}, "ns")
    error = caught.value
    assert (error.status, error.reason, error.message) == (403, "Forbidden", "exceeded quota: gpus")
    assert error.details["name"] == "p"
    assert len(server.seen) == 1, "a refusal is not asked again"


async def test_an_error_page_of_a_proxy_becomes_a_short_message(server: ApiServer) -> None:
    server.answers(web.Response(status=400, body=b"<html>" + b"x" * 1000))
    async with client_of(server) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(PODS, "p", "ns")
    assert caught.value.status == 400
    assert len(caught.value.message) <= 200


@pytest.mark.parametrize("fault", [status(500, "InternalError"), status(503, "ServiceUnavailable")])
async def test_reads_applies_deletes_and_creates_are_sent_again(server: ApiServer, fault: web.Response) -> None:
    sleeps = Sleeps()
    async with client_of(server, sleeps) as client:
        for call in repeatable(client):
            server.seen.clear()
            server.answers(fault, answer({"items": []}))
            await call
            assert len(server.seen) == 2
    assert sleeps.seconds == [1.0] * 5


async def test_they_survive_a_connection_that_breaks(server: ApiServer) -> None:
    async with client_of(server) as client:
        for call in repeatable(client):
            server.seen.clear()
            server.answers(OSError(), OSError(), answer({"items": []}))
            await call
            assert len(server.seen) == 3


def repeatable(client: KubeClient) -> Iterator[Coroutine[Any, Any, object]]:
    yield client.get(PODS, "p", "ns")
    yield client.apply(PODS, "p", {}, "ns", field_manager="me")
    yield client.delete(PODS, "p", "ns")
    yield client.create(PODS, {}, "ns")
    yield client.list(PODS)


async def test_writes_over_a_read_version_are_not_sent_again_after_an_error(server: ApiServer) -> None:
    server.answers(status(500, "InternalError"))
    async with client_of(server) as client:
        with pytest.raises(ApiError):
            await client.replace(SECRETS, "s", {"metadata": {"resourceVersion": "3"}}, "ns")
        with pytest.raises(ApiError):
            await client.merge_patch(PODS, "p", {}, "ns")
    assert [seen.method for seen in server.seen] == ["PUT", "PATCH"]


async def test_writes_over_a_read_version_end_with_a_broken_connection(server: ApiServer) -> None:
    sleeps = Sleeps()
    server.answers(OSError())
    async with client_of(server, sleeps) as client:
        with pytest.raises(UnreachableError):
            await client.replace(SECRETS, "s", {"metadata": {"resourceVersion": "3"}}, "ns")
        with pytest.raises(UnreachableError):
            await client.merge_patch(PODS, "p", {}, "ns")
    # aiohttp itself repeats a PUT once (RFC 9112 allows it); resourceVersion makes that harmless.
    assert [seen.method for seen in server.seen] == ["PUT", "PUT", "PATCH"]
    assert sleeps.seconds == []


async def test_too_many_requests_waits_as_long_as_the_server_says(server: ApiServer) -> None:
    sleeps = Sleeps()
    busy = answer({"kind": "Status", "code": 429, "reason": "TooManyRequests"}, 429, Retry_After="7")
    server.answers(busy, answer({}))
    async with client_of(server, sleeps) as client:
        await client.replace(SECRETS, "s", {"metadata": {"resourceVersion": "3"}}, "ns")
    assert sleeps.seconds == [7.0]


async def test_an_absurd_retry_after_is_cut(server: ApiServer) -> None:
    sleeps = Sleeps()
    server.answers(answer({}, 503, Retry_After="86400"), answer({}))
    async with client_of(server, sleeps) as client:
        await client.get(PODS, "p", "ns")
    assert sleeps.seconds == [30.0]


async def test_attempts_end_and_back_off_grows(server: ApiServer) -> None:
    sleeps = Sleeps()
    server.answers(status(500, "InternalError"))
    async with client_of(server, sleeps) as client:
        with pytest.raises(ApiError):
            await client.get(PODS, "p", "ns")
    assert len(server.seen) == 5
    assert sleeps.seconds == [1, 2, 4, 8]


async def test_nobody_listens() -> None:
    options = Options(attempts=2)
    client = KubeClient(ClusterAddress("http://127.0.0.1:1"), Credentials(), options=options, sleep=Sleeps())
    async with client:
        with pytest.raises(UnreachableError) as caught:
            await client.raw("/version")
    assert (caught.value.status, caught.value.transient) == (0, True)


async def test_a_server_that_does_not_answer_costs_no_more_than_the_time_limit(server: ApiServer) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.handler = never
    async with client_of(server, options=Options(timeout=0.05, attempts=1)) as client:
        with pytest.raises(UnreachableError, match="TimeoutError"):
            await client.get(PODS, "p", "ns")


async def test_an_answer_that_is_not_json_is_an_error(server: ApiServer) -> None:
    server.answers(web.Response(body=b"hello"))
    async with client_of(server, options=Options(attempts=1)) as client:
        with pytest.raises(ApiError, match="not JSON"):
            await client.raw("/version")


async def test_the_token_file_is_read_again_when_it_changes(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    server.answers(answer({}))
    async with client_of(server, credentials=Credentials(token_file=file)) as client:
        await client.raw("/version")
        new = tmp_path / "new"
        new.write_text("two\n")
        new.rename(file)  # as the kubelet does, by a link
        await client.raw("/version")
        file.unlink()  # between two rotations
        await client.raw("/version")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer one", "Bearer two", "Bearer two"]


async def test_every_attempt_is_told_to_telemetry(server: ApiServer) -> None:
    told: list[tuple[str, str, int]] = []
    server.answers(status(500, "InternalError"), OSError(), OSError(), answer({}))
    async with client_of(server, on_request=lambda v, r, s, seconds: told.append((v, r, s))) as client:
        await client.get(PODS, "p", "ns")
    assert told == [("get", "pods", 500), ("get", "pods", 0), ("get", "pods", 200)]


async def test_requests_wait_for_the_shared_rate_limit(server: ApiServer) -> None:
    sleeps = Sleeps()
    bucket = TokenBucket(rate=2, burst=1, clock=lambda: 0.0, sleep=sleeps)
    server.answers(answer({}))
    async with client_of(server, limiter=bucket) as one, client_of(server, limiter=bucket) as two:
        await one.raw("/version")
        await two.raw("/version")
        await one.raw("/version")
    assert sleeps.seconds == [0.5, 1.0]


async def test_a_closed_client_says_so(server: ApiServer) -> None:
    with pytest.raises(ClientClosedError, match="not open"):
        await client_of(server).raw("/version")


def test_paths() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert EVENTS.path("ns") == "/api/v1/namespaces/ns/events"
    assert PODS.path("../x", "a b") == "/api/v1/namespaces/..%2Fx/pods/a%20b"
    with pytest.raises(ValueError, match="needs `namespace`"):
        PODS.path(None, "p")
    with pytest.raises(ValueError, match="cluster-wide"):
        Resource("", "v1", "nodes", "Node", namespaced=False).path("ns")
