"""An API server with the operator's one Secret."""

import copy
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import SECRETS, Resource


class Secrets:
    """`rival` writes between our read and our write, once; `broken` makes the server unreachable."""

    def __init__(self, data: Mapping[str, str] | None = None) -> None:
        self.secret: dict[str, Any] | None = {"metadata": {"name": "s", "resourceVersion": "1"}}
        if data is not None:
            self.secret["data"] = dict(data)
        self.rival: Any = None
        self.broken = False
        self.writes = 0

    @property
    def data(self) -> dict[str, str]:
        assert self.secret is not None
        return dict(self.secret["data"])

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        assert (resource, name, namespace) == (SECRETS, "s", "system")
        if self.broken:
            raise ApiError(503, "ServiceUnavailable")
        if self.secret is None:
            raise ApiError(404, "NotFound")
        return copy.deepcopy(self.secret)

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str | None = None, /
    ) -> dict[str, Any]:
        if self.rival is not None:
            rival, self.rival = self.rival, None
            await rival()
        assert self.secret is not None
        if body["metadata"]["resourceVersion"] != self.secret["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict")
        self.writes += 1
        self.secret = copy.deepcopy(dict(body))
        self.secret["metadata"]["resourceVersion"] += "1"
        return self.secret
