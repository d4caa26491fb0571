"""Where the API server is and who we are: in a pod, or by a kubeconfig file."""

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainingjob_operator.kube.tls import load_cert_chain

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """The connection cannot be configured; the text names the file, the field and the remedy."""


@dataclass(frozen=True)
class ClusterAddress:
    """An API server. `ca` is PEM; without it the system's authorities count. `namespace` is the default one."""

    url: str
    ca: bytes | None = None
    server_name: str | None = None
    insecure: bool = False
    namespace: str = "default"


@dataclass(frozen=True)
class Credentials:
    """What we show to the server: a token, a file with one that is rotated, a client certificate, or nothing."""

    token: str | None = None
    token_file: Path | None = None
    certificate: bytes | None = None
    key: bytes | None = None


class TokenReader:
    """The current bearer token. The kubelet rotates the file: it is read again when its inode or time changes."""

    def __init__(self, credentials: Credentials) -> None:
        self._token = credentials.token
        self._file = credentials.token_file
        self._seen: tuple[int, int] | None = None

    def read(self) -> str | None:
        """Return the token; the last good one when the file cannot be read just now.

        Raises:
            ConfigError: the file could never be read.
        """
        if self._file is None:
            return self._token
        try:
            stat = os.stat(self._file)
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._seen:
                self._token = self._file.read_text(encoding="ascii").strip()
                self._seen = seen
        except OSError as error:
            if self._token is None:
                raise ConfigError(f"token file {self._file}: {error.strerror}") from error
        return self._token


def ssl_context(address: ClusterAddress, credentials: Credentials) -> ssl.SSLContext | None:
    """Return the client's TLS context, None for a plain http address."""
    if not address.url.startswith("https://"):
        return None
    cadata = address.ca.decode("ascii") if address.ca else None
    context = ssl.create_default_context(cadata=cadata)
    # The API server's own certificates in small clusters often lack key identifiers that Python 3.13 insists on.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if address.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credentials.certificate and credentials.key:
        load_cert_chain(context, credentials.certificate, credentials.key)
    return context


def load(environ: Mapping[str, str] = os.environ) -> tuple[ClusterAddress, Credentials]:
    """Return the configuration of the pod that we run in; outside of a cluster that of the kubeconfig file.

    Raises:
        ConfigError: neither is to be had.
    """
    if environ.get("KUBERNETES_SERVICE_HOST") and not environ.get("KUBECONFIG"):
        return in_cluster(environ)
    path = environ.get("KUBECONFIG") or str(Path(environ.get("HOME", "/")) / ".kube" / "config")
    if os.pathsep in path:
        raise ConfigError(f"KUBECONFIG={path} names several files: name one")
    return from_kubeconfig(Path(path))


def in_cluster(
    environ: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT
) -> tuple[ClusterAddress, Credentials]:
    """Return the configuration that Kubernetes gives to every pod with a service account."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigError("KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod")
    ca = _read(folder / "ca.crt")
    try:
        namespace = (folder / "namespace").read_text(encoding="ascii").strip()
    except OSError:
        namespace = "default"
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    credentials = Credentials(token_file=folder / "token")
    TokenReader(credentials).read()
    return ClusterAddress(url, ca, namespace=namespace), credentials


def from_kubeconfig(path: Path, context: str | None = None) -> tuple[ClusterAddress, Credentials]:
    """Read a kubeconfig file. Client certificates, tokens and token files are known; plugins (`exec`) are not.

    Raises:
        ConfigError: unreadable, no such context, or a way to log in that is not supported.
    """
    try:
        document = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a kubeconfig document")
    name = context or document.get("current-context")
    if not name:
        raise ConfigError(f"{path}: current-context is not set: `kubectl config use-context NAME`")
    chosen = _named(path, document, "contexts", "context", name)
    cluster = _named(path, document, "clusters", "cluster", chosen.get("cluster"))
    user = _named(path, document, "users", "user", chosen.get("user")) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConfigError(f"{path}: clusters[{chosen.get('cluster')}].cluster.server is not set")
    for field in ("exec", "auth-provider", "username"):
        if field in user:
            raise ConfigError(
                f"{path}: users[{chosen.get('user')}].user.{field} is not supported: use a client certificate or a "
                "token (`kubectl create token`)"
            )
    address = ClusterAddress(
        url=str(cluster["server"]).rstrip("/"),
        ca=_material(path, cluster, "certificate-authority"),
        server_name=cluster.get("tls-server-name"),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
        namespace=chosen.get("namespace") or "default",
    )
    token_file = user.get("tokenFile")
    credentials = Credentials(
        token=user.get("token"),
        token_file=path.parent / token_file if token_file and not user.get("token") else None,
        certificate=_material(path, user, "client-certificate"),
        key=_material(path, user, "client-key"),
    )
    if bool(credentials.certificate) != bool(credentials.key):
        raise ConfigError(
            f"{path}: users[{chosen.get('user')}].user needs client-certificate and client-key together"
        )
    return address, credentials


def _named(path: Path, document: Mapping[str, Any], section: str, field: str, name: Any) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if isinstance(entry, dict) and entry.get("name") == name:
            value = entry.get(field)
            return value if isinstance(value, dict) else {}
    raise ConfigError(f"{path}: {section} has no entry named {name!r}")


def _material(path: Path, section: Mapping[str, Any], field: str) -> bytes | None:
    data = section.get(f"{field}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: {field}-data is not base64") from error
    file = section.get(field)
    return _read(path.parent / file) if file else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
