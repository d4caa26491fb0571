"""Deadlines, time to live, clean-up, suspension and managedBy: the operator as a process; the test plays the kubelet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.apiserver.api import JOBS, RefusedError
from tests.apiserver.replica import Cluster, Replica, replica, report, wait
from tests.apiserver.server import ApiServer
from trainingjob_operator.api.contract import Ledger, Report
from trainingjob_operator.core.observe import parse_time

PODS = ["mnist-chief-0", "mnist-worker-0", "mnist-worker-1"]
NEXT = [f"{name}-2" for name in PODS]


def trains(cluster: Cluster, operator: Replica, workers: int = 2, **spec: Any) -> None:
    """Submit a job and bring it to Running."""
    cluster.submit(workers=workers, **spec)
    cluster.wait_pods(workers + 1)
    cluster.bring_up()
    cluster.wait_phase("Starting")
    assert cluster.post(operator, of(1, 1)) == 204
    cluster.wait_phase("Running")


def of(generation: int, incarnation: int, state: str = "Running", *, final: bool = False) -> Report:
    """Return a report of the chief."""
    said = replace(report(99 if final else 1, state, final=final), generation=generation, incarnation=incarnation)
    return replace(said, ledger=Ledger(generation, step=generation, started=True), size=3)


def succeed(cluster: Cluster, *workers: str) -> None:
    """Let the chief, and these workers, end well."""
    for name in workers:
        cluster.end(name, 0)
    cluster.end("mnist-chief-0", 0, of(1, 1, "Succeeded", final=True).encode(4096).decode())


def gone(cluster: Cluster, name: str = "mnist") -> bool:
    """Whether a job is gone."""
    try:
        cluster.job(name)
    except RefusedError as error:
        if error.status == 404:
            return True
        raise
    return False


def a_later_job_is_taken_up(cluster: Cluster, name: str) -> None:
    """Wait for something that the operator does after all that it had to do before."""
    cluster.submit(name, workers=0)
    cluster.wait_phase("Pending", name)


class TestDeadlines:
    def test_the_active_deadline_ends_a_job_that_trains_and_stops_its_pods(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        trains(cluster, operator, runPolicy={"activeDeadlineSeconds": 5, "cleanPodPolicy": "None"})
        status = cluster.wait_phase("Failed")
        assert status["failure"]["reason"] == status["display"]["reason"] == "DeadlineExceeded"
        started, ended = parse_time(status["startTime"]), parse_time(status["completionTime"])
        assert started is not None
        assert ended is not None
        assert timedelta(seconds=5) <= ended - started <= timedelta(seconds=8)
        cluster.wait_live()
        assert sorted(cluster.pods()) == PODS, "they have their grace to save"
        assert cluster.told("Failed") == [
            "DeadlineExceeded: the job was active for 5 s (spec.runPolicy.activeDeadlineSeconds)"
        ]

    def test_the_startup_deadline_says_what_was_waited_for(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(runPolicy={"startupDeadlineSeconds": 2})
        cluster.wait_pods(3)
        cluster.bind()
        cluster.run("mnist-chief-0")
        failure = cluster.wait_phase("Failed")["failure"]
        assert failure["reason"] == "StartupDeadlineExceeded"
        assert "worker-0 is in Pending, see kubectl describe pod mnist-worker-0" in failure["message"]
        cluster.wait_live()

    def test_a_job_that_began_in_time_goes_on(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator, runPolicy={"startupDeadlineSeconds": 3})
        cluster.submit("late", workers=0, runPolicy={"startupDeadlineSeconds": 4})
        assert cluster.wait_phase("Failed", "late")
        assert cluster.status()["phase"] == "Running"

    def test_a_deadline_that_passed_while_the_operator_was_away(
        self, server: ApiServer, cluster: Cluster, no_operator: None
    ) -> None:
        with replica(server, "before") as before:
            trains(cluster, before)
            before.stop()
        cluster.change(runPolicy={"activeDeadlineSeconds": 1})
        with replica(server, "after"):
            assert cluster.wait_phase("Failed")["failure"]["reason"] == "DeadlineExceeded"
            cluster.wait_live()


class TestTimeToLive:
    def test_a_finished_job_is_deleted_at_its_time_and_not_before(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator, workers=0, runPolicy={"ttlSecondsAfterFinished": 4})
        succeed(cluster)
        completed = parse_time(cluster.wait_phase("Succeeded")["completionTime"])
        assert completed is not None
        wait(lambda: gone(cluster), "it is deleted", operator.text)
        assert datetime.now(UTC) >= completed + timedelta(seconds=4)

    def test_zero_is_at_once_and_the_story_is_told_all_the_same(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator, workers=0, runPolicy={"ttlSecondsAfterFinished": 0})
        succeed(cluster)
        wait(lambda: gone(cluster), "it is deleted", operator.text)
        wait(lambda: len(cluster.told("Succeeded")) == 1, "the end is told")

    def test_a_ttl_that_is_set_after_the_end(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator, workers=0)
        succeed(cluster)
        cluster.wait_phase("Succeeded")
        cluster.change(runPolicy={"ttlSecondsAfterFinished": 1})
        wait(lambda: gone(cluster), "it is deleted", operator.text)

    def test_after_the_operator_was_away_and_only_this_very_job(
        self, server: ApiServer, cluster: Cluster, no_operator: None
    ) -> None:
        with replica(server, "before") as before:
            trains(cluster, before, workers=0, runPolicy={"ttlSecondsAfterFinished": 1})
            before.stop()
        succeed(cluster)
        cluster.submit("other", workers=0)
        with replica(server, "after"):
            wait(lambda: gone(cluster), "it is deleted")
            cluster.wait_phase("Pending", "other")


class TestCleanUp:
    def test_the_policies_side_by_side(self, cluster: Cluster, operator: Replica) -> None:
        """A worker hangs after the end. Last words have 15 s; these jobs have had them already."""
        for policy in ("None", "Running", "All"):
            name = policy.lower()
            cluster.submit(name, workers=1, runPolicy={"cleanPodPolicy": policy})
        cluster.wait_pods(6)
        cluster.bring_up()
        past = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name in ("none", "running", "all"):
            cluster.wait_phase("Starting", name)
            assert cluster.post(operator, of(1, 1), name) == 204
            cluster.wait_phase("Running", name)
            done = of(1, 1, "Succeeded", final=True).encode(4096).decode()
            cluster.end(f"{name}-chief-0", 0, done, at=past)
            cluster.wait_phase("Succeeded", name)
        cluster.wait_live("none-worker-0")
        wait(lambda: "all-chief-0" not in cluster.pods(), "all pods of one job are gone")
        assert {"none-chief-0", "running-chief-0"} <= cluster.pods().keys()


class TestSuspend:
    def test_a_job_that_is_made_suspended_waits_and_starts(self, cluster: Cluster, operator: Replica) -> None:
        cluster.submit(suspend=True)
        status = cluster.wait_phase("Suspended")
        assert "startTime" not in status
        assert cluster.condition("Suspended")["status"] == "True"
        assert cluster.pods() == {}
        assert cluster.api.get(f"{cluster.core}/services")["items"] == []
        cluster.change(suspend=False)
        assert sorted(cluster.wait_pods(3)) == PODS
        assert "startTime" in cluster.wait_phase("Pending")
        assert cluster.condition("Suspended")["status"] == "False"

    def test_a_job_that_trains_saves_rests_and_goes_on(self, cluster: Cluster, operator: Replica) -> None:
        trains(cluster, operator)
        before = cluster.status()
        cluster.change(suspend=True)
        status = cluster.wait_phase("Suspended")
        wait(lambda: cluster.live() == [], "no pod is wanted", lambda: str(cluster.live()))
        assert sorted(cluster.pods()) == PODS, "they have their grace to save"
        assert cluster.condition("MembersReady")["reason"] == "MembersEnding"
        assert status["training"]["metrics"] == before["training"]["metrics"]
        assert status["activeSeconds"] >= 0
        assert "startTime" not in status
        saved = replace(of(1, 1, "Terminated"), sequence=50)
        assert cluster.post(operator, saved) == 204, "its last words are taken"
        cluster.reap()
        wait(lambda: cluster.condition("MembersReady")["reason"] == "JobSuspended", "the pods are gone")
        assert [item.get("incarnation") for item in cluster.status()["members"]["items"]] == [1, 1, 1]

        cluster.change(suspend=False)
        cluster.wait_live(*NEXT)
        cluster.bring_up()
        cluster.wait_phase("Starting")
        cluster.wait_led_to(f"{PODS[0]}-2")
        assert cluster.post(operator, of(2, 2)) == 204
        status = cluster.wait_phase("Running")
        assert status["restarts"] == {"total": 1, "counted": 0, "free": 1}
        assert status["activeSeconds"] >= 0
        assert status["startTime"] >= before["startTime"]
        assert [len(cluster.told(reason)) for reason in ("Suspended", "Resumed", "MemberReplaced")] == [1, 1, 0]

    def test_it_is_resumed_while_its_pods_still_save(self, cluster: Cluster, operator: Replica) -> None:
        """As a queue does that changes its mind: the next incarnation has other names."""
        trains(cluster, operator)
        for value in (True, False, True):
            cluster.change(suspend=value)
        cluster.wait_phase("Suspended")
        wait(lambda: cluster.live() == [], "no pod is wanted")
        cluster.change(suspend=False)
        wait(lambda: len(cluster.live()) == 3, "new pods", lambda: str(list(cluster.pods())))
        live = cluster.live()
        assert not set(live) & set(PODS), "no name is used again"
        assert set(PODS) < cluster.pods().keys()
        cluster.bring_up()
        chief = cluster.pods()[live[0]]["metadata"]["labels"]
        assert cluster.post(operator, of(2, int(chief["trainingjob.dev/incarnation"]))) == 204
        cluster.wait_phase("Running")
        cluster.reap()
        assert sorted(cluster.wait_pods(3)) == live

    def test_an_operator_that_was_away_suspends_when_it_is_back(
        self, server: ApiServer, cluster: Cluster, no_operator: None
    ) -> None:
        with replica(server, "before") as before:
            trains(cluster, before)
            before.stop()
        cluster.change(suspend=True)
        with replica(server, "after"):
            cluster.wait_phase("Suspended")
            wait(lambda: cluster.live() == [], "no pod is wanted")

    def test_a_chief_that_finishes_while_it_is_suspended_has_succeeded(
        self, cluster: Cluster, operator: Replica
    ) -> None:
        trains(cluster, operator)
        cluster.change(suspend=True)
        wait(lambda: cluster.live() == [], "no pod is wanted")
        succeed(cluster)
        status = cluster.wait_phase("Succeeded")
        assert status["training"]["state"] == "Succeeded"
        assert "startTime" not in status
        assert cluster.condition("Suspended")["reason"] == "Finished"


def test_a_job_of_another_controller_is_left_alone(server: ApiServer, cluster: Cluster, operator: Replica) -> None:
    seen = len(server.audit())
    cluster.submit(managedBy="kueue.x-k8s.io/multikueue", resources={"requests": {"cpu": 2}, "limits": {"cpu": 1}})
    status = {"status": {"phase": "Failed", "completionTime": "2026-01-01T00:00:00Z"}}
    cluster.api.merge(f"{JOBS.format(cluster.namespace)}/mnist/status", status)
    cluster.change(runPolicy={"ttlSecondsAfterFinished": 0}, suspend=True)
    a_later_job_is_taken_up(cluster, "ours")
    assert cluster.status() == status["status"]
    touched = {
        (entry.get("objectRef") or {}).get("name", "")
        for entry in server.audit()[seen:]
        if entry["userAgent"].startswith("trainingjob-operator")
        and (entry.get("objectRef") or {}).get("namespace") == cluster.namespace
    }
    assert "ours" in touched
    assert not {name for name in touched if name.startswith("mnist")}
    assert list(cluster.pods()) == ["ours-chief-0"]


def test_a_finished_job_is_never_run_again(server: ApiServer, cluster: Cluster, operator: Replica) -> None:
    """Whatever happens to its pods, to spec.suspend and to its policies, and by whichever operator."""
    trains(cluster, operator)
    succeed(cluster, *PODS[1:])
    done = cluster.wait_phase("Succeeded")
    for name in PODS:
        cluster.api.request("DELETE", f"{cluster.core}/pods/{name}", {"gracePeriodSeconds": 0})
    for change in ({"suspend": True}, {"suspend": False}, {"runPolicy": {"activeDeadlineSeconds": 1}}):
        cluster.change(**change)
    a_later_job_is_taken_up(cluster, "other")
    assert list(cluster.pods()) == ["other-chief-0"]
    assert cluster.status() == done
