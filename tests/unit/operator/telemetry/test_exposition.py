"""The text of /metrics: what the catalog of families says, well named, and made without holding up the operator."""

import asyncio
import gzip
import socket

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.operator.telemetry.lint import problems
from tests.unit.operator.telemetry.populated import complete, exposition, running, sources
from trainingjob_operator.telemetry import families
from trainingjob_operator.telemetry.exposition import CONTENT_TYPE, Exposition
from trainingjob_operator.telemetry.server import MetricsServer, make_app
from trainingjob_operator.telemetry.telemetry import Telemetry

#: What the official client tells of the process and of Python's memory management.
STANDARD = ("process_", "python_gc_")


async def parsed() -> list[Metric]:
    return list(text_string_to_metric_families(await complete()))


async def test_what_is_exposed_is_the_catalog() -> None:
    found = {}
    for family in await parsed():
        if family.name.startswith(STANDARD):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, family.documentation, labels)
    assert found == {f.name: (f.kind, f.help, set(f.labels)) for f in families.EVERY}


async def test_names_and_help_follow_prometheus_rules() -> None:
    found = await parsed()
    assert len(found) > 40
    assert [problem for family in found for problem in problems(family)] == []


def test_the_lint_sees_what_is_wrong() -> None:
    bad = Metric("jobMinutes_gauge_total", "", "gauge")
    bad.add_sample("jobMinutes_gauge_total", {"job": "x", "le": "1"}, 1.0)
    assert len(list(problems(bad))) == 6


def test_no_metric_of_the_operators_own_work_names_a_job() -> None:
    for family in (*families.OPERATOR, *families.JOB_COUNTS):
        assert not set(family.labels) & {"namespace", "job_name", "job", "pod", "name", "uid"}


async def test_each_family_stands_together() -> None:
    """Prometheus' own rule for the format: one HELP, one TYPE, and then all of its lines."""
    text = b"".join(await exposition([running(f"job-{n}") for n in range(300)]).chunks()).decode()
    heads = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    current = ""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            current = line.split()[2]
        elif not line.startswith("#"):
            assert line.startswith(current)


async def test_others_get_their_turn_while_jobs_are_written() -> None:
    ticks = iter(range(10**9))
    paused = []

    async def pause() -> None:
        paused.append(1)

    telemetry = Telemetry()
    jobs = [running(f"job-{n}") for n in range(100)]
    # A clock by which each look at it is a millisecond later: four jobs and a bit are a slice.
    slow = Exposition(telemetry._registry, sources(jobs), 100, clock=lambda: next(ticks) / 1024, pause=pause)
    await slow.chunks()
    assert len(paused) == 100 // 5


async def test_who_asks_meanwhile_gets_the_same_text_and_who_hangs_up_takes_it_from_nobody() -> None:
    gate = asyncio.Event()
    telemetry = Telemetry()
    written = []

    def jobs() -> list[dict[str, object]]:
        written.append(1)
        return [running()]

    base = sources()
    mine = type(base)(**{name: getattr(base, name) for name in base.__dataclass_fields__} | {"jobs": jobs})
    ticks = iter(range(10**9))
    one = Exposition(telemetry._registry, mine, 10, clock=lambda: float(next(ticks)), pause=gate.wait)
    first, second, third = (asyncio.create_task(one.chunks()) for _ in range(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second is await third
    assert len(written) == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    await one.chunks()
    assert len(written) == 2, "each scrape is of its moment"


async def test_served_in_the_format_of_prometheus_and_nothing_else_is() -> None:
    replica = exposition([running(f"job-{n}") for n in range(50)])
    server = MetricsServer(make_app(replica.chunks))
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", auto_decompress=False) as client:
            async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as plain:
                assert plain.status == 200
                assert plain.headers["Content-Type"] == CONTENT_TYPE
                text = await plain.text()
            async with client.get("/metrics", headers={"Accept-Encoding": "gzip"}) as packed:
                assert packed.headers["Content-Encoding"] == "gzip"
                unpacked = gzip.decompress(await packed.read()).decode()
            assert 'trainingjob_step{namespace="ml",job_name="job-49"} 620' in text
            assert 'trainingjob_step{namespace="ml",job_name="job-49"} 620' in unpacked
            for path in ("/", "/metrics/x", "/healthz"):
                async with client.get(path) as other:
                    assert other.status == 404
            async with client.post("/metrics") as post:
                assert post.status == 405
    finally:
        await server.stop()
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))
