"""A whole control plane on free ports of this machine, with nodes that kwok plays. Nothing of it outlives the block."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.apiserver.api import JOBS, Api, Json, RefusedError
from tests.apiserver.server import TOOLS, ApiServer, ApiServerError
from tests.scale import audit, nodes
from trainingjob_operator.api.crd import custom_resource_definition

PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok", "helm")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#: A controller manager and a scheduler at the client's default rate would be what is measured.
QPS, BURST = 1000, 2000
#: Users with a name of their own in the audit log; RBAC knows the first two from the start.
CONTROLLERS, SCHEDULER, KWOK = "system:kube-controller-manager", "system:kube-scheduler", "kwok"
SECONDS = 30.0


class ControlPlane(ApiServer):
    """etcd without fsync, kube-apiserver, controller manager, scheduler, kwok."""

    ARGUMENTS = ("--audit-log-maxsize=4000",)  # one file: it is read from its beginning

    def __init__(self, folder: Path, run_seconds: float | None) -> None:
        super().__init__(folder)
        self._run_seconds = run_seconds
        self._tokens = {user: secrets.token_hex(16) for user in (CONTROLLERS, SCHEDULER, KWOK)}

    def users(self) -> str:
        """Return all static tokens. kwok plays nodes, whose rights are not what is measured."""
        lines = [
            f'{token},{user},{user},"{"system:masters" if user == KWOK else ""}"'
            for user, token in self._tokens.items()
        ]
        return super().users() + "\n".join(lines) + "\n"

    def start(self) -> None:
        """Start everything and make the nodes; return when jobs would run."""
        super().start()
        self.api.create(CRDS, custom_resource_definition())
        self.until(lambda: self._found(JOBS.format("default")), "the API serves TrainingJobs")
        pki = self.folder / "pki"
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig_of(CONTROLLERS, self._tokens[CONTROLLERS])}",
            "--use-service-account-credentials", "--leader-elect=false", "--secure-port=0",
            f"--service-account-private-key-file={pki / 'accounts.key'}", f"--root-ca-file={pki / 'ca.crt'}",
            f"--kube-api-qps={QPS}", f"--kube-api-burst={BURST}",
        )  # fmt: skip
        connection = {"kubeconfig": str(self.kubeconfig_of(SCHEDULER, self._tokens[SCHEDULER]))}
        scheduler = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {**connection, "qps": QPS, "burst": BURST},
        }
        self._spawn("kube-scheduler", f"--config={self._write('scheduler.yaml', scheduler)}", "--secure-port=0")
        stages = self.folder / "kwok.yaml"
        stages.write_text(yaml.safe_dump_all(nodes.configuration(self._run_seconds)))
        self._spawn(
            "kwok", f"--kubeconfig={self.kubeconfig_of(KWOK, self._tokens[KWOK])}", f"--config={stages}",
            "--manage-all-nodes=true", "--node-lease-duration-seconds=40",
        )  # fmt: skip
        for name in nodes.NAMES:
            self.api.create("/api/v1/nodes", nodes.node(name))
        self.until(self._nodes_ready, "all nodes are ready")
        self.until(self._jobs_watched, "the garbage collector watches TrainingJobs")

    def stop(self) -> None:
        """Kill everything: the API server would wait for its watches, and nothing here is kept."""
        for child in self.children:
            child.kill()
        for child in self.children:
            child.wait()
        super().stop()

    def pid(self, name: str) -> int:
        """Return a process' id."""
        return next(child.pid for child, found in self._names.items() if found == name)

    def make_namespace(self, name: str) -> None:
        """Make a namespace and wait for the service account that the controller manager puts into it."""
        with contextlib.suppress(RefusedError):
            self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self.until(
            lambda: self._found(f"/api/v1/namespaces/{name}/serviceaccounts/default"), f"{name} has an account"
        )

    def identity(self, namespace: str, name: str) -> tuple[str, Path]:
        """Make a service account with all rights; return (a token of it, a kubeconfig with that).

        A service account, as in a cluster: the API server's fair queues tell one from the administrator.
        """
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.api.create(accounts, {"metadata": {"name": name}})
        binding = {
            "metadata": {"name": f"{namespace}-{name}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
        }
        self.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        wish = {"spec": {"expirationSeconds": 86400}}
        token = str(self.api.create(f"{accounts}/{name}/token", wish)["status"]["token"])
        return token, self.kubeconfig_of(name, token)

    def kubeconfig_of(self, name: str, token: str) -> Path:
        """Write a kubeconfig for a user with a token."""
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "pki/ca.crt")}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "scale",
            "contexts": [{"name": "scale", "context": {"cluster": "scale", "user": name}}],
            "clusters": [{"name": "scale", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
        }
        return self._write(f"{name.replace(':', '-')}.kubeconfig", document)

    def until(self, holds: object, what: str) -> None:
        """Poll until something holds, and none of the processes has ended."""
        assert callable(holds)
        deadline = time.monotonic() + SECONDS
        while not holds():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {SECONDS:g} s")
            time.sleep(0.1)

    def check(self) -> None:
        """Raise when one of the processes has ended."""
        for child, name in self._names.items():
            if child.poll() is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
                raise ApiServerError("\n".join([f"{name} ended; the end of its log:", *tail]))

    def _write(self, name: str, document: Json) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    def _found(self, path: str) -> bool:
        try:
            self.api.get(path)
        except RefusedError as error:
            if error.status in (404, 503):
                return False
            raise
        return True

    def _jobs_watched(self) -> bool:
        """Whether owners of pods are known to it as they come.

        It looks every 30 s for kinds that are new, and asks for each owner that it has not seen: a cluster in use has
        the kind for long.
        """
        return audit.watched(audit.Log(self.audit_log).events(), "trainingjobs", audit.CONTROLLERS)

    def _nodes_ready(self) -> bool:
        found = self.api.get("/api/v1/nodes")["items"]
        return len(found) == len(nodes.NAMES) and all(nodes.is_ready(node) for node in found)


@contextlib.contextmanager
def control_plane(run_seconds: float | None) -> Iterator[ControlPlane]:
    """Run a new one for the time of the block, whose pods run so long; None is for ever."""
    folder = Path(tempfile.mkdtemp(prefix="trainingjob-scale-"))
    plane = ControlPlane(folder, run_seconds)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)


def build_programs() -> None:
    """Build what is missing of the programs; minutes on a fresh machine."""
    subprocess.run(["bash", str(TOOLS), *PROGRAMS], check=True)


__all__ = ["Api", "ControlPlane", "build_programs", "control_plane"]
