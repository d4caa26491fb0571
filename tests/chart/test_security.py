"""The Pod Security Standard `restricted`, and what goes beyond it."""

import pytest

from tests.chart import helm
from tests.chart.test_render import SHAPES

#: Volume types that `restricted` allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"}


def violations(pod: helm.Manifest) -> list[str]:
    """Return what `restricted` objects to in a pod's spec."""
    found = [f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    found += [f"volume {v['name']}" for v in pod.get("volumes", []) if set(v) - {"name"} - VOLUMES]
    whole = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        context = {**whole, **own}
        name = container["name"]
        checks = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser", 1) != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "capabilities.add": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{name}: {check}" for check, fine in checks.items() if not fine]
    return found


def pods(manifests: list[helm.Manifest]) -> list[helm.Manifest]:
    """Return the pod specs of all workloads."""
    found = [item["spec"]["template"]["spec"] for item in manifests if item["kind"] in WORKLOADS]
    assert found
    assert not [item for item in manifests if item["kind"] in ("Pod", "CronJob")], "teach this test to read them"
    return found


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_every_pod_passes_the_restricted_standard(values: helm.Values) -> None:
    for pod in pods(helm.render(values)):
        assert violations(pod) == []


def test_the_check_itself_sees_violations() -> None:
    bad = {
        "hostNetwork": True,
        "containers": [{"name": "c", "securityContext": {"privileged": True, "runAsUser": 0}}],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
    }
    assert violations(bad) == [
        "hostNetwork is set", "volume v", "c: privileged", "c: allowPrivilegeEscalation", "c: runAsNonRoot",
        "c: runAsUser", "c: seccompProfile", "c: capabilities.drop",
    ]  # fmt: skip


def test_the_root_filesystem_is_read_only_but_for_a_small_tmp(default: list[helm.Manifest]) -> None:
    container = helm.container(default)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]
    volumes = {item["name"]: item for item in helm.pick(default, "Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert "sizeLimit" in volumes["tmp"]["emptyDir"]


def test_the_user_is_named_by_number(default: list[helm.Manifest]) -> None:
    context = helm.pick(default, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (1000, 1000)


def test_only_the_operators_own_pods_get_its_token(default: list[helm.Manifest]) -> None:
    assert helm.pick(default, "ServiceAccount")["automountServiceAccountToken"] is False
    assert helm.pick(default, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_no_service_is_mistaken_for_a_setting(default: list[helm.Manifest]) -> None:
    # Kubernetes would set TRAININGJOB_OPERATOR_INTAKE_PORT=tcp://… for the Service trainingjob-operator-intake.
    assert helm.pick(default, "Deployment")["spec"]["template"]["spec"]["enableServiceLinks"] is False
