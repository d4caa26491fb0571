"""The intake, asked from inside the cluster by somebody who must not be heard; and secrets stay secret."""

import json
import time
from typing import Any

import pytest

from tests.e2e.installation import Installation
from tests.e2e.kube import Json
from tests.e2e.programs import STEADY, job
from tests.e2e.world import World

#: Posts a report to the intake and prints HTTP status and answer. Arguments: URL, CA, token, chief's incarnation.
POST = """\
import json, ssl, sys, urllib.error, urllib.request
url, ca, token, incarnation = sys.argv[1:]
report = {"version": 1, "member": "chief-0", "incarnation": int(incarnation), "generation": 1, "sequence": 999999,
          "state": "Running", "final": False, "training": {"step": 1, "metrics": {"forged": 1.0}}}
headers = {"Authorization": "Bearer " + token} if token else {}
request = urllib.request.Request(url, json.dumps(report).encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cadata=ca)) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
#: Knocks at the chief's rendezvous: garbage, then a member's handshake without the job's key. Prints what comes back.
KNOCK = """\
import json, socket, sys
for line in (b"x" * 100_000 + b"\\n", b"GET / HTTP/1.1\\r\\n\\r\\n",
             json.dumps({"member": "worker-0", "nonce": "0" * 64, "proof": "0" * 64}).encode() + b"\\n"):
    with socket.create_connection((sys.argv[1], 7070), timeout=10) as sock:
        challenge = json.loads(sock.makefile("rb").readline())
        try:
            sock.sendall(line)
            print(sorted(challenge), len(sock.recv(1000)))
        except ConnectionError:
            print(sorted(challenge), 0)
"""
READ = "import sys; print(open(sys.argv[1]).read())"
TOKENS = "/var/run/tokens"


def container_env(pod: Json) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in pod["spec"]["containers"][0]["env"]}


def stranger(name: str, image: str, audience: str, **metadata: Any) -> Json:
    """Return a pod that waits, with tokens of the right audience, a wrong one, and the API server's own."""
    sources = [
        {"serviceAccountToken": {"audience": audience, "path": "right"}},
        {"serviceAccountToken": {"audience": "trainingjob.dev/jobs/another", "path": "wrong"}},
        {"serviceAccountToken": {"path": "api"}},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["python3", "-c", "import signal; signal.pause()"],
                    "volumeMounts": [{"name": "tokens", "mountPath": TOKENS}],
                }
            ],
            "volumes": [{"name": "tokens", "projected": {"sources": sources}}],
        },
    }


@pytest.fixture
def busy(world: World) -> Json:
    """A job that trains; its chief's pod."""
    world.apply(job("victim", STEADY, workers=1), job("neighbour", STEADY))
    world.until_reported("victim")
    world.until_reported("neighbour")
    return world.pods.objects["victim-chief-0"]


def test_only_the_jobs_own_chief_is_heard(world: World, busy: Json, operator: Installation) -> None:
    env = container_env(busy)
    url, ca = env["TRAININGJOB_REPORT_URL"], env["TRAININGJOB_REPORT_CA"]
    uid = world.job("victim")["metadata"]["uid"]
    audience, image = f"trainingjob.dev/jobs/{uid}", operator.trainer_image()
    owner = {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "name": "victim", "uid": uid}
    #: in a worker's position: owned by the job, with a worker's labels, of a number that the gang does not have
    labels = {"trainingjob.dev/job": "victim", "trainingjob.dev/role": "worker", "trainingjob.dev/index": "7"}
    world.apply(
        stranger("foreign", image, audience),
        stranger("worker", image, audience, labels=labels, ownerReferences=[owner]),
    )
    for name in ("foreign", "worker"):
        world.until_pod(name, lambda pod: pod["status"]["phase"] == "Running", "runs")

    def post(pod: str, token: str, to: str = url) -> tuple[int, str]:
        code, _, answer = world.python(pod, POST, to, ca, token, "1").partition(" ")
        return int(code), answer

    def token(pod: str, path: str) -> str:
        return world.python(pod, READ, path).strip()

    right, wrong, api = (token("foreign", f"{TOKENS}/{name}") for name in ("right", "wrong", "api"))
    neighbours = token("neighbour-chief-0", "/var/run/trainingjob/token/token")
    before = world.status("victim")["training"]

    code, answer = post("foreign", "")
    assert (code, "Bearer" in answer) == (401, True)
    code, answer = post("foreign", "not.a.token")
    assert code == 401
    head, _, signature = right.rpartition(".")
    code, answer = post("foreign", f"{head}.{signature[:-6]}AAAAAA")
    assert (code, "signature" in answer) == (401, True)
    code, answer = post("foreign", wrong)
    assert (code, "audience" in answer) == (401, True)
    code, answer = post("foreign", api)
    assert (code, "audience" in answer) == (401, True)
    code, answer = post("neighbour-chief-0", neighbours)
    assert (code, "audience" in answer) == (401, True)
    code, answer = post("foreign", right)  # not of the job, so the operator does not even know the pod
    assert (code, "foreign" in answer) == (403, True)
    code, answer = post("worker", token("worker", f"{TOKENS}/right"))
    assert (code, "worker" in answer) == (403, True)  # it may say that it has lost its chief, and nothing else
    code, answer = post("foreign", right, url.replace(world.namespace, "default"))
    assert (code, "namespace" in answer) == (403, True)
    code, answer = post("foreign", right, url.replace("/victim/", "/nobody/"))
    assert code == 404

    # the true chief goes on being heard, and nothing that was forged is in the status
    world.until(
        "victim",
        lambda s: s["training"]["sequence"] > before["sequence"] and s["training"]["step"] > before["step"],
        "the next true report",
    )
    assert all(
        "forged" not in (seen.body.get("status") or {}).get("training", {}).get("metrics", {})
        for seen in world.jobs.of("victim")
    )
    # the same report with the chief's own token is taken: what was refused above was refused for its sender
    assert post("victim-chief-0", token("victim-chief-0", "/var/run/trainingjob/token/token")) == (204, "")


def test_the_gang_does_not_open_to_strangers(world: World, busy: Json) -> None:
    before = world.status("victim")["training"]["step"]
    answers = world.python("neighbour-chief-0", KNOCK, f"victim-chief.{world.namespace}").splitlines()
    assert answers == ["['nonce', 'trainingjob'] 0"] * 3, "a challenge for everybody, and no word more"
    world.until("victim", lambda s: s["training"]["step"] > before + 10, "training that goes on")
    assert world.status("victim")["training"]["generation"] == 1
    world.go("victim-chief-0", "victim-worker-0")
    world.until_phase("victim", "Succeeded")


def test_no_secret_is_told(world: World, busy: Json, operator: Installation) -> None:
    env = container_env(busy)
    tokens = [
        world.python(pod, READ, "/var/run/trainingjob/token/token").strip()
        for pod in ("victim-chief-0", "neighbour-chief-0")
    ]
    secret = operator.kube.get("-n", "trainingjob-system", "secret", "trainingjob-operator-intake")["data"]
    assert set(secret) == {"ca.crt", "ca.key", "gang.key"}
    secrets = [env["TRAININGJOB_KEY"], *tokens, secret["ca.key"], secret["gang.key"]]
    assert all(len(text) > 40 for text in secrets)
    pods = ["victim-chief-0", "victim-worker-0", "neighbour-chief-0"]
    world.go(*pods)
    for name in ("victim", "neighbour"):
        world.until_phase(name, "Succeeded")
    told = {
        "operator's log": operator.logs(),
        "events": json.dumps(world.events("victim") + world.events("neighbour")),
        "jobs": json.dumps(world.kube.get("-n", world.namespace, "tj")),
        **{f"log of {pod}": world.kubectl("logs", pod) for pod in pods},
        **{f"termination message of {pod}": json.dumps(world.pods.objects[pod]["status"]) for pod in pods},
    }
    for place, text in told.items():
        assert text, place
        for value in secrets:
            assert value not in text, f"a secret is in the {place}"


def test_a_program_does_not_get_the_gangs_key(world: World) -> None:
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    started = time.monotonic()
    world.apply(job("curious", program, workers=1))
    world.until_phase("curious", "Succeeded")
    assert time.monotonic() - started < 90
    for pod in ("curious-chief-0", "curious-worker-0"):
        key = container_env(world.pods.objects[pod])["TRAININGJOB_KEY"]
        line = next(line for line in world.kubectl("logs", pod).splitlines() if line.startswith("{"))
        seen = json.loads(line)
        assert json.loads(seen["TF_CONFIG"])["task"]["type"] == pod.split("-")[1]
        assert key not in line
        assert "TRAININGJOB_KEY" not in seen
