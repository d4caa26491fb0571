"""The job's object while it runs: what the API server would keep, and both writers of its status.

The reconciler's part and the intake's part are kept apart, as server-side apply keeps them by field manager: each
write of one replaces what that one wrote before, and nothing else.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api.contract import Report
from trainingjob_operator.core.observe import JobFact, observe_job
from trainingjob_operator.intake.store import Order, order_of
from trainingjob_operator.intake.view import REPORTING, fragment


class JobState:
    """A job and its status. `body` is a fresh object each time."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = dict(body)
        self._fact = observe_job(body)  # the spec is read once, it does not change
        self._decided: dict[str, Any] = {}
        self._reported: dict[str, Any] = {}
        self._order: Order | None = None

    @property
    def status(self) -> dict[str, Any]:
        """Both parts in one."""
        return _merged(self._decided, self._reported)

    @property
    def body(self) -> dict[str, Any]:
        """The whole object."""
        return {**self._body, "status": self.status} if self._decided else dict(self._body)

    @property
    def fact(self) -> JobFact:
        """The job as decisions see it."""
        return dataclasses.replace(self._fact, status=self.status)

    def decided(self, status: Mapping[str, Any]) -> None:
        """Take the reconciler's status."""
        self._decided = _stored(status)

    def report(self, report: Report, received_at: float) -> bool:
        """Take a report, `received_at` in seconds since 1970; False for one that is not later than the last."""
        if self._order is not None and order_of(report) <= self._order:
            return False
        self._order = order_of(report)
        spec = self._fact.spec
        reporting = spec.reporting if spec is not None else REPORTING
        self._reported = _stored(fragment(report, received_at, self.status, reporting))
        return True


def _stored(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status as an API server gives it back: JSON's own types."""
    value: dict[str, Any] = json.loads(json.dumps(status))
    return value


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(one)
    for key, value in other.items():
        known = out.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        out[key] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return out
