"""The status subresource, and the two writers that share a job's status."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.apiserver.api import Api, Json, RefusedError
from tests.apiserver.server import ApiServer
from tests.apiserver.test_specs import job
from trainingjob_operator.api.contract import GpuUsage, MemberUsage, Report, Telemetry, Training
from trainingjob_operator.api.names import FIELD_MANAGER, INTAKE_FIELD_MANAGER
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.api.v1alpha1 import Reporting
from trainingjob_operator.core.sections import with_metrics, with_metrics_of
from trainingjob_operator.intake.pending import NOTHING
from trainingjob_operator.intake.view import fragment
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.config import from_kubeconfig
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import TRAININGJOBS

CONDITION: Json = {
    "type": "Valid",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "reason": "SpecAccepted",
    "message": "the spec is accepted",
}
#: What the reconciler writes.
OURS: Json = {
    "observedGeneration": 1,
    "phase": "Running",
    "conditions": [CONDITION],
    "startTime": "2026-01-01T00:00:00Z",
    "members": {"desired": 2, "ready": 1, "items": [{"name": "chief-0", "incarnation": 2, "node": "n"}]},
    "display": {"members": "1/2", "node": "n (+1)"},
    "restarts": {"total": 1},
}
#: Of two members that report what they use; of a GPU nothing could be read.
MEMBERS = (MemberUsage("chief-0", 1.0, gpus=(GpuUsage(50.0), GpuUsage())), MemberUsage("worker-0", 0.5))
#: What the intake writes.
THEIRS: Json = {
    "training": {
        "incarnation": 1, "generation": 1, "sequence": 7, "state": "Running", "epoch": 1, "totalEpochs": 3, "step": 5,
        "totalSteps": 50, "percent": 10.5, "etaSeconds": 9, "examplesPerSecond": 1000.25,
        "metrics": {"loss": 0.5, "accuracy": 1, "val_loss": "NaN"}, "lastReportTime": "2026-01-01T00:00:05Z",
        "final": False,
    },
    "display": {"progress": "10%", "loss": "0.5"},
}  # fmt: skip


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    """The operator's own client."""
    async with KubeClient(*from_kubeconfig(server.kubeconfig)) as client:
        yield client


@pytest.fixture
def path(api: Api, jobs: str) -> str:
    """A new job."""
    api.create(jobs, job({"program": {}}))
    return f"{jobs}/job"


async def write(client: KubeClient, namespace: str, manager: str, part: Json) -> Json:
    """Write one writer's part of a status, as the operator does, and return the status that is stored."""
    now = await client.get(TRAININGJOBS, "job", namespace)
    join = with_metrics if manager == INTAKE_FIELD_MANAGER else with_metrics_of
    body = {
        "metadata": {"name": "job", "namespace": namespace, "resourceVersion": now["metadata"]["resourceVersion"]},
        "status": join(now.get("status") or {}, part),
    }
    answer = await client.replace_status(TRAININGJOBS, "job", body, namespace, field_manager=manager)
    stored: Json = answer["status"]
    return stored


def test_a_write_to_the_job_leaves_the_status_alone(api: Api, path: str) -> None:
    api.merge(f"{path}/status", {"status": {"phase": "Running"}})
    answer = api.merge(path, {"spec": {"reporting": {"intervalSeconds": 9}}, "status": {"phase": "Failed"}})
    assert answer["status"] == {"phase": "Running"}
    assert answer["metadata"]["generation"] == 2


def test_a_write_to_the_status_leaves_the_job_alone(api: Api, path: str) -> None:
    before = api.get(path)
    answer = api.merge(f"{path}/status", {"spec": {"image": "evil"}, "status": {"phase": "Running"}})
    assert answer["spec"] == before["spec"]
    assert answer["metadata"]["generation"] == 1


def test_a_new_job_has_no_status_whatever_it_says(api: Api, jobs: str) -> None:
    assert "status" not in api.create(jobs, job({"program": {}}) | {"status": {"phase": "Succeeded"}})


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"phase": "Sleeping"}, "status.phase"),
        ({"conditions": [CONDITION, CONDITION]}, "status.conditions[1]"),
        ({"conditions": [{**CONDITION, "status": True}]}, "status.conditions[0].status"),
        ({"training": {"percent": "62%"}}, "status.training.percent"),
    ],
)
def test_a_status_of_another_shape_is_refused(api: Api, path: str, status: Json, field: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        api.merge(f"{path}/status", {"status": status})
    assert field in refusal.value.fields


async def test_two_writers_keep_their_own_fields(client: KubeClient, api: Api, namespace: str, path: str) -> None:
    await write(client, namespace, FIELD_MANAGER, OURS)
    both = await write(client, namespace, INTAKE_FIELD_MANAGER, THEIRS)
    assert both == {
        **OURS,
        **THEIRS,
        "display": {"members": "1/2", "node": "n (+1)", "progress": "10%", "loss": "0.5"},
    }
    assert TrainingJobStatus.model_validate(both).model_dump(mode="json", by_alias=True, exclude_none=True) == both

    # Each one's next write takes back what it leaves out, and nothing of the other's.
    after = await write(client, namespace, FIELD_MANAGER, {"phase": "Failed", "display": {"members": "0/2"}})
    assert after == {"phase": "Failed", **THEIRS, "display": {"members": "0/2", "progress": "10%", "loss": "0.5"}}
    after = await write(client, namespace, INTAKE_FIELD_MANAGER, {"display": {"loss": "0.4"}})
    assert after == {"phase": "Failed", "display": {"members": "0/2", "loss": "0.4"}}


async def test_that_somebody_wrote_the_status_is_one_entry_however_much_is_in_it(
    client: KubeClient, api: Api, namespace: str, path: str
) -> None:
    for manager, part in ((FIELD_MANAGER, OURS), (INTAKE_FIELD_MANAGER, THEIRS)):
        await write(client, namespace, manager, part)
        entries = [
            e["fieldsV1"] for e in api.get(path)["metadata"]["managedFields"] if e.get("subresource") == "status"
        ]
        assert entries == [{"f:status": {}}]


class TestWhatTheIntakeWrites:
    """The fragment that the flusher writes, by the operator's own client, as an API server stores and shows it."""

    AT = 1_767_225_600.0  # startTime of OURS

    async def run(self, client: KubeClient, namespace: str, path: str, reports: int, **reporting: Any) -> Json:
        """Let the reconciler take up a job, and its chief report each five seconds; return the status."""
        status = await write(client, namespace, FIELD_MANAGER, OURS)
        for number in range(reports):
            at = self.AT + 30 + 5 * number
            shown = fragment(self.report(number), at, status, Reporting(**reporting))
            status = await write(client, namespace, INTAKE_FIELD_MANAGER, shown)
        return status

    @staticmethod
    def report(number: int, **kwargs: Any) -> Report:
        training = Training(
            step=100 * number,
            total_steps=1000,
            epoch=1 + number,
            total_epochs=10,
            eta_seconds=41.2,
            examples_per_second=9123.4,
            metrics={"loss": 1 / (number + 1), "accuracy": number / 10, "lr": 0.1},
        )
        fields: Json = {"incarnation": 1, "generation": 1, "sequence": number, "state": "Running"} | kwargs
        return Report("chief-0", training=training, telemetry=Telemetry(cpu_cores=1.5, members=MEMBERS), **fields)

    async def test_it_is_stored_as_it_was_written(self, client: KubeClient, namespace: str, path: str) -> None:
        status = await self.run(client, namespace, path, 8, history=5)
        training = status["training"]
        assert (training["percent"], training["etaSeconds"]) == (70, 41.2)
        assert training["best"] == {"loss": {"value": 0.125, "step": 700}, "accuracy": {"value": 0.7, "step": 700}}
        assert len(training["history"]) == 5
        assert training["history"][0] == {
            "time": "2026-01-01T00:00:30Z", "generation": 1, "step": 0, "epoch": 1, "examplesPerSecond": 9123.4,
            "metrics": {"loss": 1, "accuracy": 0, "lr": 0.1},
        }  # fmt: skip
        assert training["history"][-1]["step"] == 700
        assert status["goodput"] == {"startingSeconds": 30, "productiveSeconds": 35, "ratio": 0.538}
        assert status["telemetry"]["members"][0]["gpus"] == [{"utilizationPercent": 50}, {}]
        assert status["members"] == OURS["members"], "the reconciler's part stays"

    async def test_a_shorter_history_takes_the_points_back(
        self, client: KubeClient, namespace: str, path: str
    ) -> None:
        status = await self.run(client, namespace, path, 6, history=6)
        shorter = fragment(self.report(6), self.AT + 60, status, Reporting(history=0))
        status = await write(client, namespace, INTAKE_FIELD_MANAGER, shorter)
        assert "history" not in status["training"]

    async def test_kubectl_shows_it(self, server: ApiServer, client: KubeClient, namespace: str, path: str) -> None:
        await self.run(client, namespace, path, 7)
        header, row = server.kubectl("-n", namespace, "get", "tj").splitlines()
        assert " ".join(header.split()) == "NAME PHASE MEMBERS PROGRESS EPOCH LOSS METRIC SPEED ETA RESTARTS AGE"
        assert " ".join(row.split()[:-1]) == "job Running 1/2 60% 7/10 0.143 accuracy=0.6 9.1k ex/s 42s 1"
        header, row = server.kubectl("-n", namespace, "get", "tj", "-o", "wide").splitlines()
        assert header.split()[-5:] == ["REASON", "NODE", "GENERATION", "GOODPUT", "AGE"]
        assert " ".join(row.split()[-5:-1]) == "n (+1) 1 50%"

    async def test_the_largest_status_there_can_be_is_stored(
        self, client: KubeClient, api: Api, namespace: str, path: str
    ) -> None:
        """etcd takes 1.5 MiB for an object."""
        metrics = {f"{'m' * 53}_acc_{number:04}": -0.000123456 for number in range(64)}
        long = Training(step=2**52, epoch=2**52, examples_per_second=1.23456e14, metrics=metrics)
        status = await write(client, namespace, FIELD_MANAGER, OURS)
        gpus = tuple(GpuUsage(99.9, 123456789012.0, 123456789012.0) for _ in range(16))
        most = Telemetry(
            1.0, 1e12, 512, 99.9, 1e12, tuple(MemberUsage(f"worker-{n}", 1.1, 1e11, 1e11, gpus) for n in range(32))
        )
        for number in range(500):
            report = Report(
                "chief-0", 1, 1, number, "Running", training=replace(long, step=2**52 + number), telemetry=most
            )
            one = fragment(
                report, self.AT + number, status, Reporting(history=500), NOTHING.plus(report, self.AT + number)
            )
            status = {**status, **one}
        stored = await write(client, namespace, INTAKE_FIELD_MANAGER, one)
        assert len(stored["training"]["history"]) == 500
        assert len(stored["training"]["best"]) == 64
        size = len(orjson.dumps(api.get(path)))
        assert 250_000 < size < 350_000, size


async def test_a_status_that_was_written_since_is_not_overwritten(
    client: KubeClient, api: Api, namespace: str, path: str
) -> None:
    seen = api.get(path)["metadata"]
    await write(client, namespace, FIELD_MANAGER, OURS)
    body = {"metadata": {"name": "job", "resourceVersion": seen["resourceVersion"]}, "status": THEIRS}
    with pytest.raises(ApiError) as error:
        await client.replace_status(TRAININGJOBS, "job", body, namespace, field_manager=INTAKE_FIELD_MANAGER)
    assert error.value.conflict
    assert api.get(path)["status"] == OURS


async def test_who_writes_the_status_touches_nothing_else(
    client: KubeClient, api: Api, namespace: str, jobs: str
) -> None:
    """Also not who owns the fields of the spec, which the body does not name."""
    url = f"{jobs}/job"
    mine = {
        "apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob",
        "metadata": {"name": "job", "labels": {"team": "a"}}, "spec": {"workers": {"replicas": 1}, "program": {}},
    }  # fmt: skip
    api.request("PATCH", url, mine, content_type="application/apply-patch+yaml", fieldManager="kubectl")
    before = api.get(url)
    await write(client, namespace, FIELD_MANAGER, OURS)
    after = api.get(url)
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    owned = {entry["manager"]: entry for entry in after["metadata"]["managedFields"]}
    assert owned["kubectl"]["fieldsV1"] == before["metadata"]["managedFields"][0]["fieldsV1"]
    assert set(owned[FIELD_MANAGER]["fieldsV1"]) == {"f:status"}
    assert owned[FIELD_MANAGER]["subresource"] == "status"


async def test_of_a_job_that_restarted_and_rests_each_writer_keeps_its_own(
    client: KubeClient, namespace: str, path: str
) -> None:
    failure: Json = {"member": "worker-0", "reason": "OOMKilled", "exitCode": 137, "generation": 3}
    ours = {
        **OURS,
        "restarts": {"total": 3, "counted": 2, "free": 1},
        "resumedFrom": {"step": 500, "checkpoint": "/c", "generation": 4},
        "failure": {**failure, "pod": "job-worker-0", "node": "n", "lastLogLines": ["a"]},
        "members": {"desired": 2, "items": [{"name": "worker-0", "incarnation": 2, "failures": 1}]},
    }
    theirs = {
        **THEIRS,
        "training": {**THEIRS["training"], "state": "Restarting", "resumedStep": 500},
        "gang": {
            "ledger": {
                "generation": 4, "counted": 1, "step": 512, "started": True, "fruitless": 0,
                "last": {"reason": "TrainerKilled", "signal": 9, "step": 500},
            },
            "failure": {**failure, "time": "2026-01-01T00:00:05Z"},
            "unreachable": [{"name": "worker-0", "since": "2026-01-01T00:00:05Z"}],
            "chiefLost": {"incarnation": 1, "member": "worker-0", "since": "2026-01-01T00:00:05Z"},
            "stalledSeconds": 12.5,
        },
    }  # fmt: skip
    await write(client, namespace, FIELD_MANAGER, ours)
    both = await write(client, namespace, INTAKE_FIELD_MANAGER, theirs)
    assert both == {**ours, **theirs, "display": {**ours["display"], **theirs["display"]}}
    assert TrainingJobStatus.model_validate(both).model_dump(mode="json", by_alias=True, exclude_none=True) == both

    resting = {name: value for name, value in ours.items() if name != "startTime"}
    resting |= {"phase": "Suspended", "activeSeconds": 60.5}
    after = await write(client, namespace, FIELD_MANAGER, resting)
    assert after == {**resting, **theirs, "display": {**ours["display"], **theirs["display"]}}


async def test_the_same_write_again_changes_nothing(client: KubeClient, api: Api, namespace: str, path: str) -> None:
    await write(client, namespace, FIELD_MANAGER, OURS)
    before = api.get(path)["metadata"]["resourceVersion"]
    await write(client, namespace, FIELD_MANAGER, OURS)
    assert api.get(path)["metadata"]["resourceVersion"] == before


async def test_a_job_is_deleted_only_as_it_was_seen(
    client: KubeClient, api: Api, namespace: str, jobs: str, path: str
) -> None:
    """Its ttl may have been raised since."""
    seen = api.get(path)["metadata"]
    api.merge(path, {"spec": {"runPolicy": {"ttlSecondsAfterFinished": 1000}}})
    wanted = {"uid": seen["uid"], "resource_version": seen["resourceVersion"]}
    assert not await client.delete(TRAININGJOBS, "job", namespace, **wanted)
    wanted["resource_version"] = api.get(path)["metadata"]["resourceVersion"]
    assert await client.delete(TRAININGJOBS, "job", namespace, **wanted)
    assert api.get(jobs)["items"] == []


def test_kubectl_waits_for_a_condition(server: ApiServer, api: Api, namespace: str, path: str) -> None:
    succeeded = {**CONDITION, "type": "Succeeded", "reason": "ChiefSucceeded"}
    api.merge(f"{path}/status", {"status": {"conditions": [succeeded]}})
    server.kubectl("-n", namespace, "wait", "--for=condition=Succeeded", "--timeout=5s", "tj/job")
