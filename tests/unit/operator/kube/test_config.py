"""Where the API server is, from a pod's files and from kubeconfig files, and clear words when they are wrong."""

import base64
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainingjob_operator.intake.certificates import new_authority, new_leaf
from trainingjob_operator.kube.config import (
    ClusterAddress,
    ConfigError,
    Credentials,
    from_kubeconfig,
    in_cluster,
    load,
    ssl_context,
)

NOW = datetime.datetime.now(datetime.UTC)
CA = new_authority(NOW)
CLIENT = new_leaf(CA, NOW, ["client"])


def kubeconfig(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **extra: Any) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ns"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://h:6443/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document | extra))
    return path


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_in_a_pod(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(CA.certificate)
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("system")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    address, credentials = in_cluster(environ, tmp_path)
    assert address == ClusterAddress("https://10.0.0.1:443", CA.certificate, namespace="system")
    assert credentials.token_file == tmp_path / "token"
    assert in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)[0].url == "https://[fd00::1]:443"


def test_not_in_a_pod_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster({}, tmp_path)
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "h"}, tmp_path)


def test_kubeconfig_with_data(tmp_path: Path) -> None:
    user = {"client-certificate-data": b64(CLIENT.certificate), "client-key-data": b64(CLIENT.key)}
    path = kubeconfig(tmp_path, user, {"certificate-authority-data": b64(CA.certificate), "tls-server-name": "api"})
    address, credentials = from_kubeconfig(path)
    assert address == ClusterAddress("https://h:6443", CA.certificate, "api", namespace="ns")
    assert credentials == Credentials(certificate=CLIENT.certificate, key=CLIENT.key)
    context = ssl_context(address, credentials)
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_kubeconfig_with_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(CA.certificate)
    (tmp_path / "crt").write_bytes(CLIENT.certificate)
    (tmp_path / "key").write_bytes(CLIENT.key)
    user = {"client-certificate": "crt", "client-key": "key", "tokenFile": "token"}
    address, credentials = from_kubeconfig(kubeconfig(tmp_path, user, {"certificate-authority": "ca"}))
    assert address.ca == CA.certificate
    assert credentials == Credentials(None, tmp_path / "token", CLIENT.certificate, CLIENT.key)


def test_kubeconfig_with_token_and_without_verification(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t"}, {"insecure-skip-tls-verify": True})
    address, credentials = load({"KUBECONFIG": str(path)})
    assert credentials == Credentials(token="t")
    context = ssl_context(address, credentials)
    assert context is not None
    assert context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("user", "extra", "words"),
    [
        ({"exec": {"command": "aws"}}, {}, r"users\[u\]\.user\.exec is not supported: use a client certificate"),
        ({"username": "x"}, {}, "username is not supported"),
        ({"client-certificate-data": b64(b"x")}, {}, "together"),
        ({"client-key-data": "&&"}, {}, "client-key-data is not base64"),
        ({"client-key": "nowhere"}, {}, "nowhere: No such file"),
        ({}, {"current-context": ""}, "current-context is not set"),
        ({}, {"current-context": "z"}, "contexts has no entry named 'z'"),
        ({}, {"clusters": []}, "clusters has no entry named 'k'"),
        ({}, {"clusters": [{"name": "k", "cluster": {}}]}, "server is not set"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, user: dict[str, Any], extra: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_kubeconfig(kubeconfig(tmp_path, user, **extra))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load({"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="several files"):
        load({"KUBECONFIG": "/a:/b"})
    (tmp_path / "bad").write_text("{")
    with pytest.raises(ConfigError, match="not YAML"):
        from_kubeconfig(tmp_path / "bad")
    (tmp_path / "text").write_text("x")
    with pytest.raises(ConfigError, match="must be a kubeconfig"):
        from_kubeconfig(tmp_path / "text")
