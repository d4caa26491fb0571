"""Chiefs' launchers as far as the intake knows them: they report that the gang runs, and go on reporting steps.

Each gets the token that the kubelet would project into its pod from the API server (TokenRequest, bound to the pod).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import ssl
from collections.abc import AsyncIterator

import aiohttp

from tests.bench.crowd import NODES
from tests.bench.crowd import report as body_of
from tests.bench.operator_side import Side
from tests.scale.client import Client
from tests.scale.world import JobTimes, World
from trainingjob_operator.api import names

TOKEN_SECONDS = 7200
PATIENCE = 30.0


class Chiefs:
    """Reports of all jobs of a world, `interval` seconds apart; None: only the first."""

    def __init__(self, world: World, api: Client, interval: float | None) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self._api = api
        self._interval = interval
        self._port = 0
        self._nodes: list[aiohttp.ClientSession] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        world.on_gang = self._begin
        world.on_end = self._end

    def use(self, port: int) -> None:
        """Report to the intake on this port from now on."""
        self._port = port

    def _begin(self, job: JobTimes) -> None:
        if job.uid not in self._tasks:
            self._tasks[job.uid] = asyncio.create_task(self._report(job))

    def _end(self, job: JobTimes) -> None:
        if job.uid in self._tasks:
            self._tasks[job.uid].cancel()

    async def _report(self, job: JobTimes) -> None:
        chief = next(pod for pod in job.pods.values() if pod.role == names.ROLE_CHIEF)
        bound = {"kind": "Pod", "apiVersion": "v1", "name": chief.name, "uid": chief.uid}
        wish = {
            "audiences": [f"trainingjob.dev/jobs/{job.uid}"],
            "expirationSeconds": TOKEN_SECONDS,
            "boundObjectRef": bound,
        }
        path = f"/api/v1/namespaces/{job.namespace}/serviceaccounts/default/token"
        token = (await self._api.send("POST", path, {"spec": wish}))["status"]["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        session = self._nodes[len(self._tasks) % len(self._nodes)]
        sequence, wait = 1, 0.2
        while chief.ended is None:
            url = f"https://127.0.0.1:{self._port}{Side.report_path(job.name, job.namespace)}"
            try:
                async with session.post(url, data=body_of(sequence), headers=headers) as answer:
                    await answer.read()
                    status = str(answer.status)
            except (aiohttp.ClientError, OSError) as error:
                status = type(error).__name__
            self.answers[status] += 1
            if status not in ("200", "204"):  # a launcher tries again, later and later
                wait = min(PATIENCE, wait * 2)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                continue
            if self._interval is None:
                return
            sequence, wait = sequence + 1, 0.2
            await asyncio.sleep(self._interval * random.uniform(0.9, 1.1))


@contextlib.asynccontextmanager
async def chiefs(world: World, api: Client, authority: str, interval: float | None) -> AsyncIterator[Chiefs]:
    """Play the chiefs of a world for the time of the block."""
    context = ssl.create_default_context(cadata=authority)
    async with contextlib.AsyncExitStack() as stack:
        one = Chiefs(world, api, interval)
        for address in NODES:
            connector = aiohttp.TCPConnector(limit=0, ssl=context, local_addr=(address, 0))
            one._nodes.append(await stack.enter_async_context(aiohttp.ClientSession(connector=connector)))
        try:
            yield one
        finally:
            for task in one._tasks.values():
                task.cancel()
            await asyncio.gather(*one._tasks.values(), return_exceptions=True)
