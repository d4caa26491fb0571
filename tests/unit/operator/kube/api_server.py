"""A real HTTP server on this host that answers as the test says: the other side of the client's tests."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.config import ClusterAddress, Credentials
from trainingjob_operator.kube.transport import Options

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ApiServer:
    """Requests are recorded in `seen` and answered by `handler`."""

    url: str = ""
    handler: Handler | None = None
    seen: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                orjson.loads(body) if body else None,
            )
        )
        assert self.handler is not None
        return await self.handler(request)

    def answers(self, *answers: web.Response | Exception) -> None:
        """Give these answers in turn, the last one for ever. An exception breaks the connection off."""
        left = list(answers)

        async def handler(request: web.Request) -> web.StreamResponse:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

        self.handler = handler


@asynccontextmanager
async def api_server() -> Any:
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


class Sleeps:
    """Stands for asyncio.sleep: remembers how long was slept, and does not sleep."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def client_of(server: ApiServer, sleep: Any = None, **kwargs: Any) -> KubeClient:
    credentials = kwargs.pop("credentials", Credentials(token="secret-token"))
    options = kwargs.pop("options", Options(backoff=Backoff(base=1, limit=15, rand=lambda: 1.0)))
    return KubeClient(ClusterAddress(server.url), credentials, options=options, sleep=sleep or Sleeps(), **kwargs)


def answer(document: Any, status: int = 200, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json", headers=named)


def status(code: int, reason: str, message: str = "no", **details: Any) -> web.Response:
    """An error answer as the API server gives it."""
    return answer(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": code,
            "details": details,
        },
        code,
    )
