"""Requests are counted by who made them and by what they asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scale.audit import CONTROLLERS, Log, count, group, total, watched, writes

OPERATOR = "system:serviceaccount:operator-system:operator"


def event(verb: str, resource: str, user: str = OPERATOR, code: int = 200, **more: Any) -> dict[str, Any]:
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": resource},
        "responseStatus": {"code": code},
        "requestURI": f"/{resource}",
        **more,
    }


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (OPERATOR, "operator"),
        ("system:serviceaccount:bench:client", "client"),
        ("system:serviceaccount:kube-system:endpoint-controller", "controller-manager"),
        ("system:kube-controller-manager", "controller-manager"),
        ("system:kube-scheduler", "scheduler"),
        ("admin", "admin"),
    ],
)
def test_controllers_count_as_one_and_accounts_by_their_own_name(user: str, name: str) -> None:
    assert group(user) == name


def test_requests_are_counted_by_verb_and_resource() -> None:
    found = count([event("create", "pods"), event("create", "pods"), event("get", "pods", "admin")])
    assert found == {"admin": {"get pods": 1}, "operator": {"create pods": 2}}


def test_a_subresource_is_another_resource_and_a_refusal_has_its_code() -> None:
    about = {"objectRef": {"resource": "pods", "subresource": "binding"}}
    assert count([event("create", "pods", code=409, **about)]) == {"operator": {"create pods/binding 409": 1}}


def test_applies_are_counted_by_their_field_manager() -> None:
    uri = {"requestURI": "/x/status?fieldManager=intake&force=true"}
    assert count([event("patch", "trainingjobs", **uri)]) == {"operator": {"patch trainingjobs by intake": 1}}


def test_watches_and_clockwork_do_not_count() -> None:
    started = event("get", "pods") | {"stage": "ResponseStarted"}
    assert count([event("watch", "pods"), event("update", "leases"), started]) == {}


def test_writes_are_told_from_reads() -> None:
    counts = {"create pods": 4, "patch trainingjobs/status by x": 2, "get pods": 7, "list pods": 1}
    assert (total(counts), writes(counts)) == (14, 6)


def test_a_log_is_read_from_where_it_was_begun_and_without_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(json.dumps(event("create", "pods")) + "\n")
    log = Log(path)
    log.begin()
    with path.open("a") as file:
        file.write(json.dumps(event("delete", "pods")) + "\n" + '{"stage": ')
    assert [found["verb"] for found in log.events()] == ["delete"]


def test_whether_a_group_has_begun_to_watch() -> None:
    collector = "system:serviceaccount:kube-system:generic-garbage-collector"
    begun = event("watch", "trainingjobs", collector) | {"stage": "ResponseStarted"}
    assert watched([begun], "trainingjobs", CONTROLLERS)
    others = [
        event("watch", "trainingjobs"),
        event("list", "trainingjobs", collector),
        event("watch", "pods", collector),
    ]
    assert not watched(others, "trainingjobs", CONTROLLERS)
