"""The launcher for foreign images, and the evaluator beside the gang, on a real API server."""

import hashlib
from base64 import b64decode
from typing import Any

import pytest

from tests.apiserver.api import JOBS, Json, RefusedError
from tests.apiserver.replica import Cluster, Replica, report, wait
from tests.apiserver.server import ApiServer
from trainingjob_operator.api.contract import Failure, Report
from trainingjob_operator.runtime.launcher_archive import build

OWN_IMAGE: dict[str, Any] = {"image": "tensorflow:2.15", "workers": 1}
NAME = build().config_map_name
EVALUATED: dict[str, Any] = {"checkpoint": {"volume": {"emptyDir": {}}}, "evaluator": {}}


def config_maps(cluster: Cluster) -> dict[str, Json]:
    found = cluster.api.get(f"{cluster.core}/configmaps")["items"]
    return {item["metadata"]["name"]: item for item in found if item["metadata"]["name"] != "kube-root-ca.crt"}


def creates(server: ApiServer, cluster: Cluster) -> list[int]:
    """Return the answers to the operator's creates of ConfigMaps in the namespace."""
    return [
        entry["responseStatus"]["code"]
        for entry in server.audit()
        if entry["verb"] == "create"
        and (entry.get("objectRef") or {}).get("resource") == "configmaps"
        and entry["objectRef"].get("namespace") == cluster.namespace
        and entry["userAgent"].startswith("trainingjob-operator")
    ]


class TestLauncher:
    def test_it_is_made_once_for_all_jobs_of_a_namespace(
        self, server: ApiServer, cluster: Cluster, operator: Replica
    ) -> None:
        cluster.submit("one", **OWN_IMAGE)
        cluster.wait_pods(2)
        cluster.submit("two", **OWN_IMAGE)
        pods = cluster.wait_pods(4)
        (made,) = config_maps(cluster).values()
        assert made["metadata"]["name"] == NAME
        assert made["immutable"] is True
        file = b64decode(made["binaryData"]["launcher.pyz"])
        for pod in pods.values():
            (container,) = pod["spec"]["containers"]
            assert hashlib.sha256(file).hexdigest() in container["command"]
            assert {"name": "launcher", "configMap": {"name": NAME, "defaultMode": 420}} in pod["spec"]["volumes"]
        assert creates(server, cluster) == [201]

    def test_it_can_not_be_changed_by_anybody(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(**OWN_IMAGE)
        cluster.wait_pods(2)
        with pytest.raises(RefusedError, match="immutable"):
            cluster.api.merge(f"{cluster.core}/configmaps/{NAME}", {"binaryData": {"launcher.pyz": "AAAA"}})

    def test_one_that_is_there_is_used_as_it_is(self, server: ApiServer, cluster: Cluster, operator: Replica) -> None:
        """Of another replica, of an earlier life, or somebody else's: that the pods find out, see the unit tests."""
        cluster.api.create(f"{cluster.core}/configmaps", {"metadata": {"name": NAME}, "data": {"launcher.pyz": "x"}})
        cluster.submit(**OWN_IMAGE)
        cluster.wait_pods(2)
        assert config_maps(cluster)[NAME]["data"] == {"launcher.pyz": "x"}
        assert creates(server, cluster) == [409]

    def test_a_namespace_is_looked_at_again_when_a_job_of_it_is_gone(
        self, server: ApiServer, cluster: Cluster, operator: Replica
    ) -> None:
        """A namespace may be deleted and made again under its name, and with it went the ConfigMap."""
        cluster.submit("one", **OWN_IMAGE)
        cluster.wait_pods(2)
        cluster.api.request("DELETE", f"{JOBS.format(cluster.namespace)}/one")
        cluster.api.request("DELETE", f"{cluster.core}/configmaps/{NAME}")
        wait(lambda: _submitted_again(cluster), "the ConfigMap is there again")
        assert creates(server, cluster)[-1] == 201

    def test_a_job_with_the_installations_image_has_no_part_in_it(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.wait_phase("Pending")
        assert config_maps(cluster) == {}

    def test_without_room_for_it_no_pod_is_made_and_the_job_says_why(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "0"}}}
        cluster.api.create(f"{cluster.core}/resourcequotas", quota)
        cluster.api.merge(
            f"{cluster.core}/resourcequotas/q/status",
            {"status": {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}},
        )
        cluster.submit(**OWN_IMAGE)
        wait(lambda: cluster.condition("MembersReady").get("reason") == "QuotaExceeded", "it is refused")
        assert cluster.condition("MembersReady")["message"].startswith("launcher: ")
        assert cluster.pods() == {}
        cluster.api.request("DELETE", f"{cluster.core}/resourcequotas/q")
        cluster.wait_pods(2)

    def test_a_launcher_that_could_not_start_says_so_in_the_status(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(**OWN_IMAGE | {"workers": 0})
        cluster.wait_pods(1)
        cluster.run()
        said = "trainingjob: this image has Python 3.8, the launcher needs 3.9 or later: set spec.image to an image …"
        cluster.end("mnist-chief-0", 2, f"WARNING of somebody\n{said}\n")
        assert cluster.wait_phase("Failed")["failure"]["message"] == said.removeprefix("trainingjob: ")

    def test_an_image_without_python_says_so_in_the_status(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(**OWN_IMAGE | {"workers": 0})
        cluster.wait_pods(1)
        message = 'failed to create containerd task: exec: "python3": executable file not found in $PATH'
        cluster.end("mnist-chief-0", 128, message, reason="StartError")
        failure = cluster.wait_phase("Failed")["failure"]
        assert failure["reason"] == "StartError"
        assert failure["message"].startswith("the image has no python3, which the launcher needs")


def _submitted_again(cluster: Cluster) -> bool:
    """Submit another job once the operator has heard that the first is gone, which nobody tells us."""
    number = len(cluster.api.get(JOBS.format(cluster.namespace))["items"])
    cluster.submit(f"again-{number}", **OWN_IMAGE | {"workers": 0})
    wait(lambda: f"again-{number}-chief-0" in cluster.pods(), "its pod is made")
    return NAME in config_maps(cluster)


class TestEvaluator:
    def test_it_is_made_with_the_gang_and_counts_for_nothing(
        self, server: ApiServer, cluster: Cluster, operator: Replica
    ) -> None:
        cluster.submit(workers=1, **EVALUATED)
        assert sorted(cluster.wait_pods(3)) == ["mnist-chief-0", "mnist-evaluator-0", "mnist-worker-0"]
        cluster.run("mnist-chief-0", "mnist-worker-0")
        status = cluster.wait_phase("Starting")
        assert status["display"]["members"] == "2/2"
        assert status["members"]["evaluator"]["name"] == "evaluator-0"

    def test_it_is_replaced_twice_and_the_job_goes_on_to_succeed(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(workers=0, **EVALUATED)
        cluster.wait_pods(2)
        cluster.run()
        cluster.wait_phase("Starting")
        uid = cluster.job()["metadata"]["uid"]
        token = cluster.report_token("mnist-chief-0", f"trainingjob.dev/jobs/{uid}")
        assert cluster.report(operator.intake_port, token, report().encode())[0] == 204
        cluster.wait_phase("Running")
        failure = Failure("evaluator-0", "TrainerFailed", "ValueError: bad shape", 1, generation=1)
        for incarnation in (1, 2, 3):
            name = "mnist-evaluator-0" + (f"-{incarnation}" if incarnation > 1 else "")
            wait(lambda name=name: name in cluster.pods(), f"{name} is made")
            last = Report("evaluator-0", incarnation, 1, 1, "Failed", True, failure=failure)
            cluster.end(name, 1, last.encode(4096).decode())
        wait(lambda: "given up" in cluster.condition("Running").get("message", ""), "it is given up")
        assert "ValueError: bad shape" in cluster.condition("Running")["message"]
        assert [reason for reason, _ in cluster.events()].count("EvaluatorFailed") == 1
        assert cluster.status()["phase"] == "Running"
        cluster.end("mnist-chief-0", 0, report(100, "Succeeded", final=True).encode(4096).decode())
        cluster.wait_phase("Succeeded")
        assert len([name for name in cluster.pods() if "evaluator" in name]) == 3

    def test_a_chief_alone_has_a_service_for_it(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(workers=0, **EVALUATED)
        cluster.wait_pods(2)
        (service,) = cluster.api.get(f"{cluster.core}/services")["items"]
        assert service["metadata"]["name"] == "mnist-chief"

    def test_the_intake_takes_no_report_from_it(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(workers=0, **EVALUATED)
        cluster.wait_pods(2)
        cluster.run()
        cluster.wait_phase("Starting")
        uid = cluster.job()["metadata"]["uid"]
        token = cluster.report_token("mnist-evaluator-0", f"trainingjob.dev/jobs/{uid}")
        message = Report("evaluator-0", 1, 1, 1, "Running").encode()
        assert cluster.report(operator.intake_port, token, message)[0] == 403
