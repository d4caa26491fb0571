"""The operator as a process beside the test's API server, and a kubelet that the test plays by hand."""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.apiserver.api import JOBS, Api, Json, RefusedError
from tests.apiserver.server import ApiServer, free_port
from trainingjob_operator.api.contract import Failure, Report, Training

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "operator-system"  # not the chart's, whose rights another module tests
SECRET = "trainingjob-operator-intake"
LEASE = "trainingjob-operator"
PATIENCE = 30.0
#: Measurements run the operator with what its image holds: the client's packages would be read in too.
OPERATOR_PYTHON = os.environ.get("TRAININGJOB_TEST_OPERATOR_PYTHON", sys.executable)


class Replica:
    """One replica of the operator. `kill` ends it as a lost node would, `stop` as a rollout does."""

    def __init__(
        self, server: ApiServer, name: str, log: Path, *, kubeconfig: Path | None = None, **settings: str
    ) -> None:
        self.intake_port, self.metrics_port, health = free_port(), free_port(), free_port()
        self.log = log
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer_image'}",
            "KUBECONFIG": str(kubeconfig or server.kubeconfig),
            "TRAININGJOB_OPERATOR_NAMESPACE": SYSTEM,
            "TRAININGJOB_OPERATOR_POD_NAME": name,
            "TRAININGJOB_OPERATOR_TRAINER_IMAGE_CPU": "trainer:cpu",
            "TRAININGJOB_OPERATOR_INTAKE_SERVICE": "trainingjob-operator-intake",
            "TRAININGJOB_OPERATOR_INTAKE_SECRET": SECRET,
            "TRAININGJOB_OPERATOR_LEASE": LEASE,
            "TRAININGJOB_OPERATOR_INTAKE_PORT": str(self.intake_port),
            "TRAININGJOB_OPERATOR_HEALTH_PORT": str(health),
            "TRAININGJOB_OPERATOR_METRICS_PORT": str(self.metrics_port),
            **{f"TRAININGJOB_OPERATOR_{key.upper()}": value for key, value in settings.items()},
        }
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [OPERATOR_PYTHON, "-m", "trainingjob_operator", "run"],
            env=env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait_ready(self) -> None:
        """Wait until the intake says that the caches are filled."""
        wait(self._ready, "the replica is ready", self.text)

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"the operator ended:\n{self.text()}"
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.intake_port, timeout=2, context=context)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """End it kindly; return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self._log.close()
        return self.process.returncode

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self._log.close()


@contextlib.contextmanager
def replica(server: ApiServer, name: str = "replica-a", **settings: Any) -> Iterator[Replica]:
    """Run one replica for the time of the block."""
    one = Replica(server, name, server.folder / f"{name}-{time.monotonic_ns()}.log", **settings)
    try:
        one.wait_ready()
        yield one
    finally:
        if one.process.poll() is None:
            one.stop()


class Shared:
    """One replica that is there while it is wanted."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self._server, self._name = server, name
        self._exit = contextlib.ExitStack()
        self._one: Replica | None = None

    def start(self) -> Replica:
        """Return the replica, a new one if there is none."""
        if self._one is None:
            self._one = self._exit.enter_context(replica(self._server, self._name))
        return self._one

    def stop(self) -> None:
        """End it, if it is there, so that the next one leads at once."""
        self._one = None
        self._exit.close()


def prepare(api: Api) -> None:
    """Make what the chart makes for the operator: its namespace, the empty Secret, the empty Lease."""
    for path, body in (
        ("/api/v1/namespaces", {"metadata": {"name": SYSTEM}}),
        (f"/api/v1/namespaces/{SYSTEM}/secrets", {"metadata": {"name": SECRET}}),
        (f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases", {"metadata": {"name": LEASE}}),
    ):
        try:
            api.create(path, body)
        except RefusedError as error:
            if error.status != 409:
                raise


class Cluster:
    """A namespace as a test sees it: jobs, pods, and the kubelet's part in it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.core = f"/api/v1/namespaces/{namespace}"

    def submit(self, name: str = "mnist", workers: int = 2, **spec: Any) -> Json:
        """Create a job."""
        given = {"workers": {"replicas": workers}, "program": {"command": ["python", "train.py"]}} | spec
        body = {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": name},
            "spec": given,
        }
        return self.api.create(JOBS.format(self.namespace), body)

    def job(self, name: str = "mnist") -> Json:
        """Return a job."""
        return self.api.get(f"{JOBS.format(self.namespace)}/{name}")

    def status(self, name: str = "mnist") -> Json:
        """Return a job's status."""
        return self.job(name).get("status") or {}

    def condition(self, kind: str, name: str = "mnist") -> Json:
        """Return one condition of a job."""
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def pods(self) -> dict[str, Json]:
        """Return the namespace's pods by name."""
        return {pod["metadata"]["name"]: pod for pod in self.api.get(f"{self.core}/pods")["items"]}

    def events(self) -> list[tuple[str, str]]:
        """Return (reason, note) of the events told so far, in the order in which they were told."""
        items = self.api.get(f"{self.core}/events")["items"]
        ordered = sorted(items, key=lambda e: int(e["metadata"]["resourceVersion"]))
        return [(e["reason"], e["message"]) for e in ordered]

    def wait_phase(self, phase: str, name: str = "mnist") -> Json:
        """Wait until a job is in a phase; return its status."""
        wait(
            lambda: self.status(name).get("phase") == phase,
            f"{name} is {phase}",
            lambda: json.dumps(self.status(name)),
        )
        return self.status(name)

    def wait_pods(self, count: int) -> dict[str, Json]:
        """Wait until there are so many pods; return them."""
        wait(lambda: len(self.pods()) == count, f"{count} pods", lambda: str(list(self.pods())))
        return self.pods()

    def live(self) -> list[str]:
        """Return the names of the pods that are not being deleted and have not ended."""
        return sorted(
            name
            for name, pod in self.pods().items()
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")
        )

    def wait_live(self, *names: str) -> None:
        """Wait until these are the pods that live."""
        wait(lambda: self.live() == sorted(names), f"the pods {sorted(names)}", lambda: str(list(self.pods())))

    def change(self, name: str = "mnist", **spec: Any) -> Json:
        """Change fields of a job's spec."""
        return self.api.merge(f"{JOBS.format(self.namespace)}/{name}", {"spec": spec})

    def told(self, reason: str) -> list[str]:
        """Return the notes of the events of this reason."""
        return [note for said, note in self.events() if said == reason]

    # --- The scheduler's part ---

    def bind(self, *names: str) -> None:
        """Give pods a node; all that have none if none is named. Such a pod stays for its grace when it is deleted."""
        for name in names or [n for n, pod in self.pods().items() if not pod["spec"].get("nodeName")]:
            target = {"metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": "node-a"}}
            self.api.create(f"{self.core}/pods/{name}/binding", target)

    # --- The kubelet's part ---

    def bring_up(self) -> None:
        """Let all pods that are pending run, each on a node."""
        self.bind()
        self.run()

    def reap(self) -> None:
        """Let the pods that are being deleted be gone."""
        for name, pod in self.pods().items():
            if "deletionTimestamp" in pod["metadata"]:
                self.api.request("DELETE", f"{self.core}/pods/{name}", {"gracePeriodSeconds": 0})

    def run(self, *names: str) -> None:
        """Let pods run; all that are pending if none is named."""
        for name in names or [n for n, pod in self.pods().items() if pod["status"]["phase"] == "Pending"]:
            self._set(name, "Running", {"running": {"startedAt": now()}}, podIP=address_of(name))

    def end(self, name: str, code: int, message: str = "", reason: str = "", at: str = "") -> None:
        """Let a pod end."""
        ended = {"exitCode": code, "message": message, "reason": reason or ("Completed" if code == 0 else "Error")}
        ended |= {"startedAt": at or now(), "finishedAt": at or now()}
        self._set(name, "Failed" if code else "Succeeded", {"terminated": ended})

    def _set(self, name: str, phase: str, state: Json, **more: Any) -> None:
        container = {"name": "trainer", "image": "x", "imageID": "", "ready": phase == "Running", "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [container | {"state": state}], **more}
        self.api.merge(f"{self.core}/pods/{name}/status", {"status": status})

    def led_to(self, job: str = "mnist") -> list[str]:
        """Return the addresses to which the name of a job's chief leads."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        slices = self.api.get(f"{path}?labelSelector=kubernetes.io/service-name={job}-chief")["items"]
        return [address for one in slices for end in one["endpoints"] or () for address in end["addresses"]]

    def wait_led_to(self, *pods: str) -> None:
        """Wait until the chief's name leads to these pods."""
        wanted = [address_of(pod) for pod in pods]
        wait(lambda: self.led_to() == wanted, f"the chief is found at {wanted}", lambda: str(self.led_to()))

    def report_token(self, pod: str, audience: str) -> str:
        """Return a token like the one that the kubelet puts into a pod."""
        found = self.pods()[pod]["metadata"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": found["uid"]}
        body = {"spec": {"audiences": [audience], "expirationSeconds": 600, "boundObjectRef": bound}}
        answer = self.api.create(f"{self.core}/serviceaccounts/default/token", body)
        return str(answer["status"]["token"])

    def authority(self) -> str:
        """Return the CA that the operator made."""
        secret = self.api.get(f"/api/v1/namespaces/{SYSTEM}/secrets/{SECRET}")
        return b64decode(secret["data"]["ca.crt"]).decode()

    def post(self, operator: Replica, message: Report, job: str = "mnist") -> int:
        """Let the pod that a report is from post it, again when it is asked to; return the HTTP status."""
        suffix = "" if message.incarnation == 1 else f"-{message.incarnation}"
        audience = f"trainingjob.dev/jobs/{self.job(job)['metadata']['uid']}"
        token = self.report_token(f"{job}-{message.member}{suffix}", audience)
        answers: list[int] = []

        def is_answered() -> bool:
            answers.append(self.report(operator.intake_port, token, message.encode(), job)[0])
            return answers[-1] != 503  # this replica has not heard of the job yet

        wait(is_answered, f"{job}'s report is answered", operator.text)
        return answers[-1]

    def report(self, port: int, token: str, report: bytes, job: str = "mnist") -> tuple[int, Json]:
        """Post a report as a launcher does; return (HTTP status, answer)."""
        context = ssl.create_default_context(cadata=self.authority())
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        path = f"/v1/namespaces/{self.namespace}/trainingjobs/{job}/report"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, report, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()


def report(
    sequence: int = 1, state: str = "Running", *, final: bool = False, failure: Failure | None = None
) -> Report:
    """Return a report of the chief of generation 1."""
    training = Training(
        step=sequence, total_steps=100, epoch=1, total_epochs=10, metrics={"loss": 0.5, "accuracy": 0.9}
    )
    return Report("chief-0", 1, 1, sequence, state, final, training, failure)


def address_of(pod: str) -> str:
    """Return the address that a pod gets when it runs: each another one."""
    return "10." + ".".join(str(byte) for byte in zlib.crc32(pod.encode()).to_bytes(4)[1:])


def now() -> str:
    """Return the time as the kubelet writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wait(holds: Callable[[], bool], what: str, explain: Callable[[], str] = lambda: "") -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}\n{explain()}"
        time.sleep(0.05)
