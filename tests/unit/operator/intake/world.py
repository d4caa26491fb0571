"""An intake that serves on loopback, what the operator knows, and clients that trust its CA."""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from tests.unit.operator.intake.signer import NOW, KeyApi, Signer, claims_of
from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.intake.authorize import JobFact, PodFact
from trainingjob_operator.intake.certificates import new_authority
from trainingjob_operator.intake.connections import ConnectionLimits
from trainingjob_operator.intake.limits import ReportRates
from trainingjob_operator.intake.listener import IntakeServer, Patience
from trainingjob_operator.intake.server import Intake, Limits, make_app
from trainingjob_operator.intake.serving import ServingCertificate
from trainingjob_operator.intake.store import ReportStore
from trainingjob_operator.intake.tokens import KeySource
from trainingjob_operator.intake.verified import Verifier

CA = new_authority(datetime.datetime.now(datetime.UTC))
SERVING = ServingCertificate(lambda: CA, ["intake"], ["127.0.0.1"])
POD = PodFact("job-chief-0", "ns", "u-1", "chief", 0, 1, live=True)
PATH = "/v1/namespaces/ns/trainingjobs/job/report"
#: Refusals are not held back but where a test is about it.
AT_ONCE = Limits(refusal=0.0)
GOOD = Report("chief-0", 1, 1, 1, "Running", training=Training(step=5, metrics={"loss": 0.5}))


@dataclass
class World:
    """What the operator knows, and a client that trusts its CA."""

    port: int = 0
    now: float = 0.0
    ready: bool = True
    jobs: dict[tuple[str, str], JobFact] = field(default_factory=lambda: {("ns", "job"): JobFact("u-1")})
    pods: dict[str, PodFact] = field(default_factory=lambda: {"p-1": POD})
    newest: dict[tuple[str, str], int] = field(default_factory=dict)
    keys: KeyApi = field(default_factory=lambda: KeyApi(Signer()))
    statuses: list[int] = field(default_factory=list)
    store: ReportStore = field(init=False)
    rates: ReportRates = field(init=False)
    client: aiohttp.ClientSession = field(init=False)
    server: IntakeServer = field(init=False)

    def __post_init__(self) -> None:
        self.store = ReportStore(lambda: self.now, lambda: NOW + self.now)
        self.rates = ReportRates(job=1, namespace=2, job_burst=5, namespace_burst=20, clock=lambda: self.now)

    def intake(self, limits: Limits) -> Intake:
        return Intake(
            verify=Verifier(KeySource(self.keys, clock=lambda: self.now), lambda: NOW + self.now),
            find_job=lambda namespace, name: self.jobs.get((namespace, name)),
            find_pod=self.pods.get,
            newest=lambda uid, member: self.newest.get((uid, member), 0),
            ready=lambda: self.ready,
            store=self.store,
            rates=self.rates,
            limits=limits,
            on_report=self.statuses.append,
        )

    def add(self, namespace: str, name: str) -> str:
        """Make a job with a live chief known; return the chief's token."""
        uid, pod = f"u-{namespace}-{name}", f"{name}-chief-0"
        self.jobs[namespace, name] = JobFact(uid)
        self.pods[f"p-{uid}"] = replace(POD, name=pod, namespace=namespace, owner_uid=uid)
        bound = claims_of()["kubernetes.io"] | {"namespace": namespace, "pod": {"name": pod, "uid": f"p-{uid}"}}
        return Signer().token(claims_of(audience=f"trainingjob.dev/jobs/{uid}", **{"kubernetes.io": bound}))

    def add_worker(self, index: int = 0) -> str:
        """Make a live worker of the job known; return its token."""
        pod, uid = f"job-worker-{index}", f"p-w{index}"
        self.pods[uid] = replace(POD, name=pod, role="worker", index=index)
        bound = claims_of()["kubernetes.io"] | {"pod": {"name": pod, "uid": uid}}
        return Signer().token(claims_of(**{"kubernetes.io": bound}))

    async def post(
        self, report: Report | bytes = GOOD, token: str | None = "", path: str = PATH, **headers: str
    ) -> tuple[int, Any, Any]:
        """Post; return status, the parsed JSON body if any, and the headers."""
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token or Signer().token()}"
        data = report if isinstance(report, bytes) else report.encode()
        url = f"https://127.0.0.1:{self.port}{path}"
        async with self.client.post(url, data=data, headers=sent) as response:
            body = await response.read()
            return response.status, json.loads(body) if body else None, response.headers


@asynccontextmanager
async def serving(
    limits: Limits = AT_ONCE,
    patience: Patience | None = None,
    connections: ConnectionLimits | None = None,
    rates: ReportRates | None = None,
) -> AsyncIterator[World]:
    world = World()
    world.rates = rates or world.rates
    server = IntakeServer(make_app(world.intake(limits)), SERVING.context, patience, connections, lambda: world.now)
    world.port = await server.start("127.0.0.1", 0)
    trust = ssl.create_default_context(cadata=CA.certificate.decode())
    world.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))
    world.server = server
    try:
        yield world
    finally:
        await world.client.close()
        await server.stop()


async def raw(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    trust = ssl.create_default_context(cadata=CA.certificate.decode())
    return await asyncio.open_connection("127.0.0.1", world.port, ssl=trust)


def head(length: int, path: str = PATH) -> bytes:
    token = Signer().token()
    return (
        f"POST {path} HTTP/1.1\r\nHost: intake\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
