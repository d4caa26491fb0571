"""What the audit log says of a change of the leader."""

from __future__ import annotations

import datetime
from typing import Any

from tests.scale.lead import pods_made, took_over

KILLED = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
OPERATOR = "system:serviceaccount:operator-system:trainingjob-operator"


def event(
    seconds: float, verb: str, what: str, name: str = "", code: int = 200, user: str = OPERATOR
) -> dict[str, Any]:
    resource, _, subresource = what.partition("/")
    at = (KILLED + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": user},
        "requestReceivedTimestamp": at,
        "responseStatus": {"code": code},
        "objectRef": {"resource": resource, "subresource": subresource, "namespace": "team", "name": name},
    }


def test_what_the_killed_one_sent_last_reads_and_others_do_not_count() -> None:
    events = [
        event(-1.0, "update", "leases"),
        event(0.1, "update", "leases"),
        event(0.6, "create", "pods", "a", 201),
        event(3.0, "get", "leases"),
        event(4.0, "patch", "trainingjobs/status", user="system:node:a"),
        event(16.0, "update", "leases"),
        event(16.5, "create", "pods", "b", 201),
        event(17.0, "patch", "trainingjobs/status"),
        event(18.0, "update", "leases"),
    ]
    assert took_over(events, KILLED) == {"seconds to the Lease": 16.0, "seconds to the first write": 16.5}


def test_nobody_took_over() -> None:
    found = took_over([event(-1.0, "update", "leases")], KILLED)
    assert found == {"seconds to the Lease": None, "seconds to the first write": None}


def test_a_pod_that_was_made_twice_is_named_and_one_that_was_there_is_only_counted() -> None:
    events = [
        event(0, "create", "pods", "a", 201),
        event(1, "create", "pods", "a", 409),
        event(2, "create", "pods", "b", 201),
        event(3, "create", "pods", "b", 201),
        event(4, "create", "pods", "c", 201, user="system:serviceaccount:bench:client"),
    ]
    assert pods_made(events, 2) == {
        "pods wanted": 2,
        "pods created": 3,
        "pods created twice": ["team/b"],
        "creates of pods that were there (409)": 1,
    }
