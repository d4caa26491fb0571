"""Which cluster the commands are about."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.shell import ROOT, ShellError, call


def ask(question: str, home: Path, **environment: str) -> str:
    return call(question, "backend.sh", home=home, environment=environment)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TJ_DOCKER": "no"}, "local trainingjob-local"),
        ({"TJ_DOCKER": "yes", "CLUSTER_BACKEND": "kind"}, "kind kind-trainingjob"),
        ({"TJ_DOCKER": "yes", "CLUSTER_BACKEND": "local"}, "local trainingjob-local"),
        ({"TJ_DOCKER": "yes", "KUBE_CONTEXT": "mine"}, "existing mine"),
    ],
)
def test_backend_and_context(environment: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert ask('echo "$(backend) $(context_name)"', tmp_path, **environment) == expected


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="CLUSTER_BACKEND=minikube: it is kind or local"):
        ask("backend", tmp_path, CLUSTER_BACKEND="minikube")


def test_docker_without_kind_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="'kind' is not on PATH"):
        ask("have() { [ $1 != kind ] && command -v $1 >/dev/null; }\nbackend", tmp_path, TJ_DOCKER="yes")


def test_images_of_this_machine_do_not_reach_a_foreign_cluster(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="set IMAGE_REGISTRY"):
        ask("load_images localhost/x:y", tmp_path, KUBE_CONTEXT="mine")


def test_kubeconfig_of_our_cluster_lies_in_the_state_folder(tmp_path: Path) -> None:
    found = ask("kubeconfig_file", tmp_path, TJ_DOCKER="no")
    assert found == f"{tmp_path}/.local/state/trainingjob/cluster/kubeconfig"


def test_a_cluster_that_is_not_ours_is_not_removed(tmp_path: Path) -> None:
    """Also not ours: whoever names a context has not asked for anything else to go."""
    answer = subprocess.run(
        ["bash", "deploy/cluster.sh", "down"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBE_CONTEXT": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    assert "context 'mine' is not ours to remove: nothing is done" in answer.stderr
    assert "removed" not in answer.stderr
