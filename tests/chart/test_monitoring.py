"""ServiceMonitor, alerts and dashboard: they parse, and ask for metrics and labels that the operator really has."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.chart import helm
from tests.unit.operator.telemetry.populated import complete

ALL: helm.Values = {
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    }
}
NAMESPACED = ALL | {"watchNamespaces": ["team-a", "team-b"]}
#: What the scrape adds to every sample.
TARGET = {"namespace", "pod", "instance", "job", "service", "container", "endpoint"}
PROMETHEUS = helm.ROOT / "deploy/examples/prometheus/prometheus.yaml"
#: What a rule keeps, or a panel's legend shows, must be in the result.
AGGREGATES = re.compile(r"\b(?:sum|max|min|avg|count) by \(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    """A metric with the labels by which it is chosen."""

    metric: str
    labels: frozenset[str]


def nodes(expr: Any) -> Iterator[Any]:
    """Yield an expression and all below it."""
    yield expr
    for name in ("expr", "lhs", "rhs", "param", "args", "vector_selector"):
        inner = getattr(expr, name, None)
        for child in inner if isinstance(inner, list) else [inner]:
            if child is not None and type(child).__module__.startswith("promql_parser"):
                yield from nodes(child)


def selectors(query: str) -> list[Selector]:
    """Return what a query selects.

    Raises:
        ValueError: it is no PromQL.
    """
    found = []
    for node in nodes(promql_parser.parse(query)):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = [m for group in (node.matchers.matchers, *node.matchers.or_matchers) for m in _list(group)]
            assert node.name, f"{query}: a selector without a metric"
            found.append(Selector(node.name, frozenset(matcher.name for matcher in matchers)))
    return found


def _list(item: Any) -> list[Any]:
    return item if isinstance(item, list) else [item]


def grouped(query: str) -> set[str]:
    """Return all labels that a query groups by or matches on."""
    said = re.findall(r"\b(?:by|on|ignoring|without|group_left|group_right) \(([^)]*)\)", query)
    return {label.strip() for group in said for label in group.split(",")} - {""}


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Every sample's name, with the labels that it has: read from a real scrape."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(asyncio.run(complete())):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def rules(values: helm.Values) -> list[dict[str, Any]]:
    """Return all alert rules."""
    spec = helm.pick(helm.render(values), "PrometheusRule")["spec"]
    return [rule for group in spec["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana gets it."""
    data = helm.pick(helm.render(ALL), "ConfigMap", f"{helm.RELEASE}-dashboard")["data"]
    (text,) = data.values()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def plain(query: str) -> str:
    """Return a panel's query with what Grafana puts in for its variables."""
    return re.sub(r"\$(namespace|job)\b", ".*", query.replace("$__rate_interval", "2m"))


def problems(query: str, exposed: dict[str, set[str]]) -> list[str]:
    """Return what a query asks for and nobody has."""
    found, labels = [], set()
    for selector in selectors(query):
        if selector.metric not in exposed:
            found.append(f"no metric {selector.metric}")
            continue
        labels |= exposed[selector.metric]
        found += [f"{selector.metric} has no label {x}" for x in selector.labels - exposed[selector.metric] - TARGET]
    return found + [f"no label {label}" for label in grouped(query) - labels - TARGET]


@pytest.mark.parametrize("values", [ALL, NAMESPACED], ids=["cluster", "namespaced"])
def test_alerts_ask_for_what_is_there(values: helm.Values, exposed: dict[str, set[str]]) -> None:
    found = rules(values)
    assert len(found) >= 18
    assert {rule["alert"]: problems(rule["expr"], exposed) for rule in found} == {r["alert"]: [] for r in found}


def test_panels_ask_for_what_is_there(exposed: dict[str, set[str]]) -> None:
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(queries) > 50
    assert [(query, found) for query in queries if (found := problems(plain(query), exposed))] == []


def test_the_check_sees_what_is_wrong(exposed: dict[str, set[str]]) -> None:
    assert problems("sum(rate(trainingjob_nothing_total[5m])) > 1", exposed) == [
        "no metric trainingjob_nothing_total"
    ]
    assert problems('trainingjob_step{phase="x"}', exposed) == ["trainingjob_step has no label phase"]
    assert problems("sum by (phase) (trainingjob_step)", exposed) == ["no label phase"]
    nested = '1 - (-max_over_time(abs(aa)[5m:1m])) / on (pod) count_values("x", bb) or topk(3, rate(cc[5m]))'
    assert {selector.metric for selector in selectors(nested)} == {"aa", "bb", "cc"}
    with pytest.raises(ValueError):
        selectors("sum by (trainingjob_step")


def test_labels_in_texts_are_in_the_result(exposed: dict[str, set[str]]) -> None:
    """An alert's `$labels.x`, a legend's `{{x}}`: of the group where there is one, else of the metric."""
    texts = [(rule["expr"], json.dumps(rule["annotations"]), r"\$labels\.(\w+)") for rule in rules(ALL)]
    texts += [
        (plain(target["expr"]), target["legendFormat"], r"\{\{(\w+)\}\}")
        for panel in panels()
        for target in panel["targets"]
    ]
    for query, text, pattern in texts:
        group = AGGREGATES.findall(query)
        if group:
            have = {label.strip() for found in group for label in found.split(",")}
        elif query.startswith(("sum(", "max(", "absent(", "histogram_quantile(")):
            have = set()
        else:
            have = TARGET.union(*(exposed[selector.metric] for selector in selectors(query)))
        assert set(re.findall(pattern, text)) <= have, (query, text)


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    found = rules(ALL)
    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert re.fullmatch(r"TrainingJob[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert not rule["annotations"]["summary"].endswith(".")
        assert re.fullmatch(r"[0-9]+m|1h", rule.get("for", "1m"))


def test_alerts_of_the_guide_are_the_charts() -> None:
    page = (helm.ROOT / "docs/guides/monitoring.md").read_text()
    assert set(re.findall(r"^\| (TrainingJob\w+) \|", page, re.MULTILINE)) == {rule["alert"] for rule in rules(ALL)}


def test_thresholds_are_the_values() -> None:
    values: helm.Values = {
        "metrics": {"prometheusRule": {"enabled": True, "stalledMinutes": 42, "waitingMinutes": 7}}
    }
    found = {rule["alert"]: rule for rule in rules(values)}
    assert found["TrainingJobStalled"]["for"] == "42m"
    assert "> 2520" in found["TrainingJobSilent"]["expr"]
    assert found["TrainingJobWaiting"]["for"] == "7m"


def test_a_namespaced_operator_alerts_of_its_own_namespaces_only() -> None:
    for rule in rules(NAMESPACED):
        own = f'namespace="{helm.NAMESPACE}"'
        wanted = own if rule["alert"].startswith("TrainingJobOperator") else 'namespace=~"team-a|team-b"'
        assert wanted in rule["expr"], rule["alert"]


def test_monitor_finds_the_replicas_and_keeps_the_jobs_namespace() -> None:
    manifests = helm.render(ALL)
    monitor, service = helm.pick(manifests, "ServiceMonitor"), helm.pick(manifests, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
    (endpoint,) = monitor["spec"]["endpoints"]
    port = next(port for port in service["spec"]["ports"] if port["name"] == endpoint["port"])
    names = {item["name"]: item["containerPort"] for item in helm.container(manifests)["ports"]}
    assert port["port"] == names[port["targetPort"]] == 9090
    assert endpoint["honorLabels"] is True


def test_labels_of_the_values_reach_the_objects() -> None:
    values: helm.Values = {
        "metrics": {
            kind: {"enabled": True, "labels": {"release": "prometheus"}}
            for kind in ("serviceMonitor", "prometheusRule", "dashboard")
        }
    }
    manifests = helm.render(values)
    for kind, name in (
        ("ServiceMonitor", None),
        ("PrometheusRule", None),
        ("ConfigMap", f"{helm.RELEASE}-dashboard"),
    ):
        assert helm.pick(manifests, kind, name)["metadata"]["labels"]["release"] == "prometheus"
    labels = helm.pick(manifests, "ConfigMap", f"{helm.RELEASE}-dashboard")["metadata"]["labels"]
    assert labels["grafana_dashboard"] == "1"


def test_dashboard_is_what_its_script_makes() -> None:
    script = helm.CHART / "hack" / "dashboard.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dashboard_has_no_overlaps_and_no_number_twice() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & seen, panel["title"]
        seen |= cells
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_variables_of_the_dashboard_come_from_metrics_that_exist(exposed: dict[str, set[str]]) -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            query, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert problems(plain(query), exposed) == []
            assert label in exposed[selectors(plain(query))[0].metric]


def test_example_for_a_plain_prometheus_scrapes_the_charts_service() -> None:
    """The same as the ServiceMonitor: the port by its name, the Service by its label, the job's namespace kept."""
    (scrape,) = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    service = helm.pick(helm.render(), "Service")
    assert scrape["honor_labels"] is True
    (discovery,) = scrape["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [helm.NAMESPACE]
    kept = {
        rule["source_labels"][0]: rule["regex"] for rule in scrape["relabel_configs"] if rule.get("action") == "keep"
    }
    name = service["metadata"]["labels"]["app.kubernetes.io/name"]
    assert kept["__meta_kubernetes_service_label_app_kubernetes_io_name"] == name
    assert kept["__meta_kubernetes_endpointslice_port_name"] in [port["name"] for port in service["spec"]["ports"]]
    targets = {rule["target_label"] for rule in scrape["relabel_configs"] if "target_label" in rule}
    assert targets == {"namespace", "pod"}
