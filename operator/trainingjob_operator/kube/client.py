"""The verbs of the Kubernetes API on plain dicts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from trainingjob_operator.kube.config import ClusterAddress, Credentials
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import Resource
from trainingjob_operator.kube.transport import Json, OnRequest, Options, Transport
from trainingjob_operator.kube.watch import WatchEvent, stream

Objects = list[Json]


@dataclass(frozen=True)
class Page:
    """A part of a list. `resource_version` is that of the whole list, the same on every page."""

    items: Objects
    resource_version: str


class KubeClient:
    """A client for one API server.

    What is retried, and why that is safe: reads, deletes and server-side applies say the same thing twice. A create
    is retried as well although its first answer may have been lost: all our names are deterministic, and callers take
    409 AlreadyExists on an object whose owner is theirs for success. Replace, merge patch and anything else that
    reads before it writes are retried only when the server said that it did nothing (429).

    `limiter` is the client-side rate limit. Clients may share one; the writer of metrics has its own, so that it
    cannot starve the reconciler.
    """

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
        self._http = Transport(
            address, credentials, limiter=limiter, on_request=on_request, options=options, sleep=sleep
        )

    async def __aenter__(self) -> Self:
        await self._http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def open(self) -> None:
        """Open the connection pool, for users that cannot hold a `with` block open."""
        await self._http.open()

    async def close(self) -> None:
        """Close the connection pool."""
        await self._http.close()

    async def raw(self, path: str) -> Json:
        """GET a path that is no resource, like `/version` or `/openid/v1/jwks`."""
        return await self._http.request("get", path, "GET", path)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Read one object."""
        return await self._http.request("get", resource.plural, "GET", resource.path(namespace, name))

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncGenerator[Page, None]:
        """Read a collection page by page: memory holds one page, not all objects.

        Raises:
            ApiError: with status 410 when the list took so long that the server forgot its beginning: start again.
        """
        token = ""
        while True:
            params = _selectors(label_selector, field_selector) | {"limit": str(limit)}
            if token:
                params["continue"] = token
            answer = await self._http.request("list", resource.plural, "GET", resource.path(namespace), params=params)
            metadata = answer.get("metadata") or {}
            yield Page(answer.get("items") or [], str(metadata.get("resourceVersion") or ""))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> Page:
        """Read a whole collection, in pages; once more from the start if its continue token expires."""
        for last in (False, True):
            items: Objects = []
            version = ""
            try:
                async for page in self.list_pages(
                    resource,
                    namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                    limit=limit,
                ):
                    items.extend(page.items)
                    version = page.resource_version
            except ApiError as error:
                if last or not error.expired:
                    raise
            else:
                return Page(items, version)
        raise AssertionError("unreachable")

    async def create(self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None) -> Json:
        """Create an object. 409 AlreadyExists may be our own first attempt: look at the object's owner."""
        return await self._http.request("create", resource.plural, "POST", resource.path(namespace), body=body)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Delete an object; False when it is not there.

        With `uid` only that very object is deleted, never one that took its name since: the server answers 409
        Conflict then, which is False too, as what was to be deleted is gone. With `resource_version` it must also not
        have changed since: False says that it is gone or has.
        """
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        wanted = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in wanted.items() if value is not None}
        if preconditions:
            options["preconditions"] = preconditions
        try:
            await self._http.request(
                "delete", resource.plural, "DELETE", resource.path(namespace, name), body=options
            )
        except ApiError as error:
            if error.not_found or (preconditions and error.conflict):
                return False
            raise
        return True

    async def apply(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        field_manager: str,
        force: bool = True,
        subresource: str | None = None,
    ) -> Json:
        """Server-side apply: the fields in `body` are this manager's, those that it had and left out go.

        `metadata.resourceVersion` in the body is a precondition (409 Conflict). `metadata.uid` is NOT one on the
        status of a custom resource: kube-apiserver 1.36 ignores it there.
        """
        document = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._http.request(
            "apply",
            resource.plural,
            "PATCH",
            resource.path(namespace, name, subresource),
            params={"fieldManager": field_manager, "force": "true" if force else "false"},
            body=document,
            content_type="application/apply-patch+yaml",
        )

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Json:
        """JSON merge patch: null removes, lists are replaced whole."""
        return await self._http.request(
            "patch",
            resource.plural,
            "PATCH",
            resource.path(namespace, name, subresource),
            body=body,
            content_type="application/merge-patch+json",
            retry="refused",
        )

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str | None = None
    ) -> Json:
        """Write a whole object. Its `metadata.resourceVersion` is the optimistic lock: 409 Conflict if it moved.

        When the connection breaks aiohttp repeats a PUT once by itself, so a conflict may be with our own write: read
        the object again before you believe that somebody else wrote it.

        Raises:
            ValueError: the object has no resourceVersion, so that the write would overwrite anything.
        """
        if not (body.get("metadata") or {}).get("resourceVersion"):
            raise ValueError(f"replace {resource.plural} {name!r}: metadata.resourceVersion is missing")
        return await self._http.request(
            "update", resource.plural, "PUT", resource.path(namespace, name), body=body, retry="refused"
        )

    async def replace_status(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        field_manager: str,
    ) -> Json:
        """Write the whole `status` of an object; of the rest of `body` only the metadata count, as in `replace`.

        It may be sent twice, because then the second one conflicts with the first: read the object again, as always.

        Raises:
            ValueError: see `replace`.
        """
        if not (body.get("metadata") or {}).get("resourceVersion"):
            raise ValueError(f"status of {resource.plural} {name!r}: metadata.resourceVersion is missing")
        return await self._http.request(
            "update",
            resource.plural,
            "PUT",
            resource.path(namespace, name, "status"),
            params={"fieldManager": field_manager},
            body={"apiVersion": resource.api_version, "kind": resource.kind, **body},
        )

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        seconds: float = 60.0,
        grace: float = 10.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Stream changes after `resource_version` for `seconds`; see `watch.stream`."""
        return stream(
            self._http,
            resource,
            resource.path(namespace),
            resource_version=resource_version,
            selectors=_selectors(label_selector, field_selector),
            seconds=seconds,
            grace=grace,
        )


def _selectors(label: str, field: str) -> dict[str, str]:
    named = {"labelSelector": label, "fieldSelector": field}
    return {name: value for name, value in named.items() if value}
