"""`kubectl trainingjob` against a real API server: real processes, a kubeconfig, a status that the operator's writers own."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.api import Api, Json
from tests.apiserver.plugin import PATIENCE, Piped, environment, run, screen
from tests.apiserver.server import ApiServer, free_port, running
from tests.apiserver.test_specs import job
from tests.apiserver.wire import wire_to
from tests.unit.client.jobs import RUNNING
from trainingjob_client.cluster import jobs as client_jobs
from trainingjob_client.cluster.connection import connect
from trainingjob_client.cluster.jobs import Jobs
from trainingjob_client.cluster.options import ClusterOptions
from trainingjob_client.cluster.watching import Following, changes
from trainingjob_client.tensorboard.pod import build_pod
from trainingjob_operator.api.names import FIELD_MANAGER

ALTERNATE, NORMAL, CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
Write = Callable[..., None]


@pytest.fixture
def kubeconfig(server: ApiServer, namespace: str, tmp_path: Path) -> Path:
    """A person's kubeconfig: the administrator's, with the test's namespace."""
    return rewritten(
        server, tmp_path / "kubeconfig", ("context: {cluster", f"context: {{namespace: {namespace}, cluster")
    )


def rewritten(server: ApiServer, path: Path, *changes: tuple[str, str]) -> Path:
    """Write a kubeconfig with something else in it."""
    name = "trainingjob-apiserver-test"
    text = (
        f"apiVersion: v1\nkind: Config\ncurrent-context: {name}\n"
        f"contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n"
        f"clusters: [{{name: {name}, cluster: {{server: {server.url!r}, certificate-authority: {server.folder}/pki/ca.crt}}}}]\n"
        f"users: [{{name: {name}, user: {{token: {server.token}}}}}]\n"
    )
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture
def write(api: Api, jobs: str) -> Write:
    """Write a job's status as the operator does, as a whole."""

    def replace(name: str, **fields: Any) -> None:
        now = api.get(f"{jobs}/{name}")
        body = {**now, "status": {**RUNNING["status"], **fields}}
        api.request("PUT", f"{jobs}/{name}/status", body, fieldManager=FIELD_MANAGER)

    return replace


@pytest.fixture
def digits(api: Api, jobs: str, write: Write) -> str:
    """A job in the middle of its training."""
    api.create(jobs, job({"program": {}}, "digits"))
    write("digits")
    return "digits"


def columns(table: str) -> list[dict[str, str]]:
    """Read a table: one mapping of header to cell a row."""
    header, *lines = table.splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    return [{header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)} for line in lines]


# --- list ---


@pytest.mark.parametrize("wide", [(), ("-o", "wide")], ids=["plain", "wide"])
def test_the_table_is_kubectls(
    server: ApiServer, api: Api, jobs: str, namespace: str, kubeconfig: Path, digits: str, wide: tuple[str, ...]
) -> None:
    api.create(jobs, job({"program": {}}, "another"))
    ours = run(kubeconfig, "list", *wide)
    assert ours.returncode == 0, ours.stderr
    kubectls = columns(server.kubectl("-n", namespace, "get", "tj", *wide))
    for row in (found := columns(ours.stdout)) + kubectls:
        row.pop("AGE")
    # With -o wide it shows what columns of an API can't: see trainingjob_client.
    for row, theirs in zip(found, kubectls, strict=True):
        assert {name: value for name, value in row.items() if name in theirs} == theirs
        assert (list(row) == list(theirs)) != bool(wide)


def test_all_namespaces_and_selectors(api: Api, jobs: str, namespace: str, kubeconfig: Path, digits: str) -> None:
    api.create(jobs, job({"program": {}}, "labelled") | {"metadata": {"name": "labelled", "labels": {"team": "a"}}})
    assert run(kubeconfig, "list", "-l", "team=a", "-o", "name").stdout == "trainingjobs.trainingjob.dev/labelled\n"
    everywhere = columns(run(kubeconfig, "list", "-A").stdout)
    assert {row["NAME"] for row in everywhere if row["NAMESPACE"] == namespace} == {"digits", "labelled"}
    assert run(kubeconfig, "list", "-n", "nowhere").stderr == "No TrainingJobs in namespace nowhere.\n"


def test_json_is_the_whole_object(api: Api, jobs: str, kubeconfig: Path, digits: str) -> None:
    (found,) = json.loads(run(kubeconfig, "list", "-o", "json").stdout)["items"]
    assert found == api.get(f"{jobs}/digits")
    assert json.loads(run(kubeconfig, "show", "digits", "-o", "json").stdout) == found


def test_long_lists_come_in_pages(
    api: Api, jobs: str, namespace: str, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_jobs, "PAGE", 2)
    for number in range(5):
        api.create(jobs, job({"program": {}}, f"job-{number}"))
    found, version = Jobs(connect(ClusterOptions(kubeconfig=str(kubeconfig)))).find()
    assert [each["metadata"]["name"] for each in found] == [f"job-{number}" for number in range(5)]
    assert int(version) > 0


@pytest.mark.parametrize("command", ["list", "show digits"])
def test_who_reads_no_further_is_no_error(kubeconfig: Path, digits: str, command: str) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m trainingjob_client {command} | true"],
        env=environment(kubeconfig),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- show and plot ---


def test_show_in_a_pipe_is_plain_text(api: Api, namespace: str, jobs: str, kubeconfig: Path, digits: str) -> None:
    uid = api.get(f"{jobs}/digits")["metadata"]["uid"]
    api.create(
        f"/api/v1/namespaces/{namespace}/events",
        {
            "metadata": {"name": "digits.1"}, "reason": "PodsCreated", "message": "created the chief and 1 worker",
            "type": "Normal", "lastTimestamp": "2026-11-22T12:00:11Z", "count": 1,
            "involvedObject": {
                "apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "name": "digits", "uid": uid,
                "namespace": namespace,
            },
        },
    )  # fmt: skip
    done = run(kubeconfig, "show", "digits")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith(f"digits   namespace {namespace}   Running   2/2 members   1 restart")
    for text in ("epoch 2/3   step 40/60", "at step 30", "gpu-2", "PodsCreated   created the chief", "40 steps", "⠤"):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_members_are_the_jobs_own_pods(api: Api, jobs: str, namespace: str, kubeconfig: Path, digits: str) -> None:
    uid = api.get(f"{jobs}/digits")["metadata"]["uid"]
    for owner, node in ((uid, "mine"), ("11111111-2222-3333-4444-555555555555", "other")):
        api.create(f"/api/v1/namespaces/{namespace}/pods", member_pod(f"digits-worker-0-{node}", owner, node))
    text = run(kubeconfig, "show", "digits").stdout
    assert "digits-worker-0-mine" in text
    assert "digits-worker-0-other" not in text


def member_pod(name: str, owner: str, node: str) -> Json:
    return {
        "metadata": {
            "name": name,
            "labels": {
                "trainingjob.dev/job": "digits", "trainingjob.dev/role": "worker", "trainingjob.dev/index": "0",
                "trainingjob.dev/incarnation": "3",
            },
            "ownerReferences": [
                {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "name": "digits", "uid": owner}
            ],
        },
        "spec": {"nodeName": node, "containers": [{"name": "trainer", "image": "i"}]},
    }  # fmt: skip


def test_show_on_a_terminal_has_colours_unless_told_not_to(kubeconfig: Path, digits: str) -> None:
    with screen(kubeconfig, "show", "digits") as coloured:
        assert coloured.end() == 0
        assert "\x1b[36mRunning" in coloured.text
    with screen(kubeconfig, "show", "digits", NO_COLOR="1") as plain:
        assert plain.end() == 0
        assert "\x1b[3" not in plain.text
        assert "Running" in plain.text


def test_plot_writes_a_picture(kubeconfig: Path, digits: str, tmp_path: Path) -> None:
    done = run(kubeconfig, "plot", "digits", "-o", str(tmp_path / "a.png"), "--metric", "loss")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    refused = run(kubeconfig, "plot", "digits", "-o", str(tmp_path / "b.png"), "--metric", "lass")
    assert (refused.returncode, "has no metric lass; it has: loss, val_loss, f1" in refused.stderr) == (1, True)
    assert not (tmp_path / "b.png").exists()


# --- watch ---


def test_watch_in_a_pipe_is_a_line_for_each_change_until_the_end(kubeconfig: Path, digits: str, write: Write) -> None:
    display = RUNNING["status"]["display"]
    with Piped(kubeconfig, "watch", "digits") as piped:
        assert piped.line().split()[:3] == ["NAME", "PHASE", "MEMBERS"]
        assert "66%" in piped.line()
        write("digits", goodput={"ratio": 0.5})  # nothing that the line shows
        write("digits", display=display | {"progress": "80%"})
        assert "80%" in piped.line()
        # two writers: the phase is there before the last numbers
        training = RUNNING["status"]["training"] | {"final": True}
        write("digits", phase="Succeeded", display=display | {"progress": "100%"}, training=training)
        rest = list(iter(piped.line, ""))
        assert "Succeeded" in rest[-1]
        assert "100%" in rest[-1]
        assert piped.end() == 0


@pytest.mark.parametrize("phase", ["Failed", "Invalid"])
def test_watch_tells_a_job_that_did_not_succeed_by_its_exit_code(
    kubeconfig: Path, digits: str, write: Write, phase: str
) -> None:
    write("digits", phase=phase)
    assert run(kubeconfig, "watch", "digits").returncode == 1


def test_watch_ends_when_the_job_is_deleted(
    api: Api, jobs: str, namespace: str, kubeconfig: Path, digits: str
) -> None:
    with Piped(kubeconfig, "watch", "digits") as piped:
        piped.line(), piped.line()
        api.request("DELETE", f"{jobs}/digits")
        assert piped.end() == 1
        assert piped.line(error=True) == f"{namespace}/digits was deleted"


def test_watch_of_all_sees_new_jobs(api: Api, jobs: str, kubeconfig: Path, digits: str) -> None:
    with Piped(kubeconfig, "watch") as piped:
        piped.line(), piped.line()
        api.create(jobs, job({"program": {}}, "newcomer"))
        assert piped.line().split()[0] == "newcomer"
        piped.process.send_signal(signal.SIGINT)
        assert piped.end() == 130
        assert piped.line(error=True) == ""


def test_watch_on_a_terminal_is_redrawn_and_gives_the_terminal_back(
    kubeconfig: Path, digits: str, write: Write
) -> None:
    display = RUNNING["status"]["display"]
    with screen(kubeconfig, "watch", "digits") as live:
        assert ALTERNATE in live.until("66%")
        write("digits", display=display | {"progress": "81%"})
        live.until("81%")
        write("digits", phase="Succeeded", display=display | {"progress": "100%"})
        assert live.end() == 0
        after = live.text.partition(NORMAL)[2]
        assert "Succeeded" in after
        assert "Conditions" in after
        assert CURSOR in live.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watch_that_is_interrupted_gives_the_terminal_back(kubeconfig: Path, digits: str, number: int) -> None:
    with screen(kubeconfig, "watch", "digits") as live:
        live.until("66%")
        live.interrupt(number)
        assert live.end() == 130
        assert live.text.count(ALTERNATE) == live.text.count(NORMAL) == 1
        assert CURSOR in live.text.partition(ALTERNATE)[2]
        assert "Traceback" not in live.text
        assert termios.tcgetattr(live.near) == live.before


def test_a_watch_goes_on_when_the_way_to_the_cluster_breaks(
    server: ApiServer, kubeconfig: Path, digits: str, write: Write
) -> None:
    display = RUNNING["status"]["display"]
    with wire_to(server.port) as wire:
        text = kubeconfig.read_text()
        kubeconfig.write_text(text.replace(f":{server.port}", f":{wire.port}"))
        with Piped(kubeconfig, "watch", "digits") as piped:
            piped.line(), piped.line()
            wire.cut()
            assert piped.line(error=True).endswith("(trying again)")
            write("digits", display=display | {"progress": "70%"})
            wire.mend()
            assert "70%" in piped.line()
            write("digits", phase="Succeeded")
            assert "Succeeded" in [*iter(piped.line, "")][-1]
            assert piped.end() == 0


class Forgetful(Jobs):
    """Lists with a version that the API server has forgotten long ago, the first time."""

    lists = 0

    def find(self, **options: Any) -> tuple[list[Json], str]:
        found, version = super().find(**options)
        self.lists += 1
        return found, "1" if self.lists == 1 else version


def test_a_version_that_the_server_forgot_is_listed_anew(
    api: Api, jobs: str, kubeconfig: Path, digits: str, write: Write
) -> None:
    forgetful = Forgetful(connect(ClusterOptions(kubeconfig=str(kubeconfig))))
    seen = changes(Following(forgetful, "digits"), pause=lambda _: None)
    first = next(seen)
    assert first.job is not None
    write("digits", phase="Succeeded")
    later = itertools.islice((change for change in seen if change.job is not None), 20)
    assert any(change.job["status"]["phase"] == "Succeeded" for change in later if change.job)
    assert forgetful.lists == 2


def test_a_job_that_went_while_the_version_was_forgotten_is_told(
    api: Api, jobs: str, kubeconfig: Path, digits: str
) -> None:
    forgetful = Forgetful(connect(ClusterOptions(kubeconfig=str(kubeconfig))))
    seen = changes(Following(forgetful), pause=lambda _: None)
    assert not next(seen).gone
    api.request("DELETE", f"{jobs}/digits")
    assert next(seen).gone


# --- What goes wrong ---


def refused(kubeconfig: Path, *arguments: str, code: int = 3) -> str:
    """Run a command that is refused; return its sentence."""
    done = run(kubeconfig, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("command", ["show", "watch", "logs", "tensorboard"])
def test_a_job_that_is_not_there_has_near_names(
    kubeconfig: Path, digits: str, namespace: str, command: str, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    monkeypatch.setenv("PATH", f"{server.kubectl_path.parent}{os.pathsep}{os.environ['PATH']}")
    says = f"trainingjob {command}: there is no TrainingJob 'digit' in namespace {namespace}; did you mean digits?"
    assert refused(kubeconfig, command, "digit") == says


@pytest.mark.parametrize("command", [("list",), ("show", "digits"), ("watch",), ("watch", "digits")], ids="-".join)
def test_who_may_not_look_is_told_which_role_to_ask_for(
    kubeconfig: Path, digits: str, command: tuple[str, ...]
) -> None:
    says = refused(kubeconfig, *command, "--as", "nobody")
    assert "you may not " in says
    assert 'User "nobody" cannot' in says
    assert "Ask for the cluster role `view`" in says


def test_a_cluster_without_the_crd_is_told_how_to_get_it(tmp_path: Path) -> None:
    with running() as bare:
        for command in (("list",), ("show", "digits"), ("watch",)):
            assert "knows no TrainingJobs: install the operator's chart" in refused(bare.kubeconfig, *command)


def test_no_cluster_no_credentials_no_trust(server: ApiServer, tmp_path: Path, kubeconfig: Path) -> None:
    gone = rewritten(server, tmp_path / "gone", (f":{server.port}", f":{free_port()}"))
    assert "can't be reached" in refused(gone, "list")
    wrong = rewritten(server, tmp_path / "wrong", (server.token, "x" * 32))
    assert "does not accept your credentials (401)" in refused(wrong, "list")
    authority = f", certificate-authority: {server.folder}/pki/ca.crt"
    distrusted = rewritten(server, tmp_path / "distrusted", (authority, ""))
    assert "is not signed by the authority" in refused(distrusted, "list")
    with wire_to(server.port) as wire:
        wire.cut()
        broken = rewritten(server, tmp_path / "broken", (f":{server.port}", f":{wire.port}"))
        assert "broke the connection" in refused(broken, "list")


def test_a_token_is_never_printed(server: ApiServer, kubeconfig: Path, digits: str) -> None:
    for command in (
        ("list",),
        ("show", "digits"),
        ("show", "digit"),
        ("list", "--as", "nobody"),
        ("list", "-o", "json"),
    ):
        done = run(kubeconfig, *command)
        assert server.token not in done.stdout + done.stderr


def test_a_log_that_no_kubelet_gives_is_one_sentence(
    api: Api, jobs: str, namespace: str, kubeconfig: Path, digits: str
) -> None:
    assert "digits has no pod of chief-0" in refused(kubeconfig, "logs", "digits", code=1)
    uid = api.get(f"{jobs}/digits")["metadata"]["uid"]
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.create(pods, member_pod("digits-worker-0-3", uid, "nowhere"))
    assert "has no log yet: worker-0 is Pending" in refused(
        kubeconfig, "logs", "digits", "--member", "worker-0", code=1
    )
    started = {
        "name": "trainer",
        "image": "i",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {}},
    }
    api.merge(f"{pods}/digits-worker-0-3/status", {"status": {"phase": "Running", "containerStatuses": [started]}})
    assert "can't read logs of pods" in refused(kubeconfig, "logs", "digits", "--member", "worker-0")


# --- tensorboard and Tab ---


def test_the_pod_of_tensorboard_passes_the_restricted_standard(
    api: Api, jobs: str, namespace: str, kubeconfig: Path
) -> None:
    api.merge(
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )
    claim = {"persistentVolumeClaim": {"claimName": "checkpoints"}}
    spec = {"program": {}, "image": "own:1", "checkpoint": {"volume": claim}, "reporting": {"tensorboard": True}}
    made = build_pod(api.create(jobs, job(spec, "digits")), None)
    stored = api.create(f"/api/v1/namespaces/{namespace}/pods", made, dryRun="All")
    assert stored["metadata"]["name"].startswith("digits-tensorboard-")


def test_tensorboard_without_kubectl_says_so(kubeconfig: Path, digits: str) -> None:
    done = run(kubeconfig, "tensorboard", "digits", PATH="/nowhere")
    assert (done.returncode, "there is no kubectl in PATH" in done.stderr) == (1, True)


def test_tab_completes_names_of_jobs(kubeconfig: Path, digits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainingjob_client.completion import complete

    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert complete(["show", "di"]) == (["digits"], 4)
    assert complete(["show", "-n", "nowhere", ""]) == ([], 4)
