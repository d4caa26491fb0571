"""The warm standby: a process that has imported TensorFlow already, and becomes the trainer when it is told.

    python -m trainingjob_hooks.standby FD FOLDER MODULE...

`FD` is a Unix stream socket to the launcher, `FOLDER` what the program will have as `sys.path[0]`. It says `H` when
it can't outlive the launcher any more, `R` when the modules are imported, or `E` and the reason. Then it waits. It is
told length (4 bytes), JSON and three files: stdout, stderr, the one for stacks. It says `A` and is the program from
then on, with `__main__`, `sys.argv`, `sys.path[0]`, exit codes and tracebacks as in an interpreter that was started
for it. The JSON holds `env` (all of the environment), `cwd`, `script` or `module`, `arguments`, `command` (all of it)
and `hooked`.

Meanwhile it is nobody's trainer: without TRAININGJOB_SOCKET and TRAININGJOB_SPEC the hooks leave it alone; they begin
with the program. It is the first to go when memory runs out.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any, Dict, List, NoReturn, Tuple

STACK_VARIABLE = "TRAININGJOB_STACK_FD"
_PR_SET_PDEATHSIG = 1
_OOM = "/proc/self/oom_score_adj"


def main(arguments: List[str]) -> None:
    """Import, wait, and run what is told; return when there is nothing to run."""
    import socket

    parent = os.getppid()
    with socket.socket(fileno=int(arguments[0])) as control:
        control.set_inheritable(False)
        _die_with_parent(parent)
        score = _first_to_go()
        control.sendall(b"H")
        sys.path[0] = arguments[1]
        try:
            for name in arguments[2:]:
                __import__(name)
        except Exception as error:  # whatever a library raises: then there is no standby
            control.sendall(b"E" + f"{name}: {type(error).__name__}: {error}".encode("utf-8", "replace")[:500])
            return
        control.sendall(b"R")
        told, files = _wait(control)
        if told is None:
            return
        control.sendall(b"A")
    _write_score(score)
    _become(told, files)
    _run(told)


def _die_with_parent(parent: int) -> None:
    """Let the kernel kill this process with its launcher, also while it is stopped."""
    try:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):  # the socket's end is the other sign
        pass
    if os.getppid() != parent:
        os._exit(0)


def _first_to_go() -> str:
    """Raise this process's badness as far as it goes; return what it was. That needs no privilege, nor does the
    way back.
    """
    try:
        with open(_OOM, encoding="ascii") as file:
            before = file.read().strip()
    except OSError:
        return ""
    _write_score("1000")
    return before


def _write_score(score: str) -> None:
    try:
        if score:
            with open(_OOM, "w", encoding="ascii") as file:
                file.write(score)
    except OSError:
        pass


def _wait(control: Any) -> Tuple[Any, List[int]]:
    """Return what is told and the files that come with it; None when the launcher is gone."""
    import array
    import json
    import socket

    data, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    files = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    while data and (len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big")):
        more = control.recv(65536)
        if not more:
            return None, []
        data += more
    return (json.loads(data[4:]), list(files)) if data and len(files) == 3 else (None, [])


def _become(told: Dict[str, Any], files: List[int]) -> None:
    """Take over the program's environment, folder, output and arguments."""
    out, err, stack = files
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.set_inheritable(stack, True)
    environ = {**told["env"], STACK_VARIABLE: str(stack)}
    for name in [name for name in os.environ if name not in environ]:
        del os.environ[name]
    os.environ.update(environ)
    if told["cwd"]:
        os.chdir(told["cwd"])
    import importlib

    importlib.invalidate_caches()  # the program's files may be new
    sys.argv = [told["script"] or told["module"], *told["arguments"]]
    sys.orig_argv = list(told["command"])


def _run(told: Dict[str, Any]) -> None:
    """Run the program as `__main__`, the way `python SCRIPT` and `python -m MODULE` do."""
    import types

    main_module = types.ModuleType("__main__")
    main_module.__dict__["__builtins__"] = sys.modules["builtins"]
    main_module.__dict__.setdefault("__annotations__", {})
    sys.modules["__main__"] = main_module
    _start_hooks(told["hooked"])
    try:
        if told["module"]:
            _run_module(told["module"])
        else:
            _run_script(told["script"], main_module)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        _fail(error)


def _run_module(name: str) -> None:
    import runpy

    sys.path[0] = os.getcwd()
    # What the interpreter itself calls for `-m`; there is no public way that leaves __main__ in place.
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def _run_script(path: str, module: types.ModuleType) -> None:
    from importlib.machinery import SourceFileLoader

    sys.path[0] = os.path.dirname(os.path.realpath(path))
    module.__file__ = os.path.abspath(path)
    module.__dict__["__cached__"] = None
    module.__loader__ = SourceFileLoader("__main__", path)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {module.__file__!r}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    exec(compile(source, module.__file__, "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def _start_hooks(hooked: bool) -> None:
    """Begin what `sitecustomize` and the first import of TensorFlow begin in an interpreter of the program's own."""
    if not hooked:
        return
    from trainingjob_hooks import bootstrap

    try:
        bootstrap.start()
        if "tensorflow" in sys.modules:
            bootstrap.install()
    except Exception as error:
        print("trainingjob: the hooks could not be started:", repr(error), file=sys.stderr)


def _fail(error: BaseException) -> NoReturn:
    """End as an interpreter does with an exception that nobody caught; our own frames are not of interest."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    error.__traceback__ = traceback
    sys.excepthook(type(error), error, traceback)
    raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
