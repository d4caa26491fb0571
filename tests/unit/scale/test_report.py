"""The tables and pictures say what the runs found."""

from __future__ import annotations

from typing import Any

from tests.scale.growth import medians, pictures
from tests.scale.nodes import LAST_SEQUENCE, configuration, last_word
from tests.scale.report import own, ratios, text
from tests.scale.runs import bare_pod
from trainingjob_operator.api.contract import Report


def run(jobs: int, who: str, rate: float, pair: int = 0, cpu: float = 1.0) -> dict[str, Any]:
    found = {"seconds": 4 * jobs / rate, "per_second": rate}
    return {
        "who": who, "jobs": jobs, "pair": pair, "load after": 1.0,
        "reached": {"pods created": found, "pods Succeeded": found, "jobs Running": None},
        "requests": {"operator": {"create pods": 4 * jobs, "patch x by trainingjob-operator-intake": jobs}}
        if who == "operator"
        else {},
        "requests per job": {},
        "processes": {"operator": {"cpu_seconds": cpu, "peak_mb": 90.0}} if who == "operator" else {},
    }  # fmt: skip


def test_ratios_are_of_pairs_and_their_median() -> None:
    runs = [
        run(100, "operator", 60.0), run(100, "bare client", 120.0),
        run(100, "bare client", 100.0, 1), run(100, "operator", 70.0, 1),
    ]  # fmt: skip
    assert ratios(runs) == ["100 jobs: pods created at 60% of the bare client's rate (50%, 70%)"]


def test_what_chiefs_reported_is_counted_apart() -> None:
    assert own(run(100, "operator", 60.0)) == "4.0 + 1.0"
    assert own(run(100, "bare client", 60.0)) == "-"


def test_a_pair_that_is_not_complete_has_no_ratio() -> None:
    assert ratios([run(100, "operator", 60.0)]) == []


def test_the_text_has_a_line_for_each_run() -> None:
    document = {"runs": [run(100, "operator", 60.0), run(100, "bare client", 120.0)], "standing": None}
    lines = text(document).splitlines()
    assert lines[1].split()[:3] == ["100", "operator", "6.666666666666667"]
    assert len(lines) == 4


def test_growth_is_over_the_medians_of_our_runs() -> None:
    runs = [run(100, "operator", 60.0, n, cpu) for n, cpu in enumerate((1.0, 2.0, 9.0))]
    runs += [run(500, "operator", 60.0, 0, 5.0), run(500, "bare client", 99.0)]
    cpu = [run["processes"]["operator"]["cpu_seconds"] for run in runs[:3]]
    assert cpu == [1.0, 2.0, 9.0]
    found = medians(runs, lambda one: float(one["processes"]["operator"]["cpu_seconds"]) * 1000 / one["jobs"])
    assert found == [(100.0, 20.0), (500.0, 10.0)]
    assert [picture.splitlines()[0] for picture in pictures(runs)][1] == "CPU of the operator, ms a job"


def test_one_size_does_not_grow() -> None:
    assert pictures([run(100, "operator", 60.0)]) == []


def test_a_chief_ends_with_a_report_that_the_operator_reads_as_the_last() -> None:
    found = Report.decode(last_word())
    assert (found.member, found.state, found.final, found.sequence) == ("chief-0", "Succeeded", True, LAST_SEQUENCE)


def test_pods_that_run_for_ever_have_no_end() -> None:
    names = [stage["metadata"]["name"] for stage in configuration(None)[1:]]
    assert "pod-done" not in names
    delays = [stage["spec"].get("delay") for stage in configuration(2.5) if stage["kind"] == "Stage"]
    assert delays == [None, None, None, {"durationMilliseconds": 2500}]


def test_a_bare_client_makes_the_pod_without_owner_node_and_what_was_defaulted_to_it() -> None:
    body = {
        "metadata": {"name": "a", "uid": "u", "labels": {"l": "1"}, "ownerReferences": [{}], "managedFields": []},
        "spec": {"nodeName": "n", "tolerations": [], "containers": [{"name": "trainer"}]},
        "status": {"phase": "Running"},
    }
    assert bare_pod(body) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {"l": "1"}},
        "spec": {"containers": [{"name": "trainer"}]},
    }
    assert "nodeName" in body["spec"]
