"""Imports TensorFlow once, and forks a process for each program that it is told: the other end of `nursery.py`.

    python nursery_server.py FD

`FD` is a Unix socket of packets. Each is JSON (`env`, `cwd`, `script` or `module`, `arguments`, `command`, `hooked`)
with two files: the output, and a pipe that gets the exit status (negative: a signal). The answer is the process's
number. This process starts no thread and makes no tensor, so nothing of TensorFlow's is shared but its code.
"""

import atexit
import contextlib
import gc
import importlib.util
import json
import os
import random
import selectors
import socket
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn


def main(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Serve; return in each child what it is to become, and in the server None when nobody asks any more."""
    __import__("tf_keras" if os.environ.get("TF_USE_LEGACY_KERAS") else "tensorflow")
    gc.collect()
    gc.freeze()  # the children leave the pages of what is there shared
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                    continue
                data, files, _, _ = socket.recv_fds(control, 1 << 20, 2)
                if not data:
                    return None
                output, status = files
                ready, started = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    control.detach()
                    theirs = [
                        file for each in waiting.get_map().values() for file in (each.fd, *(each.data or ())[1:])
                    ]
                    for file in (ready, started, status, *theirs):
                        os.close(file)
                    return json.loads(data), output
                os.close(started)
                os.close(output)
                os.read(ready, 1)  # until the child is in a session of its own
                os.close(ready)
                control.send(str(pid).encode())
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))


def _tell_end(pidfd: int, pid: int, status: int) -> None:
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(status, str(code).encode())
    os.close(status)


def become(told: dict[str, Any], output: int) -> None:
    """Have the program's output, environment, folder and path, and random numbers of one's own."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    inherited = INHERITED.split(os.pathsep)
    path = [entry for entry in told["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = ["", *path, *(entry for entry in sys.path[1:] if entry not in inherited)]
    sys.argv = [told["script"] or told["module"], *told["arguments"]]
    sys.orig_argv = list(told["command"])
    sys.path_importer_cache.clear()
    if told["env"].get("PYTHONFAULTHANDLER"):
        import faulthandler

        faulthandler.enable()
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def standby() -> ModuleType:
    """Return the module with the way to run a program, without its package: some programs run with nothing of ours."""
    file = Path(__file__).resolve().parents[2] / "trainer_image/trainingjob_hooks/standby.py"
    spec = importlib.util.spec_from_file_location("_standby", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def end(code: Any) -> NoReturn:
    """End as the interpreter does, but for taking itself apart.

    Dropping what is left of tf.data can take TensorFlow a minute (`keras3/source.py`, `untuned`), and a test of something
    else shall not wait for that. Programs that start cold end as always.
    """
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):  # the program has closed it
            stream.flush()
    if not code:
        leave_together()
    os._exit((code or 0) & 0xFF)


def arrive() -> None:
    """Leave a mark beside the program's result: this member of a gang runs."""
    if result := os.environ.get("TRAININGJOB_TEST_RESULT"):
        mark = Path(result).with_suffix(".arriving")
        mark.write_text(str(os.getpid()))
        mark.rename(mark.with_suffix(".running"))


def leave_together() -> None:
    """Wait for the other members of a gang to come to their ends, or to die; the chief waits until they are gone.

    Taking an interpreter apart gives what was sent last the time to arrive. Without it, a peer that still reads it
    would fail ("Socket closed"), and so would one whose coordinator, the chief, is gone.
    """
    if result := os.environ.get("TRAININGJOB_TEST_RESULT"):
        mine = Path(result)
        mine.with_suffix(".running").rename(mine.with_suffix(".ended"))
        while any(_lives(mark) for mark in mine.parent.glob("*.running")):
            time.sleep(0.02)
        if mine.stem == "chief-0":
            others = set(mine.parent.glob("*.ended")) - {mine.with_suffix(".ended")}
            while any(map(_lives, others)):
                time.sleep(0.02)


def _lives(mark: Path) -> bool:
    try:
        os.kill(int(mark.read_text()), 0)
    except (FileNotFoundError, ProcessLookupError):  # it has come to its end meanwhile, or it is dead
        return False
    return True


INHERITED = os.environ.get("PYTHONPATH", "")
if __name__ == "__main__":
    run = standby()._run
    found = main(socket.socket(fileno=int(sys.argv[1])))
    if found is not None:
        become(*found)
        arrive()
        try:
            run(found[0])
        except SystemExit as left:
            end(left.code)
        end(0)
