"""Who asked what of the API server, counted from its audit log."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Counts = dict[str, dict[str, int]]
#: Groups of users, by what their names begin with; the first that fits. Others are under their own names.
CONTROLLERS = "controller-manager"
OPERATOR = "operator"
_GROUPS = (
    ("system:serviceaccount:operator-system:", OPERATOR),
    ("system:serviceaccount:kube-system:", CONTROLLERS),
    ("system:kube-controller-manager", CONTROLLERS),
    ("system:kube-scheduler", "scheduler"),
    ("system:apiserver", "apiserver"),
)
#: Renewed by the clock, whatever the jobs do.
_CLOCKWORK = frozenset({"leases"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class Log:
    """An audit log that grows. `begin` forgets what is in it so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def begin(self) -> None:
        """Count from here."""
        self._at = self._path.stat().st_size

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events since `begin`, the last one only when it is written in full."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def group(user: str) -> str:
    """Return under which name a user is counted: a service account's own name, or the group's."""
    for head, name in _GROUPS:
        if user.startswith(head):
            return name
    return user.rpartition(":")[2]


def count(events: Iterable[Mapping[str, Any]]) -> Counts:
    """Return the number of requests that were answered, by user and `verb resource`; refused ones have their code.

    Watches and what the clock alone makes (leases) are not counted: they do not grow with jobs.
    """
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for event in events:
        about = event.get("objectRef") or {}
        if event["stage"] != "ResponseComplete" or event["verb"] == "watch" or about.get("resource") in _CLOCKWORK:
            continue
        code = (event.get("responseStatus") or {}).get("code", 0)
        what = "/".join(filter(None, (about.get("resource"), about.get("subresource")))) or "other"
        if "fieldManager=" in event["requestURI"]:
            what += f" by {event['requestURI'].partition('fieldManager=')[2].partition('&')[0]}"
        found[group(event["user"]["username"])][f"{event['verb']} {what}" + (f" {code}" if code >= 300 else "")] += 1
    return {user: dict(sorted(counts.items())) for user, counts in sorted(found.items())}


def watched(events: Iterable[Mapping[str, Any]], resource: str, by: str) -> bool:
    """Return whether a group of users has begun to watch a resource."""
    return any(
        event["verb"] == "watch"
        and (event.get("objectRef") or {}).get("resource") == resource
        and group(event["user"]["username"]) == by
        for event in events
    )


def total(counts: Mapping[str, int]) -> int:
    """Return the sum of one user's requests."""
    return sum(counts.values())


def writes(counts: Mapping[str, int]) -> int:
    """Return how many of them write."""
    return sum(number for what, number in counts.items() if what.partition(" ")[0] in WRITES)
