"""The endpoint as a chief and as a stranger meet it: real TLS, real tokens, and abuse that must not cost a 5xx."""

import asyncio
import json
import logging
import ssl
import tracemalloc
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.lines import take
from tests.unit.operator.intake.signer import NOW, Signer, claims_of
from tests.unit.operator.intake.world import CA, GOOD, PATH, POD, World, head, raw, serving
from trainingjob_operator.api.contract import Report
from trainingjob_operator.intake.authorize import JobFact
from trainingjob_operator.intake.connections import ConnectionLimits
from trainingjob_operator.intake.listener import Patience
from trainingjob_operator.intake.server import Limits
from trainingjob_operator.intake.store import ReportStore


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as running:
        yield running


async def test_a_report_is_taken_and_kept(world: World) -> None:
    assert (await world.post())[:2] == (204, None)
    entry = world.store.get("u-1")
    assert entry is not None
    assert (entry.report, entry.namespace, entry.name) == (GOOD, "ns", "job")
    assert entry.received_at == NOW
    assert world.statuses == [204]


async def test_a_report_that_comes_twice_is_no_error(world: World) -> None:
    assert [(await world.post())[0], (await world.post())[0]] == [204, 204]


async def test_health(world: World) -> None:
    async with world.client.get(f"https://127.0.0.1:{world.port}/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    world.ready = False
    async with world.client.get(f"https://127.0.0.1:{world.port}/healthz") as response:
        assert response.status == 503


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        (None, 401, "header `Authorization: Bearer TOKEN` is missing"),
        ("nonsense", 401, "not a JSON Web Token"),
        (Signer().token(claims_of(exp=1)), 401, "has expired"),
        (Signer().token(claims_of(audience="https://kubernetes.default.svc")), 401, "audience"),
        (Signer().token(claims_of(audience=["trainingjob.dev/jobs/u-1", "x"])), 401, "audience"),
    ],
)
async def test_without_a_good_token_nothing_goes(world: World, token: str | None, status: int, words: str) -> None:
    code, body, headers = await world.post(token=token)
    assert code == status
    assert words in body["error"]
    assert headers["WWW-Authenticate"] == "Bearer"
    assert len(world.store) == 0


async def test_a_pod_of_another_job_with_the_right_audience_is_refused(world: World) -> None:
    world.pods["p-1"] = replace(POD, owner_uid="u-2")
    code, body, _ = await world.post()
    assert (code, len(world.store)) == (403, 0)
    assert "does not belong to TrainingJob ns/job" in body["error"]


async def test_a_job_that_is_not_there(world: World) -> None:
    assert (await world.post(path=PATH.replace("/job/", "/other/")))[0] == 404
    assert (await world.post(path=PATH.replace("/ns/", "/other/")))[0] == 403


@pytest.mark.parametrize(
    ("report", "status", "words"),
    [
        (b"", 400, "is not JSON"),
        (b"[1, 2]", 400, "must be a JSON object"),
        (b"[" * 60_000, 400, "is not JSON"),
        (b'{"version": 2}', 400, "version: is 2"),
        (GOOD.encode().replace(b'"step":5', b'"step":-5'), 400, "training.step"),
        (replace(GOOD, member="worker-0"), 403, "cannot report for 'worker-0'"),
        (replace(GOOD, incarnation=9), 403, "incarnation 1 of chief-0"),
        (b"x" * 65_537, 413, "at most 65536 bytes"),
        (b"x" * 1_000_000, 413, "at most 65536 bytes"),
    ],
)
async def test_what_is_wrong_with_a_report_is_said(
    world: World, report: Report | bytes, status: int, words: str
) -> None:
    code, body, _ = await world.post(report)
    assert code == status
    assert words in body["error"]
    assert len(world.store) == 0


async def test_an_old_generation_is_refused_by_status_and_by_store(world: World) -> None:
    world.jobs["ns", "job"] = JobFact("u-1", incarnation=1, generation=2)
    assert (await world.post())[0] == 409
    world.jobs["ns", "job"] = JobFact("u-1")
    assert (await world.post(replace(GOOD, generation=4)))[0] == 204
    code, body, _ = await world.post(replace(GOOD, generation=3, sequence=99))
    assert code == 409
    assert "generation 3 of incarnation 1 is over" in body["error"]


async def test_a_chief_whose_successor_has_a_pod_is_told_that_it_was_replaced(world: World) -> None:
    world.newest["u-1", "chief-0"] = 2
    code, body, _ = await world.post()
    assert (code, len(world.store)) == (409, 0)
    assert body["error"] == "incarnation 1 of chief-0 was replaced by incarnation 2: it must stop"
    world.pods["p-1"] = replace(POD, leaving=True)
    assert (await world.post(replace(GOOD, state="Terminated")))[0] == 204


# --- Workers that lost their chief ---

NOTICE = Report("worker-0", 1, 0, 0, "ChiefLost", chief_incarnation=1)


def lost(world: World) -> Any:
    entry = world.store.get("u-1")
    return entry and entry.lost


async def test_a_worker_that_lost_its_chief_is_heard_once_the_chief_is_silent(world: World) -> None:
    token = world.add_worker()
    world.newest["u-1", "chief-0"] = 1
    assert (await world.post())[0] == 204
    world.now += 7
    assert (await world.post(NOTICE, token=token))[0] == 204
    assert lost(world) is None
    world.now += 1
    assert (await world.post(NOTICE, token=token))[0] == 204
    assert (lost(world).member, lost(world).since) == ("worker-0", NOW + 8)
    entry = world.store.get("u-1")
    assert entry is not None
    assert entry.report == GOOD, "it overwrites nothing that the chief said"
    assert (await world.post(replace(GOOD, sequence=2)))[0] == 204
    assert lost(world) is None


@pytest.mark.parametrize(
    ("notice", "status", "words"),
    [
        (replace(NOTICE, state="Running"), 403, "only the chief reports"),
        (replace(NOTICE, state="Succeeded", final=True), 403, "only the chief reports"),
        (replace(NOTICE, member="chief-0"), 403, "cannot report for 'chief-0'"),
        (replace(NOTICE, chief_incarnation=2), 409, "is not the newest"),
    ],
)
async def test_a_worker_may_say_nothing_else(world: World, notice: Report, status: int, words: str) -> None:
    token = world.add_worker()
    world.newest["u-1", "chief-0"] = 1
    code, body, _ = await world.post(notice, token=token)
    assert (code, len(world.store)) == (status, 0)
    assert words in body["error"]


async def test_of_a_chief_that_was_replaced_nobody_needs_to_hear(world: World) -> None:
    token = world.add_worker()
    world.newest["u-1", "chief-0"] = 2
    code, body, _ = await world.post(NOTICE, token=token)
    assert (code, len(world.store)) == (409, 0)
    assert "incarnation 1 of chief-0 is not the newest: that is incarnation 2" in body["error"]


async def test_workers_cannot_silence_their_chief(world: World) -> None:
    """All of them lose it at once, and say so again and again."""
    tokens = [world.add_worker(index) for index in range(8)]
    world.newest["u-1", "chief-0"] = 1
    codes = [
        (await world.post(replace(NOTICE, member=f"worker-{index}"), token=token))[0]
        for index, token in enumerate(tokens)
    ]
    assert codes == [204] * 5 + [429] * 3
    assert [(await world.post(replace(GOOD, sequence=number)))[0] for number in range(5)] == [204] * 5
    code, body, _ = await world.post(replace(NOTICE, member="worker-7"), token=tokens[7])
    assert (code, body["error"]) == (429, "the job's workers say it often enough")


async def test_a_chief_that_the_status_calls_lost_is_written_at_once(world: World) -> None:
    await world.post()
    take(world.store)
    world.store.settle("u-1", (1, 1, 1))
    world.now += 1
    await world.post(replace(GOOD, sequence=2))
    assert take(world.store) is None
    world.jobs["ns", "job"] = JobFact("u-1", chief_lost=True)
    await world.post(replace(GOOD, sequence=3))
    assert take(world.store) == "u-1"


async def test_a_job_that_reports_too_often_waits_and_others_do_not(world: World) -> None:
    codes = [(await world.post(replace(GOOD, sequence=number)))[0] for number in range(6)]
    code, body, headers = await world.post()
    assert codes == [204] * 5 + [429]
    assert (code, headers["Retry-After"]) == (429, "1")
    assert "too often" in body["error"]
    token = world.add("ns", "other")
    assert (await world.post(token=token, path=PATH.replace("/job/", "/other/")))[0] == 204
    world.now += 1
    assert (await world.post(replace(GOOD, sequence=9)))[0] == 204


async def test_a_namespace_that_reports_too_often_waits_and_others_do_not(world: World) -> None:
    tokens = {f"{ns}/j{number}": world.add(ns, f"j{number}") for ns in ("ns", "quiet") for number in range(10)}

    async def post(job: str, sequence: int) -> tuple[int, Any, Any]:
        namespace, name = job.split("/")
        path = f"/v1/namespaces/{namespace}/trainingjobs/{name}/report"
        return await world.post(replace(GOOD, sequence=sequence), token=tokens[job], path=path)

    codes = [(await post(f"ns/j{number % 10}", number))[0] for number in range(20)]
    code, body, headers = await post("ns/j0", 99)
    assert codes == [204] * 20
    assert (code, headers["Retry-After"]) == (429, "1")
    assert body["error"] == "the jobs of namespace ns together report too often: raise their interval"
    assert [(await post(f"quiet/j{number}", 1))[0] for number in range(10)] == [204] * 10
    world.now += 1
    assert [(await post("ns/j0", sequence))[0] for sequence in (100, 101, 102)] == [204, 204, 429]


async def test_a_job_over_its_own_rate_takes_nothing_of_its_namespaces(world: World) -> None:
    other = world.add("ns", "other")
    codes = [(await world.post(replace(GOOD, sequence=number)))[0] for number in range(60)]
    assert codes.count(204) == 5
    path = PATH.replace("/job/", "/other/")
    assert [(await world.post(replace(GOOD, sequence=n), token=other, path=path))[0] for n in range(5)] == [204] * 5


async def test_until_the_caches_are_filled_chiefs_are_asked_to_come_again(world: World) -> None:
    world.ready = False
    code, body, headers = await world.post()
    assert (code, headers["Retry-After"]) == (503, "2")
    assert "just started" in body["error"]


async def test_without_the_api_servers_keys_chiefs_are_asked_to_come_again(world: World) -> None:
    world.keys.broken = True
    code, _, headers = await world.post()
    assert (code, headers["Retry-After"]) == (503, "10")


async def test_packed_bodies_are_not_taken(world: World) -> None:
    code, body, _ = await world.post(b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert code == 415
    assert "compressed" in body["error"]


async def test_errors_of_the_router_are_json_too(world: World) -> None:
    code, body, _ = await world.post(path="/v2/x")
    assert (code, body) == (404, {"error": "Not Found"})
    async with world.client.get(f"https://127.0.0.1:{world.port}{PATH}") as response:
        assert (response.status, await response.json()) == (405, {"error": "Method Not Allowed"})
        assert response.headers["Allow"] == "POST"


async def test_many_chiefs_at_once(world: World) -> None:
    world.store = ReportStore(lambda: 0.0, lambda: NOW)
    codes = await asyncio.gather(*(world.post(replace(GOOD, sequence=number)) for number in range(60)))
    assert {code for code, _, _ in codes} <= {204, 429}
    assert sum(code == 204 for code, _, _ in codes) == 5


async def test_old_tls_is_refused(world: World) -> None:
    context = ssl.create_default_context(cadata=CA.certificate.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=context)
    assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    writer.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the point is that TLS 1.1 is old
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", world.port, ssl=context)


async def test_neither_tokens_nor_reports_are_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    token = Signer().token()
    await world.post(token=token)
    await world.post(b"{", token=token)
    await world.post(token=Signer("unknown").token())
    assert caplog.text == ""


# --- Slow, broken and hostile clients ---


async def test_a_body_that_does_not_come_costs_its_time_and_no_more() -> None:
    async with serving(Limits(body=0.05, refusal=0)) as world:
        reader, writer = await raw(world)
        writer.write(head(100) + b'{"version"')
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"within 0.05 s" in answer
        writer.close()
        assert (await world.post())[0] == 204


async def test_headers_that_do_not_end_are_cut_off() -> None:
    async with serving(patience=Patience(idle=0.1)) as world:
        reader, writer = await raw(world)
        writer.write(b"POST / HTTP/1.1\r\nHost: intake\r\nX-Slow: ")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_handshake_that_does_not_come_is_cut_off() -> None:
    async with serving(patience=Patience(handshake=0.1)) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_client_that_hangs_up_in_its_body_leaves_no_trace(world: World, caplog: Any) -> None:
    _, writer = await raw(world)
    writer.write(head(100) + b"{")
    await writer.drain()
    writer.transport.abort()
    assert (await world.post())[0] == 204
    assert "Traceback" not in caplog.text


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """Whether the server has closed, kindly or not."""
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except (ConnectionError, ssl.SSLError):
        return True


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sequence: int) -> bool:
    """Whether a report over this connection is taken."""
    body = replace(GOOD, sequence=sequence).encode()
    writer.write(head(len(body)) + body)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    return answer.startswith(b"HTTP/1.1 204")


async def test_strangers_make_room_and_the_chief_keeps_its_connection() -> None:
    async with serving(connections=ConnectionLimits(total=3)) as world:
        chief = await raw(world)
        assert await served(*chief, 1)
        idlers = [await raw(world) for _ in range(2)]
        more = [await raw(world) for _ in range(20)]
        assert all([await hung_up(reader) for reader, _ in idlers])
        assert await served(*chief, 2), "the oldest connection of all, but a chief's"
        assert await served(*more[-1], 3), "the newest always has its chance"
        for _, writer in (chief, *idlers, *more):
            writer.close()


async def test_who_does_not_even_begin_a_handshake_makes_room_too() -> None:
    async with serving(connections=ConnectionLimits(total=3)) as world:
        silent = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(3)]
        assert (await world.post())[0] == 204
        assert await hung_up(silent[0][0])
        for _, writer in silent:
            writer.close()


async def test_when_all_connections_are_chiefs_a_further_one_is_closed() -> None:
    async with serving(connections=ConnectionLimits(total=2)) as world:
        chiefs = [await raw(world) for _ in range(2)]
        assert [await served(*chief, number) for number, chief in enumerate(chiefs, 1)] == [True, True]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await raw(world)
        chiefs[0][1].close()
        await chiefs[0][1].wait_closed()
        assert (await world.post(replace(GOOD, sequence=9)))[0] == 204
        chiefs[1][1].close()


async def test_refusals_are_held_back_so_that_they_cannot_keep_the_operator_busy() -> None:
    async with serving(Limits(refusal=0.2)) as world:
        reader, writer = await raw(world)
        writer.write(b"POST %b HTTP/1.1\r\nHost: i\r\n\r\n" % PATH.encode() * 200)
        started = asyncio.get_running_loop().time()
        for _ in range(3):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401")
        assert asyncio.get_running_loop().time() - started >= 0.6, "one after the other, each held back"
        assert (await world.post())[0] == 204
        assert asyncio.get_running_loop().time() - started < 3, "the others do not wait"
        assert len(world.statuses) < 10
        writer.close()


async def test_what_is_answered_at_once_is_answered_once_for_each_connection(world: World) -> None:
    reader, writer = await raw(world)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: i\r\n\r\n" * 5)
    assert (await asyncio.wait_for(reader.read(), 10)).count(b"HTTP/1.1 200") == 1
    writer.close()


async def test_an_expectation_that_nobody_knows_is_held_back_too() -> None:
    async with serving(Limits(refusal=30)) as world:
        reader, writer = await raw(world)
        writer.write(b"POST %b HTTP/1.1\r\nHost: i\r\nExpect: gifts\r\n\r\n" % PATH.encode())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        writer.close()


async def test_a_connection_costs_little_memory(world: World) -> None:
    """asyncio's own would hold 256 KiB for each: a thousand jobs would need more than the chart allows."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(20)]
        assert (await world.post())[0] == 204, "all were accepted, for they came first"
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 20 < 60_000, "this end's buffers included"
    for _, writer in held:
        writer.close()


pieces = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b"POST " + PATH.encode() + b" HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n",
            b"Host: x\r\n",
            b"Content-Length: 10\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 99999999999999999999\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
            b"Authorization: Bearer \xff\xfe\r\n",
            b"Authorization: " + b"A" * 9000 + b"\r\n",
            b"Authorization: Bearer " + Signer().token().encode() + b"\r\n",
            b"\r\n",
            b"5\r\nhello\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"POST /%00/..//" + PATH.encode() + b"?\xc3 HTTP/1.1\r\n",
        ]
    ),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(pieces, max_size=8),
    bodies=st.lists(st.binary(max_size=200) | st.text().map(str.encode), max_size=3),
)
def test_no_bytes_cost_a_5xx_or_the_server(
    parts: list[bytes], bodies: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    asyncio.run(throw(parts, bodies))
    assert "Traceback" not in caplog.text


async def throw(parts: list[bytes], bodies: list[bytes]) -> None:
    async with serving(Limits(body=0.05, refusal=0), Patience(idle=0.3)) as world:
        reader, writer = await raw(world)
        try:
            writer.write(b"".join(parts))
            if writer.can_write_eof():
                writer.write_eof()
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 10)
            assert not answer.startswith(b"HTTP/1.1 5"), answer
        except (ConnectionError, ssl.SSLError):
            pass
        writer.close()
        for body in bodies:
            assert (await world.post(body, Connection="close"))[0] == 400
        world.now += 60
        assert (await world.post(Connection="close"))[0] == 204
        assert all(status < 500 for status in world.statuses)


documents = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(1) | st.integers(),
        "member": st.just("chief-0") | st.text(max_size=10),
        "incarnation": st.just(1) | st.integers() | st.floats(),
        "generation": st.integers(),
        "sequence": st.integers() | st.none(),
        "state": st.sampled_from(["Running", "Failed", "Nonsense"]),
        "final": st.booleans() | st.integers(),
        "training": st.none()
        | st.dictionaries(st.sampled_from(["step", "percent", "metrics"]), st.integers() | st.floats() | st.text()),
        "failure": st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    },
)


@settings(max_examples=30, deadline=None)
@given(many=st.lists(documents, min_size=1, max_size=20))
def test_no_document_costs_a_5xx(many: list[dict[str, Any]]) -> None:
    async def post_all() -> None:
        async with serving() as world:
            for document in many:
                world.now += 60
                assert (await world.post(json.dumps(document).encode()))[0] in (204, 400, 403, 409)

    asyncio.run(post_all())
