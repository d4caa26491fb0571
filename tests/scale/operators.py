"""The operator's process beside the control plane, and what it says of itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.apiserver.replica import SYSTEM, Cluster, Replica, prepare
from tests.scale.control_plane import ControlPlane

ACCOUNT = "operator"
#: What the peers were measured with (QPS 1000, burst 2000, 20 workers), as far as there is such a setting here.
TUNED = {"qps": "1000", "burst": "2000", "workers": "20"}


def admit(plane: ControlPlane) -> Path:
    """Make what the chart makes, and the operator's account; return its kubeconfig."""
    prepare(plane.api)
    plane.make_namespace(SYSTEM)
    return plane.identity(SYSTEM, ACCOUNT)[1]


@contextlib.contextmanager
def operator(plane: ControlPlane, kubeconfig: Path, settings: Mapping[str, str]) -> Iterator[Replica]:
    """Run one replica for the time of the block."""
    log = plane.folder / f"operator-{time.monotonic_ns()}.log"
    one = Replica(plane, "scale", log, kubeconfig=kubeconfig, **settings)
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
