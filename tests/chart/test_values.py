"""values.schema.json: what Helm refuses before anything is installed."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.chart import helm

SCHEMA: dict[str, Any] = json.loads((helm.CHART / "values.schema.json").read_text())


def nested(path: str, value: Any) -> helm.Values:
    """Return {"a": {"b": value}} for "a.b"."""
    for name in reversed(path.split(".")):
        value = {name: value}
    result: helm.Values = value
    return result


REFUSED: list[tuple[str, Any]] = [
    # typos
    ("replicas", 2),
    ("image.repo", "x"),
    ("image.registry", "x"),
    ("trainer.tpu", {"repository": "x"}),
    ("trainer.cpu.image", "x"),
    ("nodePool", {}),
    ("nodePools.a100.nodeselector", {"a": "b"}),
    ("nodePools.a100.name", "other"),
    ("nodePools.a100.accelerator.limit", 1),
    ("crds.enabled", True),
    ("serviceAccount.enabled", True),
    ("rbac.aggregate", True),
    ("networkPolicy.egress", True),
    ("podDisruptionBudget.minAvailable", 1),
    ("resources.claims", []),
    ("affinity.nodeaffinity", {}),
    # wrong types and values
    ("replicaCount", "2"),
    ("replicaCount", -1),
    ("replicaCount", 1.5),
    ("image.tag", 1),
    ("image.repository", ""),
    ("image.repository", "a/operator:latest"),
    ("image.pullPolicy", "Sometimes"),
    ("trainer.cpu.repository", ""),
    ("trainer.pullPolicy", "always"),
    ("imagePullSecrets", ["registry"]),
    ("watchNamespaces", "team-a"),
    ("watchNamespaces", ["team-a", "team-a"]),
    ("watchNamespaces", ["team_a"]),
    ("watchNamespaces", ["*"]),
    ("nodePools", []),
    ("nodePools.A100", {}),
    ("nodePools.a100.accelerator", "nvidia.com/gpu"),
    ("nodePools.a100.accelerator.count", 0),
    ("nodePools.a100.accelerator.count", "1"),
    ("nodePools.a100.nodeSelector", {"gpu": True}),
    ("nodePools.a100.tolerations", [{"effect": "Never"}]),
    ("nodePools.a100.tolerations", {"key": "gpu"}),
    ("nodePools.a100.topologySpread", [{"maxSkew": 1}]),
    ("crds.install", "yes"),
    ("serviceAccount", {"create": False}),  # and no name
    ("serviceAccount.name", "Mine!"),
    ("logLevel", "info"),
    ("logLevel", "TRACE"),
    ("statusRate", 0),
    ("qps", -1),
    ("burst", 1.5),
    ("workers", 0),
    ("extraEnv", {"A": "b"}),
    ("extraEnv", [{"name": "A", "value": 1}]),
    ("extraEnv", [{"name": "TRAININGJOB_OPERATOR_QPS", "value": "1"}]),
    ("resources.requests.cpu", "a lot"),
    ("resources.limits", {"memory": True}),
    ("tolerations", [{"Key": "a"}]),
    ("podLabels", {"app.kubernetes.io/name": "other"}),
    ("podAnnotations", {"checksum/node-pools": "x"}),
    ("podDisruptionBudget.maxUnavailable", "half"),
    ("podDisruptionBudget.maxUnavailable", -1),
    ("networkPolicy.enabled", "true"),
    ("reportRate", 0),
    ("namespaceReportRate", "fast"),
    ("metrics.enabled", True),
    ("metrics.port", 8080),
    ("metrics.port", 80),
    ("metrics.maxJobs", 0),
    ("metrics.networkPolicy.from", [{"namespace": "monitoring"}]),
    ("metrics.serviceMonitor.interval", "30"),
    ("metrics.serviceMonitor.labels", {"a": 1}),
    ("metrics.prometheusRule.labels", {"app.kubernetes.io/name": "x"}),
    ("metrics.prometheusRule.stalledMinutes", 0),
    ("metrics.prometheusRule.waitingMinutes", 1.5),
    ("metrics.dashboard.labels", {"grafana_dashboard": "0"}),
    ("fullnameOverride", "My-Operator"),
]


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=[f"{path}={value!r}" for path, value in REFUSED])
def test_refused_with_the_place_named(path: str, value: Any) -> None:
    with pytest.raises(helm.HelmError) as caught:
        helm.template(nested(path, value))
    said = str(caught.value)
    assert "values don't meet the specifications of the schema" in said
    parts = path.split(".")
    # A misspelt name is named as such under its parent; a wrong value by the path to it.
    assert f"'/{'/'.join(parts)}" in said or f"'{parts[-1]}' not allowed" in said


ACCEPTED: list[tuple[str, Any]] = [
    ("global", {"anything": 1}),
    ("replicaCount", 0),
    ("image.repository", "registry.example:5000/team/operator"),
    ("image.tag", "v1.2.3_x"),
    ("watchNamespaces", []),
    ("nodePools.a100", {}),
    ("nodePools.a100", helm.A100),
    ("statusRate", 0.1),
    ("reportRate", 0.1),
    ("metrics.serviceMonitor", {"enabled": True, "interval": "1m30s", "labels": {"release": "prometheus"}}),
    ("metrics.networkPolicy.from", [{"ipBlock": {"cidr": "10.0.0.0/8"}}]),
    ("resources", {"limits": {"memory": "1Gi", "cpu": 2}}),
    ("podDisruptionBudget.maxUnavailable", "50%"),
    ("serviceAccount", {"create": False, "name": "mine"}),
    ("extraEnv", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED, ids=[f"{path}={value!r}" for path, value in ACCEPTED])
def test_accepted(path: str, value: Any) -> None:
    assert helm.render(nested(path, value))


def test_every_default_is_in_the_schema_and_nothing_else_is() -> None:
    defaults = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    compare(defaults, SCHEMA, "")


#: Objects whose keys are the user's, or another API's.
OPEN = {
    "nodePools", "affinity", "serviceAccount.annotations", "podLabels", "podAnnotations", "nodeSelector", "resources",
    "metrics.serviceMonitor.labels", "metrics.prometheusRule.labels", "metrics.dashboard.labels",
}  # fmt: skip


def compare(defaults: dict[str, Any], schema: dict[str, Any], path: str) -> None:
    """Check that the names of the defaults are those of the schema, and that it takes no others."""
    assert schema["additionalProperties"] is False, path
    assert set(defaults) == set(schema["properties"]) - {"global"}, path
    for name, value in defaults.items():
        here = f"{path}{name}"
        if isinstance(value, dict) and here not in OPEN:
            compare(value, schema["properties"][name], f"{here}.")


def test_profiles_of_the_schema_are_those_of_the_model() -> None:
    script = helm.CHART / "hack" / "values_schema.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
