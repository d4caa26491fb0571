"""The operator beside a real API server, for what is measured with both: see tests/apiserver, whose parts these are.

`python -m tests.bench.operator_side` is for a measurement that runs elsewhere, in the environment with TensorFlow: it
prints the environment of a chief's launcher whose reports are taken here, and serves until its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.apiserver.api import JOBS
from tests.apiserver.replica import Cluster, Replica, prepare, replica
from tests.apiserver.server import ApiServer, running
from trainingjob_launcher.assignment import Assignment
from trainingjob_operator.api.crd import CRD_NAME, custom_resource_definition

NAMESPACE = "bench"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TOKEN_SECONDS = 7200


@dataclass(frozen=True)
class Side:
    """An API server, one replica of the operator with the settings that the chart gives it, and a namespace."""

    server: ApiServer
    operator: Replica
    cluster: Cluster

    def launcher_env(self, job: str, interval: float) -> dict[str, str]:
        """Submit a job of a chief alone, let its pod run, and return the environment of its launcher."""
        body = self.cluster.submit(job, workers=0)
        pod = f"{job}-chief-0"
        _until(lambda: pod in self.cluster.pods(), f"the pod {pod}")
        self.cluster.run(pod)
        token = self.server.folder / f"{job}.token"
        token.write_text(self.token(pod, body["metadata"]["uid"]))
        return Assignment(
            job, NAMESPACE, body["metadata"]["uid"], "chief", 0, 1, 0, secrets.token_hex(32), "127.0.0.1",
            report_url=f"https://127.0.0.1:{self.operator.intake_port}{self.report_path(job)}",
            report_ca=self.cluster.authority(),
            report_token_file=str(token),
            report_interval_seconds=interval,
            pod_ip="127.0.0.1",
        ).to_env()  # fmt: skip

    @staticmethod
    def report_path(job: str, namespace: str = NAMESPACE) -> str:
        """Where a job's chief posts to."""
        return f"/v1/namespaces/{namespace}/trainingjobs/{job}/report"

    def token(self, pod: str, job_uid: str) -> str:
        """Return the token that the kubelet would put into a pod."""
        uid = self.server.api.get(f"{self.cluster.core}/pods/{pod}")["metadata"]["uid"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
        audience = f"trainingjob.dev/jobs/{job_uid}"
        body = {"spec": {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound}}
        path = f"{self.cluster.core}/serviceaccounts/default/token"
        return str(self.server.api.create(path, body)["status"]["token"])


@contextlib.contextmanager
def operator_side() -> Iterator[Side]:
    """Run both for the time of the block."""
    with running() as server:
        api = server.api
        api.create(CRDS, custom_resource_definition())
        _until(lambda: _established(server), "the CRD is established")
        make_namespace(server, NAMESPACE)
        prepare(api)
        with replica(server, "bench") as one:
            yield Side(server, one, Cluster(api, NAMESPACE))


def make_namespace(server: ApiServer, name: str) -> None:
    """Make a namespace with its service account, which no controller makes here."""
    server.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    server.api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})


def _established(server: ApiServer) -> bool:
    try:
        server.api.get(JOBS.format("default"))
    except Exception as error:
        if getattr(error, "status", 0) in (404, 503):
            return False
        raise
    conditions = server.api.get(f"{CRDS}/{CRD_NAME}")["status"]["conditions"]
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _until(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    with operator_side() as side:
        print(json.dumps(side.launcher_env("measured", float(sys.argv[1]))), flush=True)
        sys.stdin.read()
