"""What the values make of the manifests."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.chart import helm
from trainingjob_operator import settings as operator_settings
from trainingjob_operator.api.v1alpha1 import NodePool

EVERYTHING: helm.Values = {
    "fullnameOverride": "tj",
    "imagePullSecrets": [{"name": "registry"}],
    "replicaCount": 3,
    "trainer": {"gpu": {"repository": "localhost/trainingjob/trainer-gpu"}},
    "nodePools": {"a100": helm.A100},
    "serviceAccount": {"annotations": {"a": "b"}},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "x"}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "ml"},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "podDisruptionBudget": {"maxUnavailable": "50%"},
    "metrics": {
        "networkPolicy": {"from": []},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True, "labels": {"team": "ml"}},
    },
}
SHAPES: dict[str, helm.Values] = {
    "default": {},
    "namespaced": {"watchNamespaces": ["team-a", "team-b"]},
    "everything": EVERYTHING,
    "without extras": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "rbac": {"create": False, "userRoles": False},
        "serviceAccount": {"create": False, "name": "mine"},
        "crds": {"install": False},
    },
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_lint_has_nothing_to_say(values: helm.Values) -> None:
    said = helm.run(
        "lint", str(helm.CHART), "--strict", "--kube-version", helm.KUBE_VERSION, "--values", "-",
        stdin=yaml.safe_dump(values),
    )  # fmt: skip
    assert [line for line in said.splitlines() if re.match(r"\[(WARNING|ERROR)\]", line)] == []


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_every_object_is_named_once_and_carries_the_standard_labels(values: helm.Values) -> None:
    manifests = helm.render(values)
    keys = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in manifests]
    assert len(set(keys)) == len(keys)
    for item in manifests:
        if item["kind"] != "CustomResourceDefinition":  # it belongs to the cluster, and outlives releases
            labels = item["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == "trainingjob-operator", item["metadata"]["name"]
            assert labels["app.kubernetes.io/instance"] == helm.RELEASE, item["metadata"]["name"]
            assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_default_objects(default: list[helm.Manifest]) -> None:
    assert sorted(item["kind"] for item in default) == sorted([
        "CustomResourceDefinition", "Deployment", "ServiceAccount", "Service", "Secret", "Lease", "ConfigMap",
        "PodDisruptionBudget", "NetworkPolicy", "Role", "RoleBinding",
        "ClusterRole", "ClusterRole", "ClusterRole", "ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding",
    ])  # fmt: skip


def test_switches_take_their_objects_away() -> None:
    kinds = {item["kind"] for item in helm.render(SHAPES["without extras"])}
    assert kinds == {"Deployment", "Service", "Secret", "Lease", "ConfigMap"}


def test_objects_of_the_operator_lie_in_the_release_namespace(default: list[helm.Manifest]) -> None:
    cluster_wide = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for item in default:
        expected = None if item["kind"] in cluster_wide else helm.NAMESPACE
        assert item["metadata"].get("namespace") == expected, item["kind"]


def test_crd_stays_on_uninstall_unless_told_otherwise() -> None:
    keep = "helm.sh/resource-policy"
    assert helm.pick(helm.render(), "CustomResourceDefinition")["metadata"]["annotations"][keep] == "keep"
    gone = helm.pick(helm.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert keep not in gone["metadata"].get("annotations", {})


def test_settings_are_read_by_the_operator_as_they_were_meant() -> None:
    manifests = helm.render(
        {
            "watchNamespaces": ["team-a", "team-b"],
            "trainer": {
                "cpu": {"repository": "a/trainer", "tag": "1"},
                "gpu": {"repository": "a/trainer-gpu", "tag": "2"},
                "pullPolicy": "Never",
            },
            "logLevel": "DEBUG",
            "reportRate": 0.25,
            "namespaceReportRate": 50,
            "metrics": {"port": 9100, "maxJobs": 3000000},
            "statusRate": 0.5,
            "qps": 1000000,
            "burst": 2000000,
            "workers": 3,
        }
    )
    env = helm.environment(manifests)
    assert env.pop("TRAININGJOB_OPERATOR_NAMESPACE") == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert env.pop("TRAININGJOB_OPERATOR_POD_NAME") == {"fieldRef": {"fieldPath": "metadata.name"}}
    pod = {"TRAININGJOB_OPERATOR_NAMESPACE": "ns", "TRAININGJOB_OPERATOR_POD_NAME": "pod-1"}
    assert operator_settings.load({**env, **pod}) == operator_settings.Settings(
        namespace="ns",
        pod_name="pod-1",
        watch_namespaces=("team-a", "team-b"),
        trainer_image_cpu="a/trainer:1",
        trainer_image_gpu="a/trainer-gpu:2",
        trainer_pull_policy="Never",
        node_pools_file="/etc/trainingjob/node-pools.json",
        intake_service="trainingjob-operator-intake",
        intake_secret="trainingjob-operator-intake",
        lease="trainingjob-operator",
        log_level="DEBUG",
        report_rate=0.25,
        namespace_report_rate=50,
        metrics_port=9100,
        metrics_jobs=3000000,
        status_rate=0.5,
        qps=1000000,
        burst=2000000,
        workers=3,
    )


def test_every_setting_of_the_operator_comes_from_the_chart(default: list[helm.Manifest]) -> None:
    known = {operator_settings.ENV_PREFIX + name.upper() for name in operator_settings.Settings.__dataclass_fields__}
    assert set(helm.environment(default)) == known


def test_default_settings_are_the_operators_own(default: list[helm.Manifest]) -> None:
    env = {name: value for name, value in helm.environment(default).items() if isinstance(value, str)}
    loaded, own = operator_settings.load(env), operator_settings.Settings()
    chosen_by_the_chart = {
        "namespace",
        "pod_name",
        "trainer_image_cpu",
        "node_pools_file",
        "intake_service",
        "intake_secret",
    }
    for name in set(operator_settings.Settings.__dataclass_fields__) - chosen_by_the_chart:
        assert getattr(loaded, name) == getattr(own, name), name


def test_names_in_the_environment_are_those_of_the_objects(default: list[helm.Manifest]) -> None:
    env = helm.environment(default)
    helm.pick(default, "Service", env["TRAININGJOB_OPERATOR_INTAKE_SERVICE"])
    helm.pick(default, "Secret", env["TRAININGJOB_OPERATOR_INTAKE_SECRET"])
    helm.pick(default, "Lease", env["TRAININGJOB_OPERATOR_LEASE"])


def test_names_fit_with_the_longest_release_name() -> None:
    manifests = helm.render(release="r" * 53, namespace="n" * 63)
    for item in manifests:
        if item["kind"] == "Service":
            assert len(item["metadata"]["name"]) <= 63
    test_names_in_the_environment_are_those_of_the_objects(manifests)


def test_service_leads_from_443_to_the_port_that_the_intake_listens_on(default: list[helm.Manifest]) -> None:
    service, pod = helm.pick(default, "Service"), helm.pick(default, "Deployment")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    port = service["spec"]["ports"][0]
    ports = {item["name"]: item["containerPort"] for item in helm.container(default)["ports"]}
    env = helm.environment(default)
    assert (port["port"], ports[port["targetPort"]]) == (443, int(env["TRAININGJOB_OPERATOR_INTAKE_PORT"]))
    assert ports["health"] == int(env["TRAININGJOB_OPERATOR_HEALTH_PORT"])
    assert ports["metrics"] == int(env["TRAININGJOB_OPERATOR_METRICS_PORT"])


def test_probes(default: list[helm.Manifest]) -> None:
    operator = helm.container(default)
    for probe in ("startupProbe", "livenessProbe"):
        assert operator[probe]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert operator["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "intake", "scheme": "HTTPS"}


def test_selectors_match_the_pods_and_no_job(default: list[helm.Manifest]) -> None:
    labels = helm.pick(default, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        helm.pick(default, "Deployment")["spec"]["selector"]["matchLabels"],
        helm.pick(default, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        helm.pick(default, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/name"] == "trainingjob-operator"


def test_network_policy_opens_the_three_ports_only(default: list[helm.Manifest]) -> None:
    spec = helm.pick(default, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == ["intake", "health", "metrics"]
    assert ["from" in rule for rule in spec["ingress"]] == [False, False, True]


def test_who_may_read_metrics_is_the_values_matter() -> None:
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    for said in (prometheus, []):
        manifests = helm.render({"metrics": {"networkPolicy": {"from": said}}})
        assert helm.pick(manifests, "NetworkPolicy")["spec"]["ingress"][2].get("from", []) == said


def test_update_keeps_all_replicas_and_drain_takes_one(default: list[helm.Manifest]) -> None:
    spec = helm.pick(default, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert helm.pick(default, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_replicas_prefer_different_nodes_unless_told_otherwise(default: list[helm.Manifest]) -> None:
    spec = helm.pick(default, "Deployment")["spec"]["template"]["spec"]
    assert list(spec["affinity"]) == ["podAntiAffinity"]
    assert list(spec["affinity"]["podAntiAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    own: helm.Values = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    changed = helm.pick(helm.render({"affinity": own}), "Deployment")["spec"]["template"]["spec"]
    assert changed["affinity"] == own


def test_requests_and_no_cpu_limit(default: list[helm.Manifest]) -> None:
    assert helm.container(default)["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }


def profiles(manifests: list[helm.Manifest]) -> dict[str, Any]:
    """Return the profiles as the operator reads them, by the path that it is told."""
    path = helm.environment(manifests)["TRAININGJOB_OPERATOR_NODE_POOLS_FILE"]
    folder, _, key = path.rpartition("/")
    mounts = {item["mountPath"]: item["name"] for item in helm.container(manifests)["volumeMounts"]}
    volumes = {
        item["name"]: item for item in helm.pick(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    }
    name = volumes[mounts[folder]]["configMap"]["name"]
    loaded: dict[str, Any] = json.loads(helm.pick(manifests, "ConfigMap", name)["data"][key])
    return loaded


def test_no_profiles_is_an_empty_object(default: list[helm.Manifest]) -> None:
    assert profiles(default) == {}


def test_profiles_reach_the_operators_model_unchanged() -> None:
    found = profiles(helm.render({"nodePools": {"a100": helm.A100, "cpu": {"nodeSelector": {"pool": "cpu"}}}}))
    assert set(found) == {"a100", "cpu"}
    assert NodePool.model_validate(found["a100"]).model_dump(by_alias=True, exclude_unset=True) == helm.A100
    assert NodePool.model_validate(found["cpu"]).node_selector == {"pool": "cpu"}


def test_a_changed_profile_rolls_the_pods_and_nothing_else_does(default: list[helm.Manifest]) -> None:
    def template(manifests: list[helm.Manifest]) -> Any:
        return helm.pick(manifests, "Deployment")["spec"]["template"]

    assert template(helm.render()) == template(default)
    changed = helm.render({"nodePools": {"a100": helm.A100}})
    key = "checksum/node-pools"
    assert template(changed)["metadata"]["annotations"][key] != template(default)["metadata"]["annotations"][key]


def test_the_profile_documented_in_the_values_is_right() -> None:
    text = (helm.CHART / "values.yaml").read_text()
    commented = re.search(r"^# nodePools:\n(?:#.*\n)+", text, re.MULTILINE)
    assert commented
    values = yaml.safe_load(re.sub(r"^# ?", "", commented.group(), flags=re.MULTILINE))
    pool = NodePool.model_validate(profiles(helm.render(values))["a100"])
    assert pool.accelerator is not None
    assert (pool.accelerator.resource, pool.priority_class_name) == ("nvidia.com/gpu", "training")
    assert pool.tolerations
    assert pool.topology_spread
