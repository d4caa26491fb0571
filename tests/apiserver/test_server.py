"""The test server itself: it hears who does what, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.apiserver.api import Api, RefusedError
from tests.apiserver.server import ROOT, ApiServer

PROGRAM = """
import os, signal, sys
from tests.apiserver.server import running
with running() as server:
    print(server.folder, *(child.pid for child in server.children), flush=True)
    os.kill(os.getpid(), int(sys.argv[1]))
    signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process together with its parent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running(server: ApiServer, number: signal.Signals) -> None:
    """After Ctrl-C and after a kill that leaves no time to clean up."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    folder, *pids = done.stdout.split()
    assert len(pids) == 2, done.stderr
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"{pids} still run"
        time.sleep(0.02)
    assert Path(folder).exists() == (number is signal.SIGKILL)
    if number is signal.SIGKILL:
        shutil.rmtree(folder)


def test_the_audit_log_tells_who_wrote_what(server: ApiServer, api: Api, namespace: str) -> None:
    nobody = f"system:serviceaccount:{namespace}:default"
    with pytest.raises(RefusedError, match="403"):
        api.acting_for(nobody).create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "a"}})
    (event,) = [
        event
        for event in server.audit()
        if event.get("impersonatedUser", {}).get("username") == nobody and event["verb"] == "create"
    ]
    assert event["objectRef"]["resource"] == "configmaps"
    assert event["responseStatus"]["code"] == 403
