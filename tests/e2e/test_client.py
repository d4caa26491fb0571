"""`kubectl trainingjob` with real pods: logs, watch and show of a gang that trains, TensorBoard through a port-forward."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.folders import node_folder
from tests.e2e.installation import Installation
from tests.e2e.kube import ROOT
from tests.e2e.notes import note
from tests.e2e.programs import STEADY, by_member, job
from tests.e2e.world import World

#: A gang that says who it is. The chief's word to go is the test's.
TALKING = by_member(
    chief_0="print('chief begins', flush=True)\n" + STEADY,
    worker_0="import os, time\nprint('worker begins', flush=True)\nwhile not os.path.exists('/tmp/go'): time.sleep(0.1)\n",
)


def environment(world: World) -> dict[str, str]:
    """Return the environment of a person who works with this cluster and has the plugin in PATH."""
    folder = Path(world.kube.kubectl_path).parent
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT / "client"),
        "KUBECONFIG": world.kube.kubeconfig,
        "PYTHONUNBUFFERED": "1",
    }


def command(world: World, *arguments: str) -> list[str]:
    return [
        sys.executable, "-m", "trainingjob_client", *arguments,
        "--context", world.kube.context, "-n", world.namespace,
    ]  # fmt: skip


def client(world: World, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(world, *arguments),
        env=environment(world),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def start(world: World, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command that goes on."""
    return subprocess.Popen(
        command(world, *arguments), env=environment(world), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(240, func_only=True)
def test_a_gang_is_followed_from_before_its_pods_to_its_end(world: World) -> None:
    world.apply(job("talk", TALKING, workers=1))
    logs = start(world, "logs", "talk", "-f", "--member", "all")
    watch = start(world, "watch", "talk")
    try:
        world.until_reported("talk")
        shown = client(world, "show", "talk")
        assert (shown.returncode, shown.stderr) == (0, "")
        node = world.pods.objects["talk-chief-0"]["spec"]["nodeName"]
        assert f"chief-0    Running   {node}" in shown.stdout
        assert "worker-0" in shown.stdout
        assert "PodsCreated" in shown.stdout

        one = client(world, "logs", "talk", "--member", "worker-0", "--tail", "50")
        assert "worker begins" in one.stdout
        assert "chief begins" not in one.stdout
        both = client(world, "logs", "talk", "--member", "all").stdout.splitlines()
        assert "chief-0    | chief begins" in both
        assert "worker-0   | worker begins" in both

        world.go("talk-chief-0", "talk-worker-0")
        followed, _ = logs.communicate(timeout=60)
        lines, _ = watch.communicate(timeout=60)
    finally:
        logs.kill()
        watch.kill()
    assert logs.returncode == 0
    assert followed.count("chief begins") == followed.count("worker begins") == followed.count("told to go") == 1
    assert watch.returncode == 0
    assert "Succeeded" in lines.splitlines()[-1]
    assert "0.0625" in lines.splitlines()[-1]


@pytest.mark.timeout(420, func_only=True)
@pytest.mark.parametrize("while_it_trains", [True, False], ids=["training", "finished"])
def test_tensorboard_shows_the_events_of_a_job(world: World, operator: Installation, while_it_trains: bool) -> None:
    with node_folder(world, operator) as folder:
        reporting: dict[str, Any] = {"intervalSeconds": 1, "tensorboard": True}
        world.apply(job("events", STEADY, checkpoint={"volume": folder}, reporting=reporting))
        world.until_reported("events")
        if not while_it_trains:
            world.go("events-chief-0")
            world.until_phase("events", "Succeeded")
        with start(world, "tensorboard", "events") as board:
            try:
                assert board.stdout is not None
                line = board.stdout.readline()
                assert line.startswith("TensorBoard: http://127.0.0.1:"), line + board.communicate(timeout=30)[1]
                url = line.split()[1]
                with urllib.request.urlopen(f"{url}data/plugin/scalars/tags", timeout=60) as answer:
                    runs = json.loads(answer.read())
                note(
                    f"TensorBoard of a {'running' if while_it_trains else 'finished'} job has the runs {sorted(runs)}"
                )
                assert any("loss" in tag for run in runs.values() for tag in run), runs
                board.send_signal(signal.SIGINT)
                assert board.wait(30) == 130
            finally:
                board.kill()
        left = world.kube.get("-n", world.namespace, "pods", "-l", "app.kubernetes.io/component=tensorboard")["items"]
        assert [pod for pod in left if "deletionTimestamp" not in pod["metadata"]] == []
        if while_it_trains:
            world.go("events-chief-0")
            world.until_phase("events", "Succeeded")
