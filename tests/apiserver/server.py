"""A real Kubernetes API for tests: etcd and kube-apiserver as processes of this machine, and nothing else.

No kubelet and no controllers: objects are validated, defaulted, authorised and stored, and nothing happens to them.
That is what schemas, CEL, server-side apply and RBAC are tested with, in seconds.
"""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import yaml

from tests.apiserver.api import Api, RefusedError
from tests.apiserver.pki import write_pki

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "deploy/local/tools.sh"
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
#: Seconds until the API must answer. It takes 3 on an idle machine.
READY_SECONDS = 60
STOP_SECONDS = 5

#: Every request's metadata, so that tests can count who did what.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "nonResourceURLs": ["/readyz*", "/livez*"]}, {"level": "Metadata"}],
}


class ApiServerError(RuntimeError):
    """The API server can't be started; the text says why and what to do."""


def tool(name: str) -> Path:
    """Return where a program lies, or will lie once it is built."""
    answer = subprocess.run(
        ["bash", str(TOOLS), "--path", name], check=False, capture_output=True, text=True, cwd=ROOT
    )
    if answer.returncode != 0:
        raise ApiServerError(f"{TOOLS.relative_to(ROOT)} --path {name} failed: {answer.stderr.strip()}")
    return Path(answer.stdout.strip())


def missing_tools() -> list[str]:
    """Return the programs that are not built yet."""
    return [name for name in PROGRAMS if not tool(name).is_file()]


def build_tools() -> None:
    """Build what is missing; minutes on a fresh machine. Its progress goes to this process' stderr."""
    if subprocess.run(["bash", str(TOOLS), *PROGRAMS], check=False, cwd=ROOT).returncode != 0:
        raise ApiServerError(
            f"building {', '.join(missing_tools())} failed (see above); repeat with "
            f"{TOOLS.relative_to(ROOT)} {' '.join(PROGRAMS)}"
        )


class ApiServer:
    """A running API server. `folder` holds everything of it and goes when it stops."""

    #: More arguments of kube-apiserver.
    ARGUMENTS: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self.ca = b""
        self.kubeconfig = folder / "kubeconfig"
        self.audit_log = folder / "audit.log"
        self.kubectl_path = tool("kubectl")
        self.children: list[subprocess.Popen[bytes]] = []
        self._names: dict[subprocess.Popen[bytes], str] = {}
        self._logs: list[IO[bytes]] = []

    @property
    def api(self) -> Api:
        """A client with all rights (group system:masters)."""
        return Api(self.url, self.ca, self.token)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator and return what it printed (both streams when `check` is false)."""
        answer = subprocess.run(
            [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        if check and answer.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout if check else answer.stdout + answer.stderr

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit events so far; the server writes one before it answers."""
        return [json.loads(line) for line in self.audit_log.read_text().splitlines() if line]

    def start(self) -> None:
        """Start both processes and wait until the API is ready.

        Raises:
            ApiServerError: a process ended, or READY_SECONDS are over; with the end of its log.
        """
        pki = write_pki(self.folder / "pki")
        self.ca = pki.ca.read_bytes()
        (self.folder / "tokens.csv").write_text(self.users())
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))
        etcd_port, peer_port = free_port(), free_port()
        etcd = self._spawn(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        )  # fmt: skip
        apiserver = self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}",
            f"--tls-cert-file={pki.server_certificate}", f"--tls-private-key-file={pki.server_key}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki.accounts_public}",
            f"--service-account-signing-key-file={pki.accounts_key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--audit-policy-file={self.folder / 'audit.yaml'}", f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking", *self.ARGUMENTS,
        )  # fmt: skip
        self._write_kubeconfig(pki.ca)
        self._wait(etcd, apiserver)

    def stop(self) -> None:
        """Stop both processes: the API server first, which needs the other. Kills what does not go."""
        for child in reversed(self.children):
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for log in self._logs:
            log.close()

    def users(self) -> str:
        """Return who has a static token: lines of `token,name,uid,"groups"`."""
        return f"{self.token},admin,admin,system:masters\n"

    def _spawn(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{name}.log").open("wb")
        self._logs.append(log)
        child = subprocess.Popen(
            [str(tool(name)), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            start_new_session=True,  # Ctrl-C is pytest's: it ends the session, and that stops us
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self.children.append(child)
        self._names[child] = name
        return child

    def _write_kubeconfig(self, ca: Path) -> None:
        name = "trainingjob-apiserver-test"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": {"server": self.url, "certificate-authority": str(ca)}}],
            "users": [{"name": name, "user": {"token": self.token}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(document))
        self.kubeconfig.chmod(0o600)

    def _wait(self, *children: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            ended = next((child for child in children if child.poll() is not None), None)
            if ended is not None or time.monotonic() > deadline:
                name = self._names[ended or children[-1]]
                what = "ended" if ended is not None else f"is not ready after {READY_SECONDS} s"
                tail = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
                raise ApiServerError("\n".join([f"{name} {what}; the end of its log:", *tail]))
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return self.api.text("/readyz") == "ok"
        except (OSError, RefusedError):
            return False


@contextlib.contextmanager
def running() -> Iterator[ApiServer]:
    """Run an API server for the time of the block. Everything of it goes afterwards, also after Ctrl-C."""
    folder = Path(tempfile.mkdtemp(prefix="trainingjob-apiserver-"))
    server = None
    try:
        server = ApiServer(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Ask Linux to end this process when pytest is killed in a way that leaves it no time to."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
