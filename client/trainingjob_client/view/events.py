"""Kubernetes events about a job."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_client.view.fields import Fields


@dataclass(frozen=True)
class EventView:
    """One event."""

    time: datetime | None
    reason: str
    message: str
    warning: bool


def read_event(body: Any) -> EventView:
    """Read an event. Never fails."""
    event = Fields(body)
    time = event.time("lastTimestamp") or event.time("eventTime") or event.time("firstTimestamp")
    return EventView(time, event.text("reason"), event.text("message"), event.text("type") == "Warning")
