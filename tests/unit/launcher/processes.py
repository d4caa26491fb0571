"""Real launchers as processes on this machine's loopback, and an intake that they report to."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import os
import queue
import select
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.child import Child
from trainingjob_launcher.contract import Assignment, Report

ROOT = Path(__file__).parents[3]
KEY = "5a" * 32
PATIENCE = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def assignment(role: str, index: int, workers: int, port: int, **more: Any) -> Assignment:
    values: dict[str, Any] = {"incarnation": 1, "key": KEY, "trainer_port": 0, "pod_ip": "127.0.0.1", **more}
    return Assignment(
        "job", "ns", "uid", role, index, workers=workers, chief_host="127.0.0.1", chief_port=port, **values
    )


class Launcher(Child):
    """One launcher process. `out` and `err` are what it wrote in all."""

    def __init__(
        self, given: Assignment, folder: Path, command: list[str], wrapper: tuple[str, ...] = (), **env: str
    ) -> None:
        self.member = given.member
        self.termination = folder / f"{given.member}-{given.incarnation}.termination"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "trainer_image"),
            "TRAININGJOB_TERMINATION_PATH": str(self.termination),
            "TRAININGJOB_POD_IP": given.pod_ip,
            "TMPDIR": str(folder),
            **given.to_env(),
            **env,
        }
        arguments = [sys.executable, *wrapper, "-m", "trainingjob_launcher", "--", *command]
        super().__init__(arguments, environment, folder, PATIENCE)

    @property
    def out(self) -> bytes:
        return self._written[1]

    @property
    def err(self) -> bytes:
        return self._written[2]

    def report(self) -> Report:
        return Report.decode(self.termination.read_bytes())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


class Gang:
    """Launchers of one job. Programs are Python texts; each may be given per member."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.members: dict[str, Launcher] = {}
        self._launchers: list[Launcher] = []  # also those whose place another one has taken

    def start(self, program: str | dict[str, str], workers: int = 2, **more: Any) -> Gang:
        for role, index in [("chief", 0), *(("worker", number) for number in range(workers))]:
            name = f"{role}-{index}"
            text = program if isinstance(program, str) else program.get(name, program.get("*", ""))
            self.member(role, index, [sys.executable, "-u", "-S", "-c", text], workers, **more)
        return self

    def member(
        self,
        role: str,
        index: int,
        command: list[str],
        workers: int = 2,
        env: dict[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
        **more: Any,
    ) -> Launcher:
        given = assignment(role, index, workers, self.port, **more)
        launcher = Launcher(given, self.folder, command, wrapper, **(env or {}))
        self.members[given.member] = launcher
        self._launchers.append(launcher)
        return launcher

    def __getitem__(self, name: str) -> Launcher:
        return self.members[name]

    def codes(self) -> dict[str, int]:
        return {name: launcher.wait() for name, launcher in self.members.items()}

    def close(self) -> None:
        for launcher in self._launchers:
            launcher.close()


def alive(pid: int) -> bool:
    """True when a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(*pids: int, timeout: float = 30.0) -> bool:
    """Wait until the processes have ended; whoever was told to kill them may do it a moment after saying so."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], timeout)[0]:
                    return False
            finally:
                os.close(descriptor)
    return True


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# --- An intake ---


def certificate(folder: Path, name: str) -> tuple[str, ssl.SSLContext]:
    """Return a self-signed certificate for `name` in PEM, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intake")])
    now = datetime.datetime.now(datetime.UTC)
    alternative: x509.GeneralName = x509.DNSName(name)
    with contextlib.suppress(ValueError):
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM).decode()
    file = folder / "intake.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + pem.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return pem, context


class Intake:
    """An HTTPS server that keeps what was posted, and answers what it is told to (202 when nothing is left)."""

    def __init__(self, folder: Path, name: str = "127.0.0.1") -> None:
        self.posted: queue.Queue[tuple[dict[str, str], Report]] = queue.Queue()
        #: Status, headers, and the text where there is one.
        self.answers: list[tuple[int, dict[str, str]] | tuple[int, dict[str, str], str]] = []
        self.connections = 0
        self.ca, context = certificate(folder, name)
        intake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                intake.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                intake.posted.put(({**self.headers, "path": self.path}, Report.decode(body)))
                status, headers, *text = intake.answers.pop(0) if intake.answers else (202, {})
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(sum(map(len, text))))
                self.end_headers()
                self.wfile.write("".join(text).encode())

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # clients that don't trust us, or are killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/v1/report"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def take(self) -> tuple[dict[str, str], Report]:
        return self.posted.get(timeout=PATIENCE)

    def final(self) -> Report:
        while True:
            _, report = self.take()
            if report.final:
                return report

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


@contextlib.contextmanager
def running_intake(folder: Path, name: str = "127.0.0.1") -> Iterator[Intake]:
    intake = Intake(folder, name)
    try:
        yield intake
    finally:
        intake.close()
