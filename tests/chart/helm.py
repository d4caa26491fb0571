"""Runs the pinned helm on the chart, without a cluster."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "trainingjob-operator"
RELEASE = "trainingjob-operator"
NAMESPACE = "trainingjob-system"
#: helm judges the chart's kubeVersion by this; without a cluster it would assume a Kubernetes of its own.
KUBE_VERSION = "1.36.3"

Manifest = dict[str, Any]
Values = dict[str, Any]


class HelmError(Exception):
    """helm refused; the text is what it said."""


def pinned_version() -> str:
    """Return the version of helm that the local tools pin, like v3.22.0."""
    for line in (ROOT / "deploy/local/tools/helm/go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == ["helm.sh/helm/v3"]:
            return words[1]
    raise HelmError("deploy/local/tools/helm/go.mod requires no helm.sh/helm/v3")


def binary() -> Path:
    """Return the helm to use: $HELM, or the one that the local tools built.

    Raises:
        HelmError: there is none; the text says how to get it.
    """
    if named := os.environ.get("HELM"):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "trainingjob" / "tools" / f"helm-{pinned_version()}" / "helm"
    if not path.exists():
        raise HelmError(f"{path} is missing: build it with deploy/local/tools.sh helm, or set HELM to a helm 3")
    return path


def run(*args: str, stdin: str | None = None) -> str:
    """Run helm and return what it printed.

    Raises:
        HelmError: it exited with an error.
    """
    done = subprocess.run(
        [str(binary()), *args], input=stdin, capture_output=True, text=True, check=False, timeout=50
    )
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def template(
    values: Values | None = None,
    *args: str,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    chart: str = str(CHART),
) -> str:
    """Return the rendered manifests as text. `values` go over the chart's own."""
    return run(
        "template", release, chart, "--namespace", namespace, "--kube-version", KUBE_VERSION, "--values", "-",
        *args, stdin=yaml.safe_dump(values or {}),
    )  # fmt: skip


def render(values: Values | None = None, *args: str, **where: str) -> list[Manifest]:
    """Return the rendered manifests as objects."""
    return [item for item in yaml.safe_load_all(template(values, *args, **where)) if item]


def pick(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the one manifest of this kind (and name)."""
    found = [item for item in manifests if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} manifests are {kind} {name or ''}, expected one"
    return found[0]


def container(manifests: list[Manifest]) -> Manifest:
    """Return the operator's container."""
    containers = pick(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    found: Manifest = containers[0]
    return found


def environment(manifests: list[Manifest]) -> dict[str, Any]:
    """Return the operator's environment: name to value, or to its source."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container(manifests)["env"]}


#: A profile of every field.
A100: Values = {
    "accelerator": {"resource": "nvidia.com/gpu", "count": 2},
    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1000000}
    ],
    "affinity": {"nodeAffinity": {}},
    "topologySpread": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "training",
    "schedulerName": "gang",
    "runtimeClassName": "nvidia",
}
