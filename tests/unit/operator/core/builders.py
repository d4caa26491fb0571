"""Jobs, pods and installations for tests, with only what a test is about spelled out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import Failure, Report, Training
from trainingjob_operator.api.v1alpha1 import NodePool
from trainingjob_operator.core.launcher_source import LauncherArchive
from trainingjob_operator.core.observe import JobFact, PodFact, observe_job, observe_pod
from trainingjob_operator.core.platform import Platform

T0 = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def platform(**changes: Any) -> Platform:
    values: dict[str, Any] = {
        "cpu_image": "trainer:cpu",
        "gpu_image": "trainer:gpu",
        "pull_policy": "IfNotPresent",
        "intake_url": "https://intake.system.svc",
        "intake_ca": "CA",
        "job_key": lambda uid: f"key-of-{uid}",
        "node_pools": {},
        "launcher": LauncherArchive(b"PK"),
    }
    return Platform(**(values | changes))


def profile(**fields: Any) -> NodePool:
    return NodePool.model_validate(fields)


def job_body(workers: int = 2, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "metadata": {"name": "mnist", "namespace": "ml", "uid": UID, "generation": 1, "resourceVersion": "1"},
        "spec": {"workers": {"replicas": workers}, "program": {"command": ["python", "train.py"]}} | spec,
    }
    if status is not None:
        body["status"] = status
    return body


def job(workers: int = 2, status: dict[str, Any] | None = None, **spec: Any) -> JobFact:
    return observe_job(job_body(workers, status, **spec))


def pod_body(role: str = "worker", index: int = 0, incarnation: int = 1, **status: Any) -> dict[str, Any]:
    name = names.pod_name("mnist", role, index, incarnation)
    return {
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": f"uid-{name}",
            "labels": {
                names.LABEL_ROLE: role,
                names.LABEL_INDEX: str(index),
                names.LABEL_INCARNATION: str(incarnation),
            },
            "ownerReferences": [
                {"apiVersion": names.API_VERSION, "kind": names.KIND, "uid": UID, "controller": True}
            ],
        },
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running"} | status,
    }


def running(role: str = "worker", index: int = 0, incarnation: int = 1, since: float = 1) -> PodFact:
    return observe_pod(pod_body(role, index, incarnation, **trainer(running={"startedAt": stamp(since)})))


def pending(role: str = "worker", index: int = 0, incarnation: int = 1, **status: Any) -> PodFact:
    return observe_pod(pod_body(role, index, incarnation, phase="Pending", **status))


def ended(
    role: str = "worker",
    index: int = 0,
    code: int = 0,
    when: float = 30,
    message: str = "",
    reason: str = "",
    incarnation: int = 1,
    **status: Any,
) -> PodFact:
    state = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "finishedAt": stamp(when),
        "message": message,
    }
    phase = "Succeeded" if code == 0 else "Failed"
    return observe_pod(pod_body(role, index, incarnation, **(trainer(terminated=state) | {"phase": phase} | status)))


def deleting(pod: PodFact) -> PodFact:
    from dataclasses import replace

    return replace(pod, deleting=True)


def trainer(**state: Any) -> dict[str, Any]:
    """A pod status in which the trainer's container is not the first of the list."""
    return {
        "containerStatuses": [
            {"name": "sidecar", "state": {"running": {}}},
            {"name": names.CONTAINER, "state": state},
        ]
    }


def final_report(state: str = "Succeeded", failure: Failure | None = None, sequence: int = 9) -> str:
    report = Report(
        member="chief-0",
        incarnation=1,
        generation=1,
        sequence=sequence,
        state=state,
        final=True,
        training=Training(step=100, total_steps=100, metrics={"loss": 0.1, "accuracy": 0.97}),
        failure=failure,
    )
    return report.encode(4096).decode()


def forbidden(message: str) -> tuple[int, str, str]:
    return 403, "Forbidden", message
