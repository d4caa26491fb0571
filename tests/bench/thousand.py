"""A thousand jobs that report: how many status writes that makes, and what a new job beside them waits.

The operator with its default settings, a real API server, real tokens; the kubelet's part is played by hand. All
of it shares the processors of this machine with the thousand, which a cluster's control plane does not: what a new
job waits here is more than there.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

import aiohttp

from tests.apiserver.api import JOBS
from tests.apiserver.replica import now as stamp
from tests.bench.operator_side import TOKEN_SECONDS, Side, make_namespace, operator_side
from tests.bench.watching import Json, Watch
from trainingjob_operator.api.names import INTAKE_FIELD_MANAGER

ALL_JOBS = "/apis/trainingjob.dev/v1alpha1/trainingjobs"
#: A new job every so many seconds.
PAUSE = 0.5
#: A namespace's reports are limited, and a thousand jobs are not of one team.
NAMESPACES = tuple(f"team-{number}" for number in range(10))
#: Requests at the same time while jobs, pods and tokens are made.
AT_ONCE = 8
QUIET_SECONDS = 3.0


class Bench:
    """The jobs, and what the API server tells of them."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.pods: dict[str, tuple[float, str]] = {}
        self.phases: dict[str, str] = {}
        self.written = 0.0  # when the intake wrote last
        self._reports: dict[str, int] = {}
        self._news = threading.Condition()

    def saw_pod(self, now: float, _kind: str, pod: Json) -> None:
        """Take an event of the pods' watch."""
        with self._news:
            self.pods.setdefault(pod["metadata"]["name"], (now, pod["metadata"]["uid"]))
            self._news.notify()

    def saw_job(self, now: float, _kind: str, job: Json) -> None:
        """Take an event of the jobs' watch."""
        name, status = job["metadata"]["name"], job.get("status") or {}
        sequence = (status.get("training") or {}).get("sequence", 0)
        with self._news:
            self.phases[name] = status.get("phase", "")
            if sequence != self._reports.get(name, 0):
                self._reports[name], self.written = sequence, now
            self._news.notify()

    def until(self, holds: Any, what: str, seconds: float) -> None:
        """Wait until something holds of what was seen."""
        with self._news:
            if not self._news.wait_for(holds, seconds):
                raise TimeoutError(f"{what}: not within {seconds:g} s\n{self.side.operator.text()}")

    def latencies(self, prefix: str, count: int) -> list[float]:
        """Submit jobs one after the other; return the seconds from each to its pod."""
        found = []
        for number in range(count):
            name = f"{prefix}-{number}"
            began = time.monotonic()
            self.side.cluster.submit(name, workers=0)
            self.until(partial(self.pods.__contains__, f"{name}-chief-0"), f"the pod of {name}", 60)
            found.append(self.pods[f"{name}-chief-0"][0] - began)
            time.sleep(max(0.0, began + PAUSE - time.monotonic()))
        return found

    def drain(self) -> float:
        """Wait until the intake has written all that it knows; return the seconds."""
        began = time.monotonic()
        while time.monotonic() - max(began, self.written) < QUIET_SECONDS:
            time.sleep(0.1)
        return max(0.0, self.written - began)


async def _make(side: Side, bench: Bench, count: int) -> list[tuple[str, str]]:
    """Submit `count` jobs and let their pods run; return (URL, token) of each one's reports."""
    context = ssl.create_default_context(cadata=side.server.ca.decode())
    headers = {"Authorization": f"Bearer {side.server.token}"}
    turns = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(
        side.server.url, connector=aiohttp.TCPConnector(ssl=context), headers=headers
    ) as session:

        async def send(method: str, path: str, body: Json, kind: str = "application/json") -> Json:
            async with (
                turns,
                session.request(method, path, data=json.dumps(body), headers={"Content-Type": kind}) as answer,
            ):
                text = await answer.text()
                if answer.status >= 300:
                    raise RuntimeError(f"{method} {path}: {answer.status}: {text}")
                return dict(json.loads(text))

        async def one(number: int) -> tuple[str, str]:
            name, pod, namespace = f"job-{number}", f"job-{number}-chief-0", NAMESPACES[number % len(NAMESPACES)]
            spec = {"workers": {"replicas": 0}, "program": {"command": ["python", "train.py"]}}
            body = {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": name}}
            job = await send("POST", JOBS.format(namespace), {**body, "spec": spec})
            await asyncio.to_thread(bench.until, lambda: pod in bench.pods, f"the pod {pod}", 300)
            container = {"name": "trainer", "image": "x", "imageID": "", "ready": True, "restartCount": 0}
            status = {
                "phase": "Running",
                "containerStatuses": [container | {"state": {"running": {"startedAt": stamp()}}}],
            }
            core = f"/api/v1/namespaces/{namespace}"
            await send("PATCH", f"{core}/pods/{pod}/status", {"status": status}, "application/merge-patch+json")
            bound = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": bench.pods[pod][1]}
            audience = f"trainingjob.dev/jobs/{job['metadata']['uid']}"
            wish = {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound}
            answer = await send("POST", f"{core}/serviceaccounts/default/token", {"spec": wish})
            url = f"https://127.0.0.1:{side.operator.intake_port}{side.report_path(name, namespace)}"
            return url, answer["status"]["token"]

        return list(await asyncio.gather(*(one(number) for number in range(count))))


def writes(side: Side, begin: datetime.datetime, end: datetime.datetime) -> list[int]:
    """Return how many status writes of the intake there were in each second between two moments."""
    seconds = max(1, int((end - begin).total_seconds()))
    counts = [0] * seconds
    for event in side.server.audit():
        written = event["verb"] == "update" and event["responseStatus"]["code"] < 300  # the others were conflicts
        if written and f"fieldManager={INTAKE_FIELD_MANAGER}" in event["requestURI"]:
            at = (datetime.datetime.fromisoformat(event["requestReceivedTimestamp"]) - begin).total_seconds()
            if 0 <= at < seconds:
                counts[int(at)] += 1
    return counts


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"  {text}", file=sys.stderr, flush=True)


class Crowd:
    """The process of crowd.py."""

    def __init__(self, side: Side, jobs: list[tuple[str, str]]) -> None:
        file = side.server.folder / "crowd.json"
        file.write_text(json.dumps({"ca": side.cluster.authority(), "jobs": jobs}))
        command = [sys.executable, "-m", "tests.bench.crowd", str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )

    def report(self, on: bool) -> dict[str, int]:
        """Let it begin or end; return what was answered up to the end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("on" if on else "off", file=self._process.stdin, flush=True)
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(20)


def main(jobs: int, new: int) -> None:
    """Print one JSON object: new jobs' seconds with and without the crowd, writes in each second, answers."""
    with operator_side() as side:
        bench = Bench(side)
        for namespace in NAMESPACES:
            make_namespace(side.server, namespace)
        with (
            Watch(side.server, "/api/v1/pods", bench.saw_pod),
            Watch(side.server, ALL_JOBS, bench.saw_job),
        ):
            crowd = Crowd(side, asyncio.run(_make(side, bench, jobs)))
            try:
                _measure(bench, crowd, jobs, new)
            finally:
                crowd.close()


def _measure(bench: Bench, crowd: Crowd, jobs: int, new: int) -> None:
    bench.until(lambda: list(bench.phases.values()).count("Starting") >= jobs, "all jobs' pods are seen to run", 300)
    say(f"{jobs} jobs are made")
    without = bench.latencies("calm-a", new // 2)
    crowd.report(True)
    began = time.monotonic()
    bench.until(lambda: sum(p == "Running" for p in bench.phases.values()) >= jobs, "all jobs run", 300)
    first = time.monotonic() - began
    say(f"all of them run, {first:.0f} s after their first reports")
    begin = datetime.datetime.now(datetime.UTC)
    with_ = bench.latencies("busy", new)
    end = datetime.datetime.now(datetime.UTC)
    answers = crowd.report(False)
    reported = time.monotonic() - began
    drained = bench.drain()
    say(f"the last is written {drained:.0f} s after the last report")
    without += bench.latencies("calm-b", new - new // 2)
    counts = writes(bench.side, begin, end)
    pairs = list(zip(with_, without, strict=True))
    print(
        json.dumps(
            {
                "pairs": pairs,
                "writes": counts,
                "answers": answers,
                "reported for": reported,
                "all run": first,
                "drain": drained,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
