"""Versions of the built programs are read from the go.mod files."""

from pathlib import Path

import pytest

from tests.unit.deploy.shell import ROOT, ShellError, call

BINARIES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"]


def version(go_mod: str, module: str, folder: Path) -> str:
    (folder / "go.mod").write_text(go_mod)
    return call(f'module_version "{folder}/go.mod" {module}', "local/versions.sh", home=folder)


def test_reads_the_one_line_form(tmp_path: Path) -> None:
    assert version("module x\n\ngo 1.26.0\n\nrequire a.b/c v1.2.3\n", "a.b/c", tmp_path) == "v1.2.3"


def test_reads_the_block_form(tmp_path: Path) -> None:
    text = "module x\nrequire (\n\ta.b/cd v0.1.0 // indirect\n\ta.b/c v1.2.3-rc.1\n)\n"
    assert version(text, "a.b/c", tmp_path) == "v1.2.3-rc.1"


def test_a_replacement_is_not_a_requirement(tmp_path: Path) -> None:
    text = "module x\nreplace a.b/c => ../c\nrequire a.b/c v1.0.0\n"
    assert version(text, "a.b/c", tmp_path) == "v1.0.0"


def test_names_file_and_module_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match=r"go\.mod requires no version of a\.b/c"):
        version("module x\nrequire a.b/other v1.0.0\n", "a.b/c", tmp_path)


@pytest.mark.parametrize("binary", BINARIES)
def test_a_program_lies_in_a_folder_of_its_version(binary: str, tmp_path: Path) -> None:
    group = "etcd" if binary == "etcd" else "kubernetes"
    text = (ROOT / "deploy/local/tools" / group / "go.mod").read_text()
    path = Path(call(f"tool {binary}", "local/versions.sh", home=tmp_path))
    name, _, number = path.parent.name.partition("-")
    assert (path.name, name) == (binary, group)
    assert f" {number}\n" in text
    assert path.parent.parent == tmp_path / ".cache/trainingjob/tools"


def test_the_cache_folder_follows_the_environment(tmp_path: Path) -> None:
    path = call("tool helm", "local/versions.sh", home=tmp_path, environment={"XDG_CACHE_HOME": "/elsewhere"})
    assert path.startswith("/elsewhere/trainingjob/tools/helm-v3.")


def test_an_unknown_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="no tool is called minikube"):
        call("tool minikube", "local/versions.sh", home=tmp_path)


def test_kwok_is_pinned_and_knows_its_version(tmp_path: Path) -> None:
    path = Path(call("tool kwok", "local/versions.sh", home=tmp_path))
    assert path.parent.name.startswith("kwok-v0.")
    assert "sigs.k8s.io/kwok/pkg/consts.Version=0.8.0" in call(
        "ldflags_of kwok v0.8.0", "local/versions.sh", home=tmp_path
    )


def test_kubernetes_knows_its_version(tmp_path: Path) -> None:
    flags = call("ldflags_of kubernetes v1.36.3", "local/versions.sh", home=tmp_path)
    assert "k8s.io/component-base/version.gitVersion=v1.36.3" in flags
    assert "version.gitMinor=36 " in flags
