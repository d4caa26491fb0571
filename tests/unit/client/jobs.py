"""TrainingJobs as the API gives them, for tests of what the commands make of them."""

import copy
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

NOW = datetime(2026, 11, 22, 12, 2, 10, tzinfo=UTC)


def condition(kind: str, status: str, reason: str, message: str = "as it should be") -> Json:
    """Return a condition that has held for 100 s."""
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-22T12:00:30Z", "observedGeneration": 1,
    }  # fmt: skip


def point(step: int | None, generation: int = 1, time: str = "2026-11-22T12:01:00Z", **metrics: Any) -> Json:
    """Return a point of a history."""
    return {"time": time, "generation": generation, "metrics": metrics} | ({} if step is None else {"step": step})


RUNNING: Json = {
    "apiVersion": "trainingjob.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {
        "name": "digits", "namespace": "vision", "uid": "u-1", "creationTimestamp": "2026-11-22T12:00:00Z",
        "resourceVersion": "7",
    },
    "spec": {"workers": {"replicas": 1}, "program": {}, "reporting": {"metric": "f1"}},
    "status": {
        "observedGeneration": 1,
        "phase": "Running",
        "startTime": "2026-11-22T12:00:10Z",
        "conditions": [
            condition("Valid", "True", "SpecAccepted"),
            condition("MembersReady", "True", "MembersRunning"),
        ],
        "members": {
            "desired": 2,
            "ready": 2,
            "items": [
                {"name": "chief-0", "incarnation": 1, "pod": "digits-chief-0", "node": "gpu-1", "phase": "Running"},
                {"name": "worker-0", "incarnation": 2, "pod": "digits-worker-0-2", "node": "gpu-2", "phase": "Running"},
            ],
        },
        "restarts": {"total": 1},
        "training": {
            "generation": 2, "epoch": 2, "totalEpochs": 3, "step": 40, "totalSteps": 60, "percent": 66.7,
            "etaSeconds": 41.2, "examplesPerSecond": 2400.5, "lastReportTime": "2026-11-22T12:02:08Z",
            "metrics": {"loss": 0.25, "f1": 0.9, "val_loss": "NaN"},
            "best": {"loss": {"value": 0.2, "step": 30}},
            "history": [point(10, loss=1.0), point(20, loss=0.5), point(30, loss=0.2), point(40, loss=0.25)],
        },
        "telemetry": {
            "cpuCores": 1.5, "memoryBytes": 1288490188, "gpus": 2, "gpuUtilizationPercent": 71.5,
            "gpuMemoryBytes": 8589934592,
            "members": [
                {
                    "name": "chief-0", "cpuCores": 0.75, "memoryBytes": 644245094, "memoryLimitBytes": 1073741824,
                    "gpus": [
                        {"utilizationPercent": 60, "memoryBytes": 4294967296, "memoryTotalBytes": 85899345920},
                        {"utilizationPercent": 83, "memoryBytes": 4294967296, "memoryTotalBytes": 85899345920},
                    ],
                }
            ],
        },
        "goodput": {
            "productiveSeconds": 90, "startingSeconds": 20, "restartingSeconds": 10, "stalledSeconds": 0, "ratio": 0.75,
        },
        "display": {
            "members": "2/2", "progress": "66%", "epoch": "2/3", "loss": "0.25", "metric": "f1=0.9",
            "speed": "2.4k ex/s", "eta": "41s", "node": "gpu-1 (+1)", "goodput": "75%",
        },
    },
}  # fmt: skip

FAILURE: Json = {
    "member": "worker-0", "pod": "digits-worker-0", "node": "gpu-2", "exitCode": 1, "reason": "TrainerFailed",
    "message": "ValueError: no such file",
    "lastLogLines": ["Traceback (most recent call last):", "ValueError: no such file"],
}  # fmt: skip


def running() -> Json:
    """Return a job in the middle of its training, to change."""
    return copy.deepcopy(RUNNING)


def failed() -> Json:
    """Return the same job after a worker's program has failed."""
    job = running()
    job["status"] |= {"phase": "Failed", "failure": FAILURE, "completionTime": "2026-11-22T12:02:00Z"}
    return job


def pod(member: str, incarnation: int = 1, phase: str = "Running", node: str = "gpu-1", **state: Any) -> Json:
    """Return a pod of that job. `state` is its container's: running={}, waiting={...}, terminated={...}."""
    role, index = member.rsplit("-", 1)
    name = f"digits-{member}" + (f"-{incarnation}" if incarnation > 1 else "")
    return {
        "metadata": {
            "name": name,
            "namespace": "vision",
            "uid": f"uid-{name}",
            "labels": {
                "trainingjob.dev/job": "digits",
                "trainingjob.dev/role": role,
                "trainingjob.dev/index": index,
                "trainingjob.dev/incarnation": str(incarnation),
            },
            "ownerReferences": [{"kind": "TrainingJob", "name": "digits", "uid": "u-1"}],
        },
        "spec": {"nodeName": node},
        "status": {"phase": phase, "containerStatuses": [{"name": "trainer", "state": state or {"running": {}}}]},
    }
