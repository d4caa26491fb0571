"""One request to the API server: authentication, rate limit, time limits, retries, telemetry."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson

from trainingjob_operator.kube.backoff import Backoff
from trainingjob_operator.kube.config import ClusterAddress, Credentials, TokenReader, ssl_context
from trainingjob_operator.kube.errors import ApiError, ClientClosedError, UnreachableError
from trainingjob_operator.kube.limiter import TokenBucket

Json = dict[str, Any]
#: Called after every attempt with (verb, plural or path, HTTP status or 0 without an answer, seconds).
OnRequest = Callable[[str, str, int, float], None]
#: `always`: the request may be sent twice. `refused`: only when the server says that it did nothing (429).
Retry = Literal["always", "refused"]


@dataclass(frozen=True)
class Options:
    """How requests are made. Times are seconds; `attempts` counts the first try."""

    timeout: float = 30.0
    connect_timeout: float = 10.0
    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    longest_wait: float = 30.0
    #: Requests under way at once, besides watches: each has a connection, with its handshake and its memory, and the
    #: API server does no more at once for having more of them.
    parallel: int = 32
    user_agent: str = "trainingjob-operator"


class Transport:
    """An HTTP session with one API server. Open it in the event loop that uses it."""

    def __init__(
        self,
        address: ClusterAddress,
        credentials: Credentials,
        *,
        limiter: TokenBucket | None = None,
        on_request: OnRequest | None = None,
        options: Options | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.address = address
        self.options = options or Options()
        self._token = TokenReader(credentials)
        self._ssl: ssl.SSLContext | None = ssl_context(address, credentials)
        self._limiter = limiter
        self._on_request = on_request
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._free = asyncio.Semaphore(self.options.parallel)

    async def open(self) -> None:
        """Make the session."""
        connector = aiohttp.TCPConnector(ssl=self._ssl if self._ssl is not None else True, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self.options.timeout, sock_connect=self.options.connect_timeout),
            headers={"User-Agent": self.options.user_agent, "Accept": "application/json, */*"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close the session. Requests under way fail."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def start(self, method: str, path: str, timeout: aiohttp.ClientTimeout | None = None, **kwargs: Any) -> Any:
        """Return aiohttp's context manager for one raw attempt, authenticated. For streams; others use `request`."""
        if self._session is None:
            raise ClientClosedError("the Kubernetes client is not open: use `async with KubeClient(...)`")
        headers: dict[str, str] = dict(kwargs.pop("headers", {}))
        token = self._token.read()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if timeout is not None:
            kwargs["timeout"] = timeout
        return self._session.request(
            method,
            self.address.url + path,
            headers=headers,
            server_hostname=self.address.server_name,
            allow_redirects=False,
            **kwargs,
        )

    async def throttle(self) -> None:
        """Wait for the client-side rate limit."""
        if self._limiter is not None:
            await self._limiter.acquire()

    def observe(self, verb: str, resource: str, status: int, started: float) -> None:
        """Tell telemetry about one attempt that began at `started` (time.monotonic)."""
        if self._on_request is not None:
            self._on_request(verb, resource, status, time.monotonic() - started)

    async def request(
        self,
        verb: str,
        resource: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        retry: Retry = "always",
    ) -> Json:
        """Send a request until it is answered well, answered for good, or the attempts are used up.

        Raises:
            ApiError: the server's refusal.
            UnreachableError: no answer (an ApiError of status 0).
        """
        data = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": content_type} if data is not None else {}
        attempt = 0
        while True:
            await self.throttle()
            try:
                async with self._free:
                    return await self._attempt(
                        verb, resource, method, path, params=dict(params or {}), data=data, headers=headers
                    )
            except ApiError as error:
                repeatable = error.status == 429 or (error.transient and retry == "always")
                if not repeatable or attempt + 1 >= self.options.attempts:
                    raise
                wait = self.options.backoff.seconds(attempt)
                if error.retry_after is not None:
                    wait = max(wait, min(error.retry_after, self.options.longest_wait))
            attempt += 1
            await self._sleep(wait)

    async def _attempt(self, verb: str, resource: str, method: str, path: str, **kwargs: Any) -> Json:
        started, status = time.monotonic(), 0
        try:
            async with self.start(method, path, **kwargs) as response:
                content: bytes = await response.read()
                status = response.status
                if status >= 300:
                    raise ApiError.from_response(status, content, response.headers.get("Retry-After"))
                document = orjson.loads(content) if content else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: {describe(error)}") from error
        except orjson.JSONDecodeError as error:
            raise ApiError(502, "BadAnswer", f"{method} {path}: not JSON: {error}") from error
        finally:
            self.observe(verb, resource, status, started)
        if not isinstance(document, dict):
            raise ApiError(502, "BadAnswer", f"{method} {path}: not a JSON object")
        return document


def describe(error: BaseException) -> str:
    """Return an exception in a few words; many network errors have an empty text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
