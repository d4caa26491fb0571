"""/metrics of real replicas: what they did is counted, and jobs are there for as long as they are."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.apiserver.api import JOBS
from tests.apiserver.replica import Cluster, Replica, replica, report, wait
from tests.apiserver.server import ApiServer
from tests.unit.operator.telemetry.lint import problems
from trainingjob_operator.telemetry import families

OWN = "trainingjob_operator_"


class Scrape:
    """What one replica tells Prometheus now."""

    def __init__(self, one: Replica) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{one.metrics_port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            self.families = list(text_string_to_metric_families(answer.read().decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels; 0 where there is none."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def of_namespace(self, namespace: str) -> set[str]:
        """Return the names of the metrics that jobs of a namespace have."""
        return {s.name for s in self.samples if s.labels.get("namespace") == namespace}


def test_what_a_replica_does_is_counted_and_its_jobs_are_shown(server: ApiServer, cluster: Cluster) -> None:
    with replica(server, "metrics") as one:
        wait(lambda: Scrape(one).value(OWN + "leader") == 1, "it leads", one.text)
        before = Scrape(one)
        job = {"namespace": cluster.namespace, "job_name": "mnist"}
        uid = cluster.submit()["metadata"]["uid"]
        cluster.wait_pods(3)
        cluster.run()
        token = cluster.report_token("mnist-chief-0", f"trainingjob.dev/jobs/{uid}")
        wait(lambda: cluster.report(one.intake_port, token, report(1).encode())[0] == 204, "the report is taken")
        assert cluster.report(one.intake_port, "nonsense", report(2).encode())[0] == 401
        wait(lambda: Scrape(one).value("trainingjob_step", **job) == 1, "the step is shown", one.text)
        wait(lambda: Scrape(one).value("trainingjob_phase", **job, phase="Running") == 1, "the phase is shown")
        after = Scrape(one)

        def more(name: str, **labels: str) -> float:
            return after.value(OWN + name, **labels) - before.value(OWN + name, **labels)

        assert more("reconciles_total", result="done") >= 2
        assert more("reconcile_duration_seconds_count") >= 2
        assert more("reconciles_total", result="defect") == 0
        assert more("api_requests_total", verb="create", resource="pods", code="201") == 3
        assert more("api_requests_total", verb="create", resource="services", code="201") == 1
        assert more("api_requests_total", verb="update", resource="trainingjobs", code="200") >= 3
        assert more("intake_reports_total", code="204") == 1
        assert more("intake_reports_total", code="401") == 1
        assert more("status_writes_total", result="written") == 1
        assert more("status_write_delay_seconds_count") == 1
        assert more("events_total", result="posted") >= 1
        assert more("cached_objects", watch="pods") == 3
        assert more("cached_objects", watch="trainingjobs") == 1
        assert after.value(OWN + "watch_age_seconds", watch="pods") < 80
        assert after.value(OWN + "ready") == 1
        serving = after.value(OWN + "certificate_expiry_timestamp_seconds", certificate="serving")
        assert 6.9 * 86400 < serving - after.value("process_start_time_seconds") < 7.1 * 86400
        assert after.value("trainingjob_metric", **job, metric="accuracy") == 0.9
        assert after.value("trainingjob_members_ready", **job) == 3

        server.api.request("DELETE", f"{JOBS.format(cluster.namespace)}/mnist")
        wait(lambda: not Scrape(one).of_namespace(cluster.namespace), "the job's series are gone", one.text)


def test_both_replicas_serve_and_the_leader_alone_tells_of_jobs(server: ApiServer, cluster: Cluster) -> None:
    with replica(server, "one") as one, replica(server, "two") as two:
        cluster.submit()
        wait(lambda: sum(Scrape(each).value(OWN + "leader") for each in (one, two)) == 1, "one leads")
        leader, other = (one, two) if Scrape(one).value(OWN + "leader") else (two, one)
        wait(lambda: Scrape(leader).of_namespace(cluster.namespace) != set(), "the leader tells of the job")
        assert Scrape(other).of_namespace(cluster.namespace) == set()
        assert Scrape(other).value(OWN + "cached_objects", watch="trainingjobs") >= 1
        leader.stop()
        wait(
            lambda: Scrape(other).of_namespace(cluster.namespace) != set(), "the next leader tells of it", other.text
        )


def test_names_are_the_catalogs_and_well_formed(server: ApiServer, cluster: Cluster) -> None:
    with replica(server, "names") as one:
        found = Scrape(one).families
    known = {family.name for family in families.EVERY}
    names = {family.name + ("_total" if family.type == "counter" else "") for family in found}
    assert {name for name in names if not name.startswith(("process_", "python_"))} <= known
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes"} <= names
    assert [problem for family in found for problem in problems(family)] == []
