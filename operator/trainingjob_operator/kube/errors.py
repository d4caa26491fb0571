"""What the API server answers when it says no."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson


class ApiError(Exception):
    """An HTTP error of the API server, or the object of a watch's ERROR event.

    `status` is the HTTP code, `reason` the machine word of the Status (`NotFound`, `AlreadyExists`, `Conflict`,
    `Expired` ...), `details` its details, `retry_after` seconds that the server asks to wait, if it does.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """The object (or its whole resource) is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """A precondition (resourceVersion, uid) did not hold, or the name is taken."""
        return self.status == 409

    @property
    def expired(self) -> bool:
        """The resourceVersion or continue token is too old: list again."""
        return self.status == 410

    @property
    def transient(self) -> bool:
        """The same request may succeed later without anything else changing."""
        return self.status in (0, 429) or self.status >= 500

    @classmethod
    def from_response(cls, status: int, body: bytes, retry_after: str | None = None) -> "ApiError":
        """Read an error response; a body that is not a Status (a proxy's page) becomes a short message."""
        seconds = parse_retry_after(retry_after)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict) and document.get("kind") == "Status":
            return cls.from_status(document, status, seconds)
        return cls(status, "", body[:200].decode("utf-8", "replace").strip() or "no body", None, seconds)

    @classmethod
    def from_status(
        cls, document: Mapping[str, Any], status: int | None = None, retry_after: float | None = None
    ) -> "ApiError":
        """Read a `v1.Status` object. `status` is used where the object names no code."""
        details = document.get("details")
        details = details if isinstance(details, dict) else {}
        if retry_after is None and isinstance(details.get("retryAfterSeconds"), int):
            retry_after = float(details["retryAfterSeconds"])
        code = document.get("code")
        return cls(
            code if isinstance(code, int) else status or 500,
            str(document.get("reason") or ""),
            str(document.get("message") or ""),
            details,
            retry_after,
        )


class UnreachableError(ApiError):
    """No answer: the connection failed, broke or timed out. What was asked may have been done or not."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class ClientClosedError(RuntimeError):
    """The client was used before `open` or after `close`."""


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number, or an HTTP date. None where there is none or nonsense."""
    if not text:
        return None
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
