"""The life of a TensorBoard: its pod, the way to it, and its end, whatever ends it.

The way is `kubectl port-forward`: it knows every kind of credentials that the kubeconfig may name, and carries many
connections at a time, which the client library's own sockets would need a proxy of ours for.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from trainingjob_client.cluster.connection import Connection
from trainingjob_client.cluster.logs import Logs
from trainingjob_client.errors import ClientError
from trainingjob_client.tensorboard.pod import CONTAINER, PORT
from trainingjob_client.view.fields import Fields
from trainingjob_client.view.pods import PodView, read_pod

LOOK_SECONDS = 1.0
#: Pulling the image is most of it, and most nodes have it already.
START_SECONDS = 600.0
_READY = re.compile(r"TensorBoard \S+ at http")


def kubectl() -> str:
    """Return the path of kubectl.

    Raises:
        ClientError: there is none.
    """
    found = shutil.which("kubectl")
    if found is None:
        raise ClientError("the way to TensorBoard is `kubectl port-forward`, and there is no kubectl in PATH")
    return found


def local_port(wanted: int | None) -> int:
    """Return a free port of this machine: the wanted one, or 6006 when it is free, or any.

    Raises:
        ClientError: the wanted one is taken.
    """
    for port in (wanted,) if wanted else (PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ClientError(f"port {wanted} of this machine is taken: choose another one with --port, or leave it out")


@contextmanager
def pod_of(connection: Connection, body: dict[str, Any]) -> Iterator[PodView]:
    """Make the pod for the time of the block."""
    namespace = body["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    made = read_pod(connection.ask(f"create pods in namespace {namespace}", "POST", path, body), CONTAINER)
    try:
        yield made
    finally:
        try:
            connection.ask("delete pods", "DELETE", f"{path}/{made.name}", gracePeriodSeconds=1)
        except ClientError as error:
            # the job's deletion or the deadline will take it; a pod that is gone already is what we want
            if "404" not in str(error):
                _say(f"the pod {made.name} is left: {error}")


def wait_ready(connection: Connection, namespace: str, pod: PodView) -> None:
    """Wait until TensorBoard says that it listens.

    Raises:
        ClientError: it ended, or did not start within START_SECONDS; with the reason or the end of its log.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{pod.name}"
    deadline = time.monotonic() + START_SECONDS
    told = ""
    while not pod.started:
        if time.monotonic() > deadline:
            raise ClientError(f"the pod {pod.name} has not started in {START_SECONDS:.0f} s: {told or pod.phase}")
        time.sleep(LOOK_SECONDS)
        body = connection.ask(f"read pods in namespace {namespace}", "GET", path)
        pod = read_pod(body, CONTAINER)
        if pod.phase in ("Failed", "Terminating"):
            break
        waits = _why(body) or pod.reason
        if waits and waits != told:
            told = waits
            _say(f"{pod.name}: {told}")
    last: list[str] = []
    for line in Logs(connection, namespace, CONTAINER).follow(pod):
        if _READY.search(line.text):
            return
        last = [*last[-4:], line.text]
    if any("No module named" in text for text in last):
        raise ClientError(
            "the image has no TensorBoard: name one that has with --image, or install it into the job's"
        )
    raise ClientError(f"TensorBoard ended ({pod.phase} {pod.reason}): " + (" / ".join(last) or "it said nothing"))


def forward(connection: Connection, namespace: str, pod: PodView, port: int) -> None:
    """Keep the way open until the pod ends or Ctrl-C."""
    command = [
        kubectl(), *connection.options.kubectl(), f"--namespace={namespace}", "port-forward", "--address=127.0.0.1",
        f"pod/{pod.name}", f"{port}:{PORT}",
    ]  # fmt: skip
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{pod.name}"
    told = False
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            try:
                if child.stdout and child.stdout.readline().startswith("Forwarding") and not told:
                    told = True
                    print(f"TensorBoard: http://127.0.0.1:{port}/   (Ctrl-C ends it)", flush=True)
                _, said = child.communicate()
            finally:
                child.terminate()
        # It ends when a connection breaks; as long as the pod runs, it is taken up again.
        now = read_pod(connection.ask(f"read pods in namespace {namespace}", "GET", path), CONTAINER)
        if not now.running:
            raise ClientError(f"TensorBoard's pod has ended ({now.phase} {now.reason})".replace(" )", ")"))
        if not told:
            raise ClientError(f"kubectl port-forward failed: {said.strip().splitlines()[-1:] or ['it said nothing']}")
        time.sleep(LOOK_SECONDS)


def _why(body: Any) -> str:
    """Return why a pod is not scheduled."""
    for condition in Fields(body).object("status").objects("conditions"):
        if condition.text("type") == "PodScheduled" and condition.text("status") == "False":
            return condition.text("message")
    return ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
