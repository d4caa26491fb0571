"""What the flusher learns from the cache: a job's status with its whole history, and when a last report was left."""

from dataclasses import replace
from typing import Any

import orjson

from tests.unit.operator.core.builders import ended, final_report, running
from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.runtime.intake_facts import said_at, status_fact
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.packed import pack, unpack


def job(points: int, **reporting: Any) -> dict[str, Any]:
    history = [
        {"time": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z", "step": n, "metrics": {"loss": 1 / (n + 1)}}
        for n in range(points)
    ]
    return {
        "metadata": {"uid": "u", "name": "a", "namespace": "ns", "resourceVersion": "7"},
        "spec": {"reporting": reporting},
        "status": {"phase": "Running", "training": {"step": points, "history": history}},
    }


def test_the_flusher_gets_the_history_as_it_was_and_what_the_spec_wants() -> None:
    cache = JobCache(lambda _uid: None)
    cache.put(job(100, history=50, best={"cost": "min"}))
    fact = status_fact(cache, "u")
    assert fact is not None
    assert fact.status == job(100)["status"]
    assert fact.resource_version == "7"
    assert fact.reporting == Reporting(history=50, best={"cost": "min"})
    assert status_fact(cache, "nobody") is None


def test_the_cache_keeps_histories_packed() -> None:
    cache = JobCache(lambda _uid: None)
    cache.put(job(100))
    body = cache.body("u")
    assert body is not None
    packed = body["status"]["training"]["history"]
    assert isinstance(packed, bytes)
    assert len(packed) < len(orjson.dumps(job(100)["status"]["training"]["history"])) / 2
    assert body["status"]["training"]["step"] == 100
    cache.put(body)
    fact = status_fact(cache, "u")
    assert fact is not None
    assert fact.status == job(100)["status"], "putting what the cache gave changes nothing"


def test_the_cache_keeps_nothing_that_nobody_reads() -> None:
    cache = JobCache(lambda _uid: None)
    given = job(2)
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "a"}
    given["metadata"] |= {"managedFields": [{"manager": "kubectl"}], "annotations": applied}
    cache.put(given)
    body = cache.body("u")
    assert body is not None
    assert body["metadata"] == job(2)["metadata"] | {"annotations": {"team": "a"}}
    assert body["spec"] == given["spec"]
    assert "managedFields" in given["metadata"], "the caller's object stays as it is"


def test_what_has_no_history_is_left_alone() -> None:
    for body in (job(0), {"metadata": {}}, {"status": {}}, {"status": {"training": {}}}):
        assert pack(body) is body
        assert unpack(body) is body
    given = job(3)
    pack(given)
    assert given == job(3), "the caller's object stays as it is"


def test_a_last_report_is_as_old_as_its_pods_end() -> None:
    report = Report.decode(final_report())
    chief = ended("chief", when=30, message=final_report())
    assert chief.terminated is not None
    assert chief.terminated.finished_at is not None
    assert said_at(report, [ended(when=20), chief]) == chief.terminated.finished_at.timestamp()
    assert said_at(report, [ended(when=20), replace(chief, incarnation=2)]) is None
    assert said_at(report, [running("chief")]) is None
    nobody_knows = replace(chief, terminated=replace(chief.terminated, finished_at=None))
    assert said_at(report, [nobody_knows]) is None
