"""The installed operator: its pods, its Lease, its Helm release, and being without it for a while."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kube import ROOT, Json, Kube

RELEASE = "trainingjob-operator"
NAMESPACE = "trainingjob-system"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
SELECTOR = f"app.kubernetes.io/name={RELEASE}"
CHART = ROOT / "charts" / RELEASE
READY = "--timeout=120s"


@dataclass(frozen=True)
class Installation:
    """The release that `make install` made."""

    kube: Kube

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the operator's namespace."""
        return self.kube.kubectl("-n", NAMESPACE, *arguments)

    def pods(self) -> list[Json]:
        """Return the operator's pods."""
        found: list[Json] = self.kube.get("-n", NAMESPACE, "pods", "-l", SELECTOR)["items"]
        return found

    def trainer_image(self) -> str:
        """Return the image that jobs run by default."""
        deployment = self.kube.get("-n", NAMESPACE, "deployment", RELEASE)
        env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        return str(next(v["value"] for v in env if v["name"] == "TRAININGJOB_OPERATOR_TRAINER_IMAGE_CPU"))

    def leader(self) -> str:
        """Return the pod that holds the Lease, empty when nobody does."""
        holder = (self.kube.get("-n", NAMESPACE, "lease", RELEASE).get("spec") or {}).get("holderIdentity") or ""
        return str(holder).partition("_")[0]

    def metrics_urls(self) -> list[str]:
        """Return where Prometheus scrapes, from inside the cluster: each endpoint of the Service's port `metrics`."""
        selector = f"kubernetes.io/service-name={RELEASE}-intake"
        slices = self.kube.get("-n", NAMESPACE, "endpointslices", "-l", selector)["items"]
        return [
            f"http://{endpoint['addresses'][0]}:{port['port']}/metrics"
            for found in slices
            for port in found["ports"]
            if port["name"] == "metrics"
            for endpoint in found["endpoints"]
        ]

    def logs(self) -> str:
        """Return what all replicas have logged."""
        return self.kubectl("logs", "-l", SELECTOR, "--tail=-1", "--prefix")

    def wait_ready(self) -> None:
        """Wait until all replicas of the current version are ready, and the old ones are gone."""
        self.kubectl("rollout", "status", f"deployment/{RELEASE}", READY)

    def kill(self) -> None:
        """End every replica with the two seconds that the kubelet leaves a killed pod, and let none come up."""
        names = [pod["metadata"]["name"] for pod in self.pods()]
        self.kubectl("scale", f"deployment/{RELEASE}", "--replicas=0")
        if names:
            self.kubectl("delete", "pods", *names, "--force", "--grace-period=0", "--ignore-not-found")
        self.kubectl("wait", "--for=delete", "pods", "-l", SELECTOR, READY)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be without an operator; it is back, and ready, afterwards."""
        replicas = self.kube.get("-n", NAMESPACE, "deployment", RELEASE)["spec"]["replicas"]
        self.kill()
        try:
            yield
        finally:
            self.kubectl("scale", f"deployment/{RELEASE}", f"--replicas={replicas}")
            self.wait_ready()

    # --- Helm ---

    def values(self) -> Json:
        """Return the values that the release was installed with."""
        return json.loads(self.kube.helm("get", "values", RELEASE, "-n", NAMESPACE, "-o", "json")) or {}

    def upgrade(self, values: Json, folder: Path) -> None:
        """Install or upgrade the release with exactly these values and wait until it is ready."""
        file = folder / "values.json"
        file.write_text(json.dumps(values))
        wait = ("--wait", "--timeout", "180s", "--create-namespace")
        self.kube.helm("upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "-f", str(file), *wait)

    def uninstall(self) -> None:
        """Remove the release and wait until its pods are gone."""
        self.kube.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "120s")
