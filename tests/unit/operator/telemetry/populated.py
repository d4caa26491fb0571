"""A replica's telemetry in which everything has happened once: every family has samples."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from trainingjob_operator.telemetry.exposition import Exposition
from trainingjob_operator.telemetry.state import Sources, Watch
from trainingjob_operator.telemetry.telemetry import Telemetry

Json = dict[str, Any]
REPORTED = "2026-01-02T03:04:05Z"


class Queue:
    """A queue as a scrape sees it."""

    working, delayed = 2, 5

    def __len__(self) -> int:
        return 3

    def oldest_wait(self) -> float:
        return 1.5


def running(name: str = "mnist", namespace: str = "ml", *, members: int = 3, gpus: int = 1, **status: Any) -> Json:
    """A running job that says everything that a job can say of itself."""
    one = {"cpuCores": 1.25, "memoryBytes": 2_000_000_000, "memoryLimitBytes": 4_000_000_000}
    gpu = {"utilizationPercent": 87.5, "memoryBytes": 8_000_000_000, "memoryTotalBytes": 16_000_000_000}
    names = ["chief-0", *(f"worker-{n}" for n in range(members - 1))]
    said: Json = {
        "phase": "Running",
        "members": {"desired": members, "ready": members},
        "restarts": {"total": 3, "counted": 2, "free": 1},
        "failure": {"member": "worker-0", "reason": "TrainerKilled", "generation": 3},
        "gang": {"size": members, "stalledSeconds": 61.0},
        "training": {
            "generation": 2, "epoch": 6, "totalEpochs": 10, "step": 620, "totalSteps": 1000, "percent": 62.0,
            "etaSeconds": 41.0, "examplesPerSecond": 9100.5, "lastReportTime": REPORTED,
            "metrics": {"loss": 0.0481, "accuracy": 0.985, "val_loss": 0.06, "val_accuracy": 0.97},
            "best": {"loss": {"value": 0.04, "step": 600}, "val_accuracy": {"value": 0.98, "step": 580}},
        },
        "telemetry": {"members": [{"name": name_, **one, "gpus": [gpu] * gpus} for name_ in names]},
        "goodput": {
            "productiveSeconds": 93.0, "startingSeconds": 5.0, "restartingSeconds": 2.0, "stalledSeconds": 0.0,
            "ratio": 0.93,
        },
    }  # fmt: skip
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}"}
    metadata["creationTimestamp"] = "2026-01-02T03:00:00Z"
    return {"metadata": metadata, "status": said | status}


def sources(jobs: Iterable[Json] = (), *, leading: bool = True) -> Sources:
    """The state of a replica with these jobs. `jobs` is looked at anew with each scrape."""
    return Sources(
        version="1.2.3",
        leading=lambda: leading,
        ready=lambda: True,
        queue=Queue(),
        watches=lambda: (Watch("trainingjobs", 12.0, 1, 7), Watch("pods", 3.5, 1, 21)),
        unwritten=lambda: 4,
        certificates=lambda: {
            "serving": datetime(2026, 1, 9, tzinfo=UTC),
            "authority": datetime(2036, 1, 1, tzinfo=UTC),
        },
        jobs=lambda: jobs,
    )


def exposition(jobs: Iterable[Json] = (), *, leading: bool = True, limit: int = 2000) -> Exposition:
    """A replica that has done a little of everything."""
    telemetry = Telemetry()
    counters = telemetry.counters
    counters.reconcile("done", 0.02)
    counters.request("apply", "trainingjobs", 200, 0.01)
    counters.request("watch", "pods", 200, 60.0)
    counters.report(204)
    counters.status_write("written", 0.4)
    counters.event("posted")
    counters.failure("TrainerKilled")
    return telemetry.expose(sources(jobs, leading=leading), limit)


async def complete() -> str:
    """The text of a scrape in which every family has samples."""
    finished = running("done", phase="Succeeded", completionTime="2026-01-02T04:00:00Z")
    return b"".join(await exposition([running(), finished]).chunks()).decode()
