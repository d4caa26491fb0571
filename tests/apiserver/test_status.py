"""The status subresource, and the two writers that share a job's status."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.apiserver.api import Api, Json, RefusedError
from tests.apiserver.server import ApiServer
from tests.apiserver.test_specs import job
from trainingjob_operator.api.names import FIELD_MANAGER, INTAKE_FIELD_MANAGER
from trainingjob_operator.api.status import TrainingJobStatus
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
    "display": {"members": "1/2"},
}
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


async def apply(client: KubeClient, namespace: str, manager: str, status: Json, **options: Any) -> Json:
    """Write a status by server-side apply and return the one that is stored."""
    answer = await client.apply(
        TRAININGJOBS, "job", {"status": status}, namespace, field_manager=manager, subresource="status", **options
    )
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
    await apply(client, namespace, FIELD_MANAGER, OURS)
    both = await apply(client, namespace, INTAKE_FIELD_MANAGER, THEIRS)
    assert both == {**OURS, **THEIRS, "display": {"members": "1/2", "progress": "10%", "loss": "0.5"}}
    assert TrainingJobStatus.model_validate(both).model_dump(mode="json", by_alias=True, exclude_none=True) == both

    # Each one's next write takes back what it leaves out, and nothing of the other's.
    after = await apply(client, namespace, FIELD_MANAGER, {"phase": "Failed", "display": {"members": "0/2"}})
    assert after == {"phase": "Failed", **THEIRS, "display": {"members": "0/2", "progress": "10%", "loss": "0.5"}}
    after = await apply(client, namespace, INTAKE_FIELD_MANAGER, {"display": {"loss": "0.4"}})
    assert after == {"phase": "Failed", "display": {"members": "0/2", "loss": "0.4"}}

    managers = {entry["manager"]: entry for entry in api.get(path)["metadata"]["managedFields"]}
    assert {FIELD_MANAGER, INTAKE_FIELD_MANAGER} <= managers.keys()
    assert managers[FIELD_MANAGER]["subresource"] == "status"


async def test_a_writer_without_force_does_not_take_the_others_fields(
    client: KubeClient, namespace: str, path: str
) -> None:
    await apply(client, namespace, FIELD_MANAGER, OURS)
    with pytest.raises(ApiError) as error:
        await apply(client, namespace, INTAKE_FIELD_MANAGER, {"phase": "Succeeded"}, force=False)
    assert error.value.conflict
    assert FIELD_MANAGER in error.value.message


async def test_the_same_write_again_changes_nothing(client: KubeClient, api: Api, namespace: str, path: str) -> None:
    await apply(client, namespace, FIELD_MANAGER, OURS)
    before = api.get(path)["metadata"]["resourceVersion"]
    await apply(client, namespace, FIELD_MANAGER, OURS)
    assert api.get(path)["metadata"]["resourceVersion"] == before


async def test_conditions_are_told_apart_by_type(client: KubeClient, namespace: str, path: str) -> None:
    await apply(client, namespace, FIELD_MANAGER, OURS)
    other = {**CONDITION, "type": "Suspended"}
    stored = await apply(client, namespace, "somebody-else", {"conditions": [other]})
    assert {condition["type"] for condition in stored["conditions"]} == {"Valid", "Suspended"}


def test_kubectl_waits_for_a_condition(server: ApiServer, api: Api, namespace: str, path: str) -> None:
    succeeded = {**CONDITION, "type": "Succeeded", "reason": "ChiefSucceeded"}
    api.merge(f"{path}/status", {"status": {"conditions": [succeeded]}})
    server.kubectl("-n", namespace, "wait", "--for=condition=Succeeded", "--timeout=5s", "tj/job")
