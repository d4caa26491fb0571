"""A container's variables, as the kubelet makes them."""

from __future__ import annotations

from typing import Any

import pytest

from trainingjob_local.environment import container_variables, expand, unknown_sources
from trainingjob_local.job_file import Companions

POD = {
    "metadata": {"name": "toy-chief-0", "uid": "u", "labels": {"team": "a"}},
    "spec": {"nodeName": "here"},
    "status": {"podIP": "127.0.0.1"},
}
FILE = Companions({("ConfigMap", "c"): {"k": b"from c"}, ("Secret", "s"): {"A": b"1", "B": b"2"}})


def variables(
    *entries: dict[str, Any], shell: dict[str, str] | None = None, **container: Any
) -> tuple[dict[str, str], list[str]]:
    return container_variables({"env": list(entries), **container}, POD, FILE, shell or {})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$(A)/x", "1/x"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$(UNKNOWN)", "$(UNKNOWN)"), ("$A ${A} $(", "$A ${A} $("),
        ("a$$b", "a$b"), ("$(A)$(A)", "11"), ("$(B)", "$(A)"),
    ],
)  # fmt: skip
def test_references_are_replaced_once_and_dollars_escaped(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1", "B": "$(A)"}) == wanted


def test_later_variables_see_earlier_ones() -> None:
    found, problems = variables(
        {"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}, {"name": "C", "value": "$(A)"}, {"name": "D"}
    )
    assert (found, problems) == ({"B": "$(A)", "A": "1", "C": "1", "D": ""}, [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "toy-chief-0"), ("spec.nodeName", "here"), ("status.podIP", "127.0.0.1"),
        ("metadata.labels['team']", "a"), ("metadata.annotations['none']", ""),
    ],
)  # fmt: skip
def test_what_the_pod_says_of_itself(path: str, value: str) -> None:
    assert variables({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}) == ({"X": value}, [])


def test_values_come_from_the_file_then_from_the_shell_and_else_are_missing() -> None:
    here = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    away = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "other", "key": "t"}}}
    maybe = {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "other", "key": "t", "optional": True}}}
    limit = {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}
    assert variables(here, maybe, shell={"X": "not this"}) == ({"X": "from c"}, [])
    assert variables(away, limit, shell={"TOKEN": "secret", "CPU": "2"}) == ({"TOKEN": "secret", "CPU": "2"}, [])
    found, problems = variables(away, limit)
    assert found == {}
    assert problems == [
        "spec: variable TOKEN comes from Secret other, key t, which is not on this machine: export TOKEN=… first",
        "spec: variable CPU comes from resourceFieldRef, which is not on this machine: export CPU=… first",
    ]


def test_whole_objects_are_variables_and_those_of_their_own_win() -> None:
    source = [{"secretRef": {"name": "s"}, "prefix": "P_"}, {"configMapRef": {"name": "none"}}]
    found, problems = variables({"name": "P_A", "value": "mine"}, envFrom=source)
    assert (found, problems) == ({"P_A": "mine", "P_B": "2"}, [])
    assert unknown_sources({"envFrom": source}, FILE) == ["ConfigMap none"]
