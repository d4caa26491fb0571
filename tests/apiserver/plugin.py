"""`kubectl trainingjob` as a process, with a kubeconfig, in a pipe or on a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


def environment(kubeconfig: Path, **more: str) -> dict[str, str]:
    """Return the environment of a person with this kubeconfig."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(kubeconfig.parent),
        "PYTHONPATH": str(ROOT / "client"),
        "KUBECONFIG": str(kubeconfig),
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def command(*arguments: str) -> list[str]:
    """Return a command line."""
    return [sys.executable, "-m", "trainingjob_client", *arguments]


def run(kubeconfig: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(kubeconfig, **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class Piped:
    """A command whose lines are read one by one."""

    def __init__(self, kubeconfig: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            env=environment(kubeconfig),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            bufsize=0,  # so that select() knows all that there is to read
        )
        self._rest = {1: b"", 2: b""}

    def __enter__(self) -> "Piped":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self, *, error: bool = False) -> str:
        """Return the next line; "" at the end."""
        number, stream = (2, self.process.stderr) if error else (1, self.process.stdout)
        assert stream is not None
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._rest[number]:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line came, but {self._rest[number]!r}"
            data = os.read(stream.fileno(), 65536)
            if not data:
                break
            self._rest[number] += data
        found, _, self._rest[number] = self._rest[number].partition(b"\n")
        return found.decode()

    def end(self) -> int:
        """Return the exit code."""
        return self.process.wait(PATIENCE)


class Screen:
    """A command on a terminal of 100 columns and 40 lines. `text` is all that it has written."""

    def __init__(self, kubeconfig: Path, *arguments: str, **more: str) -> None:
        self.near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.before = termios.tcgetattr(self.near)
        self.process = subprocess.Popen(
            command(*arguments),
            env=environment(kubeconfig, TERM="xterm-256color", **more),
            stdin=far,
            stdout=far,
            stderr=far,
            start_new_session=True,
        )
        os.close(far)
        self.text = ""

    def until(self, text: str) -> str:
        """Read until a text was written since the last call; return what was written."""
        start = len(self.text)
        deadline = time.monotonic() + PATIENCE
        while text not in self.text[start:]:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.text[start:]!r}"
            if not self._read(0.2):
                assert text in self.text[start:], f"it ended before {text!r} came: {self.text[start:]!r}"
        return self.text[start:]

    def end(self) -> int:
        """Read the rest and return the exit code."""
        while self._read(PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send Ctrl-C, or another signal."""
        self.process.send_signal(number)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.near], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.near, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


@contextlib.contextmanager
def screen(kubeconfig: Path, *arguments: str, **more: str) -> Iterator[Screen]:
    """Run a command on a terminal for the time of the block."""
    found = Screen(kubeconfig, *arguments, **more)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()
        os.close(found.near)
