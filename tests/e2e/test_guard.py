"""These tests refuse to run on a cluster that is not theirs, unless it is named."""

import pytest

from tests.e2e.kube import OWN_CONTEXTS, WrongClusterError, find_cluster


@pytest.fixture
def somebody_elses(monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in (("CONTEXT", "production"), ("BACKEND", "existing")):
        monkeypatch.setenv(f"TRAININGJOB_TEST_{name}", value)
    for name in ("KUBECTL", "HELM", "KUBECONFIG"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.delenv("KUBE_CONTEXT", raising=False)
    return "production"


def test_a_cluster_of_somebody_else_is_refused(somebody_elses: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongClusterError, match=f"KUBE_CONTEXT={somebody_elses}"):
        find_cluster()
    monkeypatch.setenv("KUBE_CONTEXT", "another")
    with pytest.raises(WrongClusterError, match=" or ".join(OWN_CONTEXTS)):
        find_cluster()


def test_a_cluster_that_is_named_is_taken(somebody_elses: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_CONTEXT", somebody_elses)
    assert find_cluster().context == somebody_elses
