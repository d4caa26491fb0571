"""Replicas that come and go: the lead changes hands, and what happened meanwhile is caught up."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.apiserver.replica import LEASE, SECRET, SYSTEM, Cluster, Replica, prepare, replica, report, wait
from tests.apiserver.server import ApiServer, running
from trainingjob_operator.intake.certificates import new_authority


def test_what_happened_while_the_operator_was_away_is_caught_up(server: ApiServer, cluster: Cluster) -> None:
    with replica(server, "first") as first:
        cluster.submit()
        cluster.wait_pods(3)
        cluster.wait_phase("Pending")
        first.kill()
    cluster.run()
    cluster.end("mnist-chief-0", 0, report(100, "Succeeded", final=True).encode(4096).decode())
    with replica(server, "second"):
        done = cluster.wait_phase("Succeeded")
        assert done["training"]["metrics"]["accuracy"] == 0.9
        wait(lambda: len(cluster.events()) == 3, "three events", lambda: str(cluster.events()))
    assert [reason for reason, _ in cluster.events()] == ["PodsCreated", "Running", "Succeeded"]


def test_the_other_replica_takes_over(server: ApiServer, cluster: Cluster) -> None:
    def holder() -> str:
        lease = server.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{LEASE}")
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    with replica(server, "one") as one, replica(server, "two") as two:
        wait(lambda: holder() != "", "somebody leads")
        leader, other = (one, "two") if holder().startswith("one") else (two, "one")
        assert leader.stop() == 0
        wait(lambda: holder().startswith(other), "the other leads", holder)
        cluster.submit()
        cluster.wait_pods(3)


def test_without_its_crd_it_ends_and_says_what_to_install(tmp_path: Path) -> None:
    """kopf alone would warn once and idle; ended, it is started again until the CRD is there."""
    with running() as bare:
        prepare(bare.api)
        blind = Replica(bare, "blind", tmp_path / "log")
        assert blind.process.wait(20) == 1
        blind.stop()
        assert "install the chart with crds.install=true" in blind.text()


def test_the_next_authority_joins_the_old_one_long_before_that_ends(server: ApiServer, cluster: Cluster) -> None:
    """An installation of nine years ago: pods of now trust both, and the old one still signs for those of before."""
    path = f"/api/v1/namespaces/{SYSTEM}/secrets/{SECRET}"
    old = new_authority(datetime.now(UTC), timedelta(days=200))
    data = {"ca.crt": old.certificate, "ca.key": old.key, "ca-next.crt": None, "ca-next.key": None}
    encoded = {key: base64.b64encode(value).decode() if value else None for key, value in data.items()}
    server.api.merge(path, {"data": encoded})
    with replica(server, "nine-years-on") as operator:
        made = server.api.get(path)["data"]
        assert made["ca.crt"] == encoded["ca.crt"]
        following = base64.b64decode(made["ca-next.crt"])
        uid = cluster.submit()["metadata"]["uid"]
        pods = cluster.wait_pods(3)
        env = {item["name"]: item.get("value") for item in pods["mnist-chief-0"]["spec"]["containers"][0]["env"]}
        assert env["TRAININGJOB_REPORT_CA"] == (old.certificate + following).decode()
        cluster.run()
        token = cluster.report_token("mnist-chief-0", f"trainingjob.dev/jobs/{uid}")
        wait(
            lambda: cluster.report(operator.intake_port, token, report(1).encode())[0] == 204,
            "a report of a pod that knows the old authority alone is taken",
            operator.text,
        )
    with replica(server, "another"):
        assert server.api.get(path)["data"] == made, "made once"
