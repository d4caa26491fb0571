"""The operator as a process against a real API server; the test plays the kubelet."""

from collections import Counter

from tests.apiserver.api import JOBS
from tests.apiserver.replica import Cluster, Replica, address_of, replica, report, wait
from tests.apiserver.server import ApiServer
from trainingjob_operator.api.contract import Failure, Report

PODS = ["mnist-chief-0", "mnist-worker-0", "mnist-worker-1"]


def post(cluster: Cluster, operator: Replica, message: Report) -> tuple[int, object]:
    uid = cluster.job()["metadata"]["uid"]
    token = cluster.report_token("mnist-chief-0", f"trainingjob.dev/jobs/{uid}")
    return cluster.report(operator.intake_port, token, message.encode())


class TestOneJob:
    def test_it_walks_through_its_phases_within_the_budget(
        self, server: ApiServer, cluster: Cluster, operator: Replica
    ) -> None:
        seen = len(server.audit())
        cluster.submit()
        assert sorted(cluster.wait_pods(3)) == PODS
        assert cluster.wait_phase("Pending")["display"]["members"] == "0/3"
        cluster.run()
        cluster.wait_phase("Starting")
        assert post(cluster, operator, report())[0] == 204
        running = cluster.wait_phase("Running")
        assert running["training"]["metrics"] == {"loss": 0.5, "accuracy": 0.9}
        assert running["display"]["metric"] == "accuracy=0.9"
        assert cluster.condition("Running")["reason"] == "GangFormed"
        last = report(100, "Succeeded", final=True)
        for name in PODS[1:]:
            cluster.end(name, 0)
        cluster.end(PODS[0], 0, last.encode(4096).decode())
        done = cluster.wait_phase("Succeeded")
        assert done["training"]["step"] == 100
        assert done["training"]["final"] is True
        assert [point["step"] for point in done["training"]["history"]] == [1, 100]
        assert done["training"]["best"]["loss"] == {"value": 0.5, "step": 1}
        assert done["restarts"] == {"total": 0, "counted": 0, "free": 0}
        assert done["goodput"]["startingSeconds"] > 0
        ended = cluster.pods()[PODS[0]]["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
        assert done["completionTime"] == ended
        wait(lambda: len(cluster.events()) == 3, "three events")
        assert [reason for reason, _ in cluster.events()] == ["PodsCreated", "Running", "Succeeded"]

        writes: Counter[str] = Counter()
        for entry in server.audit()[seen:]:
            ref = entry.get("objectRef") or {}
            if ref.get("namespace") == cluster.namespace and entry["userAgent"].startswith("trainingjob-operator"):
                writes[f"{entry['verb']} {ref['resource']}"] += 1
        assert writes == {
            "create pods": 3, "create services": 1, "create endpointslices": 1, "update trainingjobs": 4,
            "create events": 3,
        }  # fmt: skip

    def test_pods_belong_to_the_job_and_nothing_holds_it(self, cluster: Cluster, operator: Replica) -> None:
        uid = cluster.submit()["metadata"]["uid"]
        for pod in cluster.wait_pods(3).values():
            assert [o["uid"] for o in pod["metadata"]["ownerReferences"]] == [uid]
            assert "finalizers" not in pod["metadata"]
        metadata = cluster.job()["metadata"]
        assert "finalizers" not in metadata
        assert not metadata.get("annotations")

    def test_the_chief_alone_needs_no_service(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(workers=0)
        cluster.wait_pods(1)
        cluster.wait_phase("Pending")
        assert cluster.api.get(f"{cluster.core}/services")["items"] == []

    def test_a_failure_is_told_with_its_first_cause(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.run()
        cluster.wait_phase("Starting")
        verdict = Failure(
            "worker-1", "ProgramError", "ValueError: bad", exit_code=1, generation=1, last_log_lines=("a",)
        )
        cluster.end("mnist-worker-1", 1)
        cluster.end("mnist-chief-0", 1, report(7, "Failed", final=True, failure=verdict).encode(4096).decode())
        status = cluster.wait_phase("Failed")
        failure = status["failure"]
        assert failure.pop("time") == status["completionTime"]
        assert failure | {"node": ""} == {
            "member": "worker-1", "pod": "mnist-worker-1", "node": "", "exitCode": 1, "reason": "ProgramError",
            "message": "ValueError: bad", "generation": 1, "lastLogLines": ["a"],
        }  # fmt: skip

    def test_a_pod_that_is_deleted_before_the_gang_formed_is_replaced(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.api.request("DELETE", f"{cluster.core}/pods/mnist-worker-1", {"gracePeriodSeconds": 0})
        wait(lambda: "mnist-worker-1" not in cluster.pods() and len(cluster.pods()) == 3, "a new pod for worker-1")
        assert "mnist-worker-1-2" in cluster.pods()

    def test_a_name_that_is_taken_is_said(self, cluster: Cluster, operator: Replica) -> None:
        service = {"metadata": {"name": "mnist-chief"}, "spec": {"ports": [{"port": 80}]}}
        cluster.api.create(f"{cluster.core}/services", service)
        cluster.submit()
        wait(lambda: cluster.condition("MembersReady").get("reason") == "ServiceConflict", "the conflict is said")
        assert "mnist-chief exists and belongs to somebody else" in cluster.condition("MembersReady")["message"]
        assert cluster.pods() == {}, "without it members would wait for each other"
        cluster.api.request("DELETE", f"{cluster.core}/services/mnist-chief")
        wait(lambda: cluster.condition("MembersReady").get("reason") == "MembersStarting", "it is tried again")


class TestRefusals:
    def test_quota(self, cluster: Cluster, operator: Replica) -> None:
        path = f"{cluster.core}/resourcequotas"
        cluster.api.create(path, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
        hard = {"hard": {"pods": "2"}, "used": {"pods": "0"}}  # the quota controller's part
        cluster.api.merge(f"{path}/q/status", {"status": hard})
        cluster.submit()
        wait(lambda: cluster.condition("MembersReady").get("reason") == "QuotaExceeded", "the quota is said")
        assert "exceeded quota: q" in cluster.condition("MembersReady")["message"]
        assert len(cluster.pods()) == 2
        cluster.api.merge(f"{path}/q", {"spec": {"hard": {"pods": "3"}}})
        cluster.api.merge(f"{path}/q/status", {"status": {"hard": {"pods": "3"}}})
        cluster.wait_pods(3)
        wait(
            lambda: [reason for reason, _ in cluster.events()] == ["QuotaExceeded", "PodsCreated"],
            "the story is told",
        )

    def test_pod_security(self, cluster: Cluster, operator: Replica) -> None:
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        cluster.api.merge(f"/api/v1/namespaces/{cluster.namespace}", label)
        cluster.submit("good", workers=0)
        cluster.wait_pods(1)
        cluster.submit("bad", workers=0, volumes=[{"mountPath": "/host", "hostPath": {"path": "/"}}])
        wait(lambda: cluster.condition("MembersReady", "bad").get("reason") == "PodSecurityViolation", "it is said")
        assert "hostPath" in cluster.condition("MembersReady", "bad")["message"]

    def test_a_pod_that_the_api_server_calls_invalid(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(workers=0, podTemplate={"spec": {"dnsPolicy": "Sometimes"}})
        cluster.wait_phase("Invalid")
        assert "dnsPolicy" in cluster.condition("Valid")["message"]
        assert cluster.pods() == {}

    def test_a_spec_that_only_python_can_judge(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(resources={"requests": {"cpu": 2}, "limits": {"cpu": 1}})
        cluster.wait_phase("Invalid")
        assert cluster.condition("Valid")["message"].startswith(
            "spec.resources.requests.cpu: is more than limits.cpu"
        )
        assert cluster.pods() == {}


class TestTheIntake:
    def test_who_may_not_report(self, cluster: Cluster, operator: Replica) -> None:
        uid = cluster.submit()["metadata"]["uid"]
        cluster.wait_pods(3)
        cluster.run()
        cluster.wait_phase("Starting")
        port, body, audience = operator.intake_port, report().encode(), f"trainingjob.dev/jobs/{uid}"
        assert cluster.report(port, "no token", body)[0] == 401
        assert cluster.report(port, cluster.report_token("mnist-chief-0", "other"), body)[0] == 401
        assert cluster.report(port, cluster.report_token("mnist-worker-0", audience), body)[0] == 403
        status, answer = cluster.report(port, cluster.report_token("mnist-chief-0", audience), b"{}")
        assert (status, answer["error"]) == (400, "version: is None, this operator reads 1")
        stranger = {"metadata": {"name": "stranger"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        cluster.api.create(f"{cluster.core}/pods", stranger)
        assert cluster.report(port, cluster.report_token("stranger", audience), body)[0] == 403
        assert "training" not in cluster.status()
        assert cluster.report(port, cluster.report_token("mnist-chief-0", audience), body)[0] == 204

    def test_no_secret_is_logged(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.run()
        cluster.wait_phase("Starting")
        post(cluster, operator, report())
        cluster.wait_phase("Running")
        env = cluster.pods()["mnist-chief-0"]["spec"]["containers"][0]["env"]
        key = next(v["value"] for v in env if v["name"] == "TRAININGJOB_KEY")
        told = operator.log.read_text() + str(cluster.job()) + str(cluster.events())
        assert key not in told
        assert "eyJ" not in operator.log.read_text()


class TestManyAtOnce:
    JOBS = tuple(f"job-{number}" for number in range(8))

    def test_pods_come_before_services_and_all_chiefs_are_found_by_whoever_leads_then(
        self, server: ApiServer, cluster: Cluster, no_operator: None
    ) -> None:
        for name in self.JOBS:
            cluster.submit(name, workers=1)
        with replica(server, "first", workers="1") as first:
            cluster.wait_pods(2 * len(self.JOBS))
            services = cluster.api.get(f"{cluster.core}/services")["items"]
            assert len(services) <= 2, "only of the last ones, when nobody waits any more"
            first.stop()
        with replica(server, "second", workers="1"):
            cluster.bring_up()
            for name in self.JOBS:
                wait(lambda n=name: cluster.led_to(n) == [address_of(f"{n}-chief-0")], f"{name}'s chief is found")


def test_a_job_made_again_under_its_name_is_another_job(
    server: ApiServer, cluster: Cluster, operator: Replica
) -> None:
    old = cluster.submit(workers=0)["metadata"]["uid"]
    cluster.wait_phase("Pending")
    cluster.api.request("DELETE", f"{JOBS.format(cluster.namespace)}/mnist")
    new = cluster.submit(workers=0)["metadata"]["uid"]
    # No garbage collector runs here: the old pod keeps its name, and is not ours.
    wait(lambda: "had this name before" in cluster.condition("MembersReady").get("message", ""), "it waits")
    assert cluster.condition("MembersReady")["reason"] == "NameStillTaken"
    cluster.api.request("DELETE", f"{cluster.core}/pods/mnist-chief-0", {"gracePeriodSeconds": 0})
    wait(
        lambda: [p["metadata"]["ownerReferences"][0]["uid"] for p in cluster.pods().values()] == [new], "its own pod"
    )
    assert old != new
    wait(lambda: [reason for reason, _ in cluster.events()] == ["PodsCreated"] * 2, "nothing else was told")
