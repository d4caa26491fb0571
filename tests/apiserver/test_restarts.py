"""A gang that loses pods: the operator as a process replaces, counts and tells; the test plays kubelet and launchers."""

from dataclasses import replace
from typing import Any

import pytest

from tests.apiserver.api import Json
from tests.apiserver.replica import Cluster, Replica, replica, report, wait
from tests.apiserver.server import ApiServer
from tests.apiserver.test_housekeeping import of, trains
from trainingjob_operator.api.contract import Failure, Ledger, Report

CHIEF, WORKER_0, WORKER_1 = "mnist-chief-0", "mnist-worker-0", "mnist-worker-1"


def environment(pod: Json) -> dict[str, str]:
    """Return what the trainer's container is told."""
    env = pod["spec"]["containers"][0]["env"]
    return {item["name"]: item.get("value", "") for item in env}


def ledger(pod: Json) -> Ledger:
    """Return the ledger that the launcher is given."""
    return Ledger.decode(environment(pod)["TRAININGJOB_LEDGER"], "TRAININGJOB_LEDGER")


def replaced(cluster: Cluster, *names: str) -> dict[str, Json]:
    """Wait for these pods to live, let them run, and return all."""
    cluster.wait_live(*names)
    cluster.bring_up()
    return cluster.pods()


def wait_restarts(cluster: Cluster, **wanted: int) -> None:
    """Wait until the status counts so."""
    wait(
        lambda: cluster.status().get("restarts") == wanted,
        f"restarts are {wanted}",
        lambda: str(cluster.status().get("restarts")),
    )


def counted(said: Report, failures: int, **changes: Any) -> Report:
    """Return a report whose ledger has so many failures of trainers."""
    return replace(said, ledger=Ledger(said.generation, failures, step=1, started=True), **changes)


class TestOneMember:
    def test_a_worker_out_of_memory_is_replaced_and_it_counts(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator)
        cluster.end(WORKER_0, 137, reason="OOMKilled")
        pods = replaced(cluster, CHIEF, f"{WORKER_0}-2", WORKER_1)
        new = pods[f"{WORKER_0}-2"]
        assert new["metadata"]["annotations"]["trainingjob.dev/failures"] == "1"
        assert environment(new)["TRAININGJOB_POD_FAILURES"] == "1"
        assert ledger(new).generation == 1
        assert new["spec"]["hostname"] == WORKER_0
        status = cluster.wait_phase("Restarting")
        failure = {key: status["failure"].get(key) for key in ("member", "pod", "exitCode", "reason", "generation")}
        assert failure == {
            "member": "worker-0", "pod": WORKER_0, "exitCode": 137, "reason": "OOMKilled", "generation": 1
        }  # fmt: skip
        assert cluster.post(operator, of(2, 1)) == 204
        status = cluster.wait_phase("Running")
        assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
        assert WORKER_0 in cluster.pods(), "its log is kept"
        wait(lambda: len(cluster.told("Restarted")) == 1, "the restart is told")
        assert [len(cluster.told(reason)) for reason in ("Restarting", "MemberReplaced")] == [1, 1]

    @pytest.mark.parametrize("how", ["deleted", "evicted", "terminated"])
    def test_a_worker_that_is_taken_away_is_free(self, cluster: Cluster, operator: Replica, how: str) -> None:
        trains(cluster, operator)
        if how == "evicted":
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            cluster.api.merge(f"{cluster.core}/pods/{WORKER_1}/status", {"status": {"conditions": [condition]}})
        if how == "terminated":
            cluster.end(WORKER_1, 143)
        else:
            cluster.api.request("DELETE", f"{cluster.core}/pods/{WORKER_1}")
        replaced(cluster, CHIEF, WORKER_0, f"{WORKER_1}-2")
        assert cluster.post(operator, of(2, 1)) == 204
        wait_restarts(cluster, total=1, counted=0, free=1)
        cluster.wait_phase("Running")
        assert {"deleted": "MemberLost", "evicted": "Evicted", "terminated": "MemberFailed"}[how] == (
            cluster.status()["failure"]["reason"]
        )

    def test_one_that_the_chief_misses_gets_a_new_pod_though_its_pod_seems_to_run(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        trains(cluster, operator, failurePolicy={"replaceAfterSeconds": 1})
        lost = replace(of(1, 1, "Restarting"), sequence=50, unreachable=("worker-0",))
        assert cluster.post(operator, lost) == 204
        cluster.wait_live(CHIEF, f"{WORKER_0}-2", WORKER_1)
        assert "deletionTimestamp" in cluster.pods()[WORKER_0]["metadata"]
        assert cluster.wait_phase("Restarting")["gang"]["unreachable"][0]["name"] == "worker-0"

    def test_a_container_that_can_not_start_ends_the_job(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.bind()
        cluster.end(WORKER_0, 128, 'exec: "nope": executable file not found', reason="StartError")
        assert cluster.wait_phase("Failed")["failure"]["reason"] == "StartError"
        cluster.wait_live()

    def test_what_a_trainers_failure_costs_the_chief_says(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator)
        crash = Failure("worker-0", "TrainerKilled", "killed by SIGKILL", exit_code=137, signal=9, generation=1)
        said = counted(of(1, 1, "Restarting"), 1, sequence=50, failure=crash)
        assert cluster.post(operator, said) == 204
        status = cluster.wait_phase("Restarting")
        assert (status["failure"]["pod"], status["failure"]["signal"]) == (WORKER_0, 9)
        assert cluster.post(operator, counted(of(2, 1), 1)) == 204
        status = cluster.wait_phase("Running")
        assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
        assert cluster.live() == [CHIEF, WORKER_0, WORKER_1], "every pod was kept"


class TestTheChief:
    def test_the_service_leads_to_the_next_one_and_the_last_one_is_not_heard_any_more(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        trains(cluster, operator)
        cluster.wait_led_to(CHIEF)
        late = of(1, 1)
        uid = cluster.job()["metadata"]["uid"]
        token = cluster.report_token(CHIEF, f"trainingjob.dev/jobs/{uid}")
        cluster.api.request("DELETE", f"{cluster.core}/pods/{CHIEF}")
        cluster.wait_live(f"{CHIEF}-2", WORKER_0, WORKER_1)
        assert cluster.led_to() == [], "nobody looks for it where it was"
        cluster.bring_up()
        cluster.wait_led_to(f"{CHIEF}-2")
        assert cluster.post(operator, of(2, 2)) == 204
        cluster.wait_phase("Running")
        refused, answer = cluster.report(operator.intake_port, token, replace(late, sequence=99).encode())
        assert refused == 409
        assert "replaced" in answer["error"]
        assert cluster.status()["training"]["generation"] == 2

    def test_it_is_replaced_also_where_its_service_has_used_up_the_quota(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        """The API server refuses to make what is there already, before it looks whether it is."""
        trains(cluster, operator)
        cluster.wait_led_to(CHIEF)
        hard = {"services": "1", "count/endpointslices.discovery.k8s.io": "1"}
        quotas = f"{cluster.core}/resourcequotas"
        cluster.api.create(quotas, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        cluster.api.merge(f"{quotas}/q/status", {"status": {"hard": hard, "used": hard}})
        cluster.api.request("DELETE", f"{cluster.core}/pods/{CHIEF}")
        replaced(cluster, f"{CHIEF}-2", WORKER_0, WORKER_1)
        cluster.wait_led_to(f"{CHIEF}-2")

    def test_it_saved_on_sigterm_and_a_drain_is_free(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator)
        cluster.api.request("DELETE", f"{cluster.core}/pods/{CHIEF}")
        saved = replace(of(1, 1, "Terminated"), sequence=50)
        cluster.end(CHIEF, 143, saved.encode(4096).decode())
        replaced(cluster, f"{CHIEF}-2", WORKER_0, WORKER_1)
        resumed = replace(of(2, 2), training=replace(report(7).training, resumed_step=5))  # type: ignore[type-var]
        assert cluster.post(operator, resumed) == 204
        status = cluster.wait_phase("Running")
        assert status["restarts"] == {"total": 1, "counted": 0, "free": 1}
        wait(lambda: cluster.status().get("resumedFrom", {}).get("step") == 5, "where it went on is told")
        assert cluster.status()["resumedFrom"]["generation"] == 2


class TestTheLimit:
    def test_it_is_exact_over_new_pods_and_new_operators(
        self, server: ApiServer, cluster: Cluster, no_operator: None
    ) -> None:
        """One trainer's failure by the chief, and two pods', each with another operator; the limit is two."""
        with replica(server, "op-1") as first:
            trains(cluster, first, failurePolicy={"backoffLimit": 2})
            assert cluster.post(first, counted(of(1, 1, "Restarting"), 1, sequence=50)) == 204
            wait_restarts(cluster, total=0, counted=1, free=0)
            first.kill()
        cluster.end(WORKER_0, 137, reason="OOMKilled")
        with replica(server, "op-2") as second:
            pods = replaced(cluster, CHIEF, f"{WORKER_0}-2", WORKER_1)
            new = pods[f"{WORKER_0}-2"]
            assert (environment(new)["TRAININGJOB_POD_FAILURES"], ledger(new).counted) == ("1", 1)
            assert cluster.post(second, counted(of(2, 1), 1)) == 204
            assert cluster.wait_phase("Running")["restarts"] == {"total": 1, "counted": 2, "free": 0}
            second.stop()
        cluster.api.request("DELETE", f"{cluster.core}/pods/{WORKER_0}", {"gracePeriodSeconds": 0})
        cluster.end(WORKER_1, 137, reason="OOMKilled")
        with replica(server, "op-3"):
            failure = cluster.wait_phase("Failed")["failure"]
            assert failure["reason"] == "BackoffLimitExceeded"
            assert failure["message"].startswith("3 failures, the limit is 2: ")
            assert failure["member"] == "worker-1"
            cluster.wait_live()
            assert sorted(cluster.told("Failed")) == [f"BackoffLimitExceeded: {failure['message']}"]

    def test_rules_come_first(self, cluster: Cluster, operator: Replica) -> None:
        rules: Any = {"rules": [{"reasons": ["OOMKilled"], "action": "Fail"}]}
        trains(cluster, operator, failurePolicy=rules)
        cluster.end(WORKER_0, 137, reason="OOMKilled")
        assert cluster.wait_phase("Failed")["failure"]["reason"] == "OOMKilled"
