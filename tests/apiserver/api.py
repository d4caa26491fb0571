"""A small blocking client for tests: what kubectl sends, without kubectl's half second."""

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = dict[str, Any]
#: How long an API server may say 429, which it does while the storage of a new CRD starts.
BUSY_SECONDS = 10
JOBS = "/apis/trainingjob.dev/v1alpha1/namespaces/{}/trainingjobs"


class RefusedError(Exception):
    """The API server said no. `fields` are the fields that it named, `message` is what kubectl would print."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.message = str(body.get("message", ""))
        causes = (body.get("details") or {}).get("causes") or ()
        self.causes = [(str(cause.get("field", "")), str(cause.get("message", ""))) for cause in causes]
        super().__init__(f"{status}: {self.message}")

    @property
    def fields(self) -> list[str]:
        """Paths of the fields that are wrong."""
        return [field for field, _ in self.causes]


@dataclass(frozen=True)
class Api:
    """An API server and who we are to it. `user` acts for somebody else, with that user's rights only."""

    url: str
    ca: bytes
    token: str
    user: str = ""

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.ca.decode())

    def acting_for(self, user: str) -> "Api":
        """Return the same client with the rights of another user, like system:serviceaccount:NAMESPACE:NAME."""
        return Api(self.url, self.ca, self.token, user)

    def text(self, path: str) -> str:
        """GET a path as text."""
        return self._send("GET", path, None, "application/json").decode()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **parameters: str,
    ) -> Json:
        """Send a request with strict field validation, as kubectl does, and return the answer.

        Raises:
            RefusedError: the server's Status, with the fields that it named.
        """
        query = {"fieldValidation": "Strict", **parameters} if method != "GET" else parameters
        suffix = "?" + urllib.parse.urlencode(query) if query else ""
        answer: Json = json.loads(self._send(method, path + suffix, body, content_type) or b"{}")
        return answer

    def get(self, path: str) -> Json:
        """Read an object or a list."""
        return self.request("GET", path)

    def create(self, collection: str, body: Json, **parameters: str) -> Json:
        """Create an object."""
        return self.request("POST", collection, body, **parameters)

    def merge(self, path: str, body: Json) -> Json:
        """JSON merge patch: null removes a field."""
        return self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def _send(self, method: str, path: str, body: Any, content_type: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if self.user:
            headers |= {"Impersonate-User": self.user}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), content_type
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, context=self._context, timeout=20) as answer:
                    content: bytes = answer.read()
                    return content
            except urllib.error.HTTPError as error:
                with error:
                    content = error.read()
                if error.code != 429 or time.monotonic() > deadline:
                    raise RefusedError(error.code, _status(content)) from None
            time.sleep(0.1)


def _status(content: bytes) -> Json:
    try:
        status = json.loads(content)
    except ValueError:
        status = None
    return status if isinstance(status, dict) else {"message": content.decode(errors="replace")}
