"""The pod that shows a job's event files."""

from typing import Any

import pytest

from tests.unit.client.jobs import Json, pod, running
from trainingjob_client.errors import ClientError
from trainingjob_client.tensorboard.pod import build_pod

CLAIM = {"persistentVolumeClaim": {"claimName": "checkpoints"}}


def job(**spec: Any) -> Json:
    body = running()
    body["spec"] |= {"checkpoint": {"volume": CLAIM}, "reporting": {"tensorboard": True}, "image": "own:1"} | spec
    return body


def chief(phase: str = "Running", **mounts: Any) -> Json:
    """The chief's pod, as the operator makes it."""
    found = pod("chief-0", phase=phase, node="gpu-1")
    found["spec"] |= {
        "containers": [
            {
                "name": "trainer", "image": "trainer:1", "imagePullPolicy": "Never",
                "env": [{"name": "TRAININGJOB_KEY", "value": "secret"}],
                "volumeMounts": [
                    {"name": "checkpoints", "mountPath": "/checkpoints", "subPath": "a"},
                    {"name": "report-token", "mountPath": "/var/run/trainingjob/token"},
                ],
            }
        ],
        "volumes": [{"name": "checkpoints", **CLAIM}, {"name": "report-token", "projected": {}}],
        "securityContext": {"runAsUser": 1234},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }  # fmt: skip
    return found


def events(body: Json) -> tuple[Json, Json]:
    """Return the volume with the event files and its mount."""
    volume = next(v for v in body["spec"]["volumes"] if v["name"] == "events")
    mount = next(m for m in body["spec"]["containers"][0]["volumeMounts"] if m["name"] == "events")
    return volume, mount


def command(body: Json) -> str:
    return " ".join(body["spec"]["containers"][0]["command"])


def test_it_sees_the_checkpoints_read_only_with_the_chiefs_image() -> None:
    made = build_pod(job(), chief())
    volume, mount = events(made)
    assert volume == {"name": "events", **CLAIM}
    assert mount == {"name": "events", "mountPath": "/checkpoints", "readOnly": True, "subPath": "a"}
    assert made["spec"]["containers"][0]["image"] == "trainer:1"
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Never"
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert "--logdir /checkpoints/tensorboard --host 127.0.0.1 --port 6006" in command(made)


def test_it_goes_with_the_job_and_at_its_deadline_and_is_no_member() -> None:
    made = build_pod(job(), chief())
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("TrainingJob", "digits", "u-1")
    assert "controller" not in owner
    assert not any(label.startswith("trainingjob.dev/") for label in made["metadata"]["labels"])
    assert made["spec"]["activeDeadlineSeconds"] == 8 * 3600


def test_it_may_do_nothing_but_read() -> None:
    spec = build_pod(job(), chief())["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 1234
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    context = spec["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip


def test_nothing_secret_of_the_chief_is_taken_over() -> None:
    made = build_pod(job(), chief())
    assert "secret" not in str(made)
    assert "report-token" not in str(made)


def test_beside_a_running_chief_it_is_on_its_node_which_may_be_tainted() -> None:
    spec = build_pod(job(), chief())["spec"]
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_afterwards_it_may_be_anywhere(phase: str) -> None:
    assert "affinity" not in build_pod(job(), chief(phase))["spec"]


def test_files_of_a_node_are_on_that_node_for_ever() -> None:
    ended = chief("Succeeded")
    ended["spec"]["volumes"][0] = {"name": "checkpoints", "hostPath": {"path": "/data"}}
    assert "affinity" in build_pod(job(), ended)["spec"]


def test_without_a_chief_the_spec_says_it_all() -> None:
    made = build_pod(job(imagePullSecrets=["registry"]), None)
    volume, mount = events(made)
    assert volume == {"name": "events", **CLAIM}
    assert mount["mountPath"] == "/checkpoints"
    assert made["spec"]["containers"][0]["image"] == "own:1"
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_a_checkpoint_path_is_on_one_of_the_jobs_volumes() -> None:
    volumes = [
        {"mountPath": "/data", "nfs": {"server": "a", "path": "/"}},
        {"mountPath": "/data/runs", **CLAIM, "subPath": "x"},
    ]
    made = build_pod(job(checkpoint={"path": "/data/runs/digits/"}, volumes=volumes), None)
    volume, mount = events(made)
    assert volume == {"name": "events", **CLAIM}
    assert mount == {"name": "events", "mountPath": "/data/runs", "readOnly": True, "subPath": "x"}
    assert "--logdir /data/runs/digits/tensorboard" in command(made)


def test_another_folder_and_another_image() -> None:
    volumes = [{"mountPath": "/data", **CLAIM}]
    made = build_pod(job(volumes=volumes, reporting={}), None, image="tb:2", logdir="/data/logs")
    assert "--logdir /data/logs" in command(made)
    assert made["spec"]["containers"][0]["image"] == "tb:2"


@pytest.mark.parametrize(
    ("spec", "arguments", "says"),
    [
        ({"reporting": {}}, {}, "set spec.reporting.tensorboard"),
        ({"checkpoint": None}, {}, "set spec.reporting.tensorboard"),
        ({"image": None}, {}, "name one that has TensorBoard with --image"),
        ({}, {"logdir": "/other"}, "/other is on none of the job's volumes; they are at: /checkpoints"),
        ({}, {"logdir": "/checkpoints/../etc"}, "is on none of the job's volumes"),
        ({}, {"logdir": "gs://bucket"}, "must be a folder on one of the job's volumes"),
        ({"checkpoint": {"volume": {"emptyDir": {}}}}, {}, "keep checkpoints on a persistentVolumeClaim"),
    ],
)
def test_what_can_not_be_shown_is_said(spec: Json, arguments: Json, says: str) -> None:
    with pytest.raises(ClientError, match=says):
        build_pod(job(**spec), None, **arguments)
