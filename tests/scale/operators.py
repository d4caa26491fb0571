"""The operator's process beside the control plane, with the rights that the chart gives it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from tests.apiserver.replica import SYSTEM, Cluster, Replica, prepare
from tests.chart import helm
from tests.scale.audit import OPERATOR
from tests.scale.control_plane import ControlPlane

#: Under which name its requests are counted.
ACCOUNT = OPERATOR
#: What of the chart says who the operator is and what it may do.
_RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
TOKEN_SECONDS = 86400
#: What the peers were measured with (QPS 1000, burst 2000, 20 workers), as far as there is such a setting here.
TUNED = {"qps": "1000", "burst": "2000", "workers": "20"}


def admit(plane: ControlPlane) -> Path:
    """Make what the chart makes, its account and roles among it; return the operator's kubeconfig."""
    prepare(plane.api)
    plane.make_namespace(SYSTEM)
    rights = [item for item in helm.render(namespace=SYSTEM) if item["kind"] in _RIGHTS]
    plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(rights))
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{helm.RELEASE}/token"
    token = plane.api.create(path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})["status"]["token"]
    return plane.kubeconfig_of(ACCOUNT, str(token))


def start(plane: ControlPlane, kubeconfig: Path, settings: Mapping[str, str], name: str = "scale") -> Replica:
    """Start one replica; whoever does stops it."""
    log = plane.folder / f"{name}-{time.monotonic_ns()}.log"
    return Replica(plane, name, log, kubeconfig=kubeconfig, **settings)


@contextlib.contextmanager
def operator(plane: ControlPlane, kubeconfig: Path, settings: Mapping[str, str]) -> Iterator[Replica]:
    """Run one replica for the time of the block."""
    one = start(plane, kubeconfig, settings)
    try:
        one.wait_ready()
        plane.until(lambda: leads(one), "the operator leads")
        yield one
    finally:
        if one.process.poll() is None:
            one.stop()  # which hands the lead over: the next one would wait for the Lease to end


def authority(plane: ControlPlane) -> str:
    """Return the CA of its intake."""
    return Cluster(plane.api, SYSTEM).authority()


def leads(one: Replica) -> bool:
    """Whether it holds the Lease."""
    return "leading: " in one.log.read_text(errors="replace")
