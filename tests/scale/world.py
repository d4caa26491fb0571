"""What happened to jobs and pods, and when, as somebody sees it who watches the API server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trainingjob_operator.api import names

Json = dict[str, Any]


@dataclass
class PodTimes:
    """Moments of one pod by the monotonic clock; None while they have not come."""

    name: str
    job: str
    role: str
    uid: str
    created: float
    running: float | None = None
    ended: float | None = None
    #: When it was seen to be asked to go, and when it was gone.
    asked: float | None = None
    gone: float | None = None


@dataclass
class JobTimes:
    """Moments of one job. `applied` is when the API server's answer to its create was there."""

    name: str
    namespace: str
    uid: str
    applied: float
    phases: dict[str, float] = field(default_factory=dict)
    pods: dict[str, PodTimes] = field(default_factory=dict)

    def all_pods(self, count: int, moment: str) -> float | None:
        """Return when the last of `count` pods was `created`, `running`, `ended`, `asked` or `gone`; None if one is not."""
        found = [getattr(pod, moment) for pod in self.pods.values()]
        known = [value for value in found if value is not None]
        return max(known) if len(known) == len(found) == count else None


class World:
    """All jobs and pods of a run."""

    def __init__(self, members: int) -> None:
        self.members = members
        self.jobs: dict[str, JobTimes] = {}
        self.pods: dict[str, PodTimes] = {}
        #: Called with a job whose pods all run now.
        self.on_gang: Callable[[JobTimes], None] = lambda _job: None
        #: Called with a job that ends.
        self.on_end: Callable[[JobTimes], None] = lambda _job: None
        #: One pod as it was created, for whoever makes the same.
        self.samples: dict[str, Json] = {}
        self._news = asyncio.Event()

    def applied(self, now: float, body: Json) -> None:
        """Take the answer to the create of a job."""
        metadata = body["metadata"]
        job = self.jobs.setdefault(
            metadata["uid"], JobTimes(metadata["name"], metadata["namespace"], metadata["uid"], now)
        )
        job.applied = now
        self._news.set()

    def saw_job(self, now: float, kind: str, body: Json) -> None:
        """Take an event of the jobs' watch; the job may be seen before its create is answered."""
        metadata = body["metadata"]
        uid, phase = metadata["uid"], (body.get("status") or {}).get("phase")
        job = self.jobs.setdefault(uid, JobTimes(metadata["name"], metadata["namespace"], uid, now))
        if phase and phase not in job.phases:
            job.phases[phase] = now
            if phase in ("Succeeded", "Failed"):
                self.on_end(job)
            self._news.set()

    def saw_pod(self, now: float, kind: str, body: Json) -> None:
        """Take an event of the pods' watch."""
        metadata = body["metadata"]
        uid = metadata["uid"]
        pod = self.pods.get(uid)
        if pod is None:
            labels = metadata.get("labels") or {}
            owner = next((o["uid"] for o in metadata.get("ownerReferences", ())), "")
            pod = PodTimes(metadata["name"], owner, labels.get(names.LABEL_ROLE, ""), uid, now)
            self.pods[uid] = pod
            self.samples.setdefault(pod.name, body)
            if owner:
                job = self.jobs.setdefault(
                    owner, JobTimes(labels.get(names.LABEL_JOB, ""), metadata["namespace"], owner, now)
                )
                job.pods[uid] = pod
        leaves = kind == "DELETED" or "deletionTimestamp" in metadata
        if leaves and pod.asked is None:
            pod.asked = now
        if kind == "DELETED" and pod.gone is None:
            pod.gone = now
        phase = (body.get("status") or {}).get("phase")
        if phase == "Running" and pod.running is None:
            pod.running = now
            job_of = self.jobs.get(pod.job)
            if job_of is not None and job_of.all_pods(self.members, "running") is not None:
                self.on_gang(job_of)
        elif phase in ("Succeeded", "Failed") and pod.ended is None:
            pod.running = pod.running or now
            pod.ended = now
        self._news.set()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of what was seen; False when it does not in time."""

        async def loop() -> None:
            while not holds():
                self._news.clear()
                await self._news.wait()
                await asyncio.sleep(0.01)  # the question may be about thousands of jobs

        try:
            await asyncio.wait_for(loop(), seconds)
        except TimeoutError:
            return False
        return True
