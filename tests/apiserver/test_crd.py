"""The CRD as an API server and kubectl see it."""

import pytest

from tests.apiserver.api import Api, Json
from tests.apiserver.conftest import conditions
from tests.apiserver.server import ApiServer
from trainingjob_operator.api.crd import render_yaml

JOB = """
apiVersion: trainingjob.dev/v1alpha1
kind: TrainingJob
metadata: {name: mnist-cnn}
spec:
  workers: {replicas: 2}
  program: {command: [python, main.py]}
"""
STATUS: Json = {
    "phase": "Failed",
    "display": {
        "members": "3/3", "progress": "62%", "epoch": "6/10", "loss": "0.0481", "metric": "accuracy=0.985",
        "speed": "9.1k ex/s", "eta": "41s", "reason": "OOMKilled", "node": "gpu-1 (+2)", "goodput": "93%",
    },
    "restarts": {"total": 0},
    "training": {"generation": 1},
    "failure": {"reason": "OOMKilled", "exitCode": 137},
}  # fmt: skip


def test_it_is_accepted_and_structural(server: ApiServer) -> None:
    found = conditions(server.api)
    assert found["Established"].startswith("True")
    assert found["NamesAccepted"].startswith("True")
    assert set(found) == {"Established", "NamesAccepted"}, "NonStructuralSchema, Terminating, ... are complaints"


def test_kubectl_takes_the_yaml_that_we_print(server: ApiServer) -> None:
    """Nothing in it is unknown to kubectl or changed by the server: applying it again changes nothing."""
    text = render_yaml()
    server.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=text)
    assert server.kubectl("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=text) == ""


def test_its_names_work_in_kubectl(server: ApiServer, namespace: str) -> None:
    server.kubectl("-n", namespace, "apply", "-f", "-", stdin=JOB)
    for name in ("tj", "trainingjob", "trainingjobs", "trainingjobs.trainingjob.dev", "all"):
        assert "mnist-cnn" in server.kubectl("-n", namespace, "get", name), name


@pytest.mark.parametrize(
    ("field", "sentences"),
    [
        ("", ["A TensorFlow training on pods that live and die as one: a chief, and workers beside it."]),
        (
            ".spec.nodePool",
            [
                "Where the members run, by a named profile of the installation, inline, or both: accelerators, node "
                "selection, tolerations, priority, spread. Fields given here win over the profile's; selectors are "
                "merged, and tolerations are added.",
                "accelerator <Object> What each member asks for. Without it the job trains on CPU.",
                "name <string> A profile that the platform team keeps in the Helm values under nodePools.",
                "nodeSelector <map[string]string> Labels that a node must have.",
                "tolerations <[]Object> Taints that the members tolerate. Accelerator pools are usually tainted with",
            ],
        ),
        (
            ".spec.program",
            [
                "The user's own training program. Exactly one of program and training. Every member runs it, with "
                "TF_CONFIG set when there are workers.",
                "command <[]string> The program, without a shell. Default: python main.py, when the source has a "
                "main.py. $(VAR) is replaced.",
                "source <Object> The program's files, when they are not in the image. They go into the working "
                "directory.",
            ],
        ),
        (
            ".status.training",
            [
                "How far the training is, as the chief reported it last.",
                "percent <number> Progress, 0 to 100.",
                "examplesPerSecond <number> Training examples a second, over the whole gang.",
            ],
        ),
        (
            ".spec.resources.limits",
            ["What each member can't exceed. TensorFlow's thread counts follow the CPU limit."],
        ),
        (".spec.imagePullPolicy", ["ENUM: Always IfNotPresent Never", "When the image is pulled."]),
    ],
)
def test_explain_reads_as_documentation(server: ApiServer, field: str, sentences: list[str]) -> None:
    text = " ".join(server.kubectl("explain", f"tj{field}").split())
    for sentence in sentences:
        assert sentence in text, text


def test_get_shows_the_training(server: ApiServer, api: Api, namespace: str, jobs: str) -> None:
    server.kubectl("-n", namespace, "apply", "-f", "-", stdin=JOB)
    api.merge(f"{jobs}/mnist-cnn/status", {"status": STATUS})
    header, row = server.kubectl("-n", namespace, "get", "tj").splitlines()
    assert " ".join(header.split()) == "NAME PHASE MEMBERS PROGRESS EPOCH LOSS METRIC SPEED ETA RESTARTS AGE"
    assert " ".join(row.split()[:-1]) == "mnist-cnn Failed 3/3 62% 6/10 0.0481 accuracy=0.985 9.1k ex/s 41s 0"
    header, row = server.kubectl("-n", namespace, "get", "tj", "-o", "wide").splitlines()
    assert header.split()[-6:] == ["RESTARTS", "REASON", "NODE", "GENERATION", "GOODPUT", "AGE"]
    assert " ".join(row.split()[-7:-1]) == "0 OOMKilled gpu-1 (+2) 1 93%"


def test_jobs_are_selected_by_phase_on_the_server(server: ApiServer, api: Api, namespace: str, jobs: str) -> None:
    server.kubectl("-n", namespace, "apply", "-f", "-", stdin=JOB)
    api.merge(f"{jobs}/mnist-cnn/status", {"status": {"phase": "Running"}})
    assert len(api.request("GET", jobs, fieldSelector="status.phase=Running")["items"]) == 1
    assert api.request("GET", jobs, fieldSelector="status.phase=Failed")["items"] == []
