"""The declarative trainer, with every other of its reports left away: what do they cost?"""

import json
import os
import runpy
import socket
import time

import trainingjob

_real = trainingjob.report
_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
_last = 0
_reported = False


def report(*, step=None, **values):
    """Hand every other step's report on; tell the measurement of all of them."""
    global _last, _reported
    now = time.monotonic()
    if step is not None and step > _last:
        _last, _reported = step, not _reported
        said = {"step": step, "time": now, "reported": _reported}
        _socket.sendto(json.dumps(said).encode(), os.environ["BENCH_SOCKET"])
    if _reported:
        _real(step=step, **values)


trainingjob.report = report
runpy.run_module("trainingjob_trainer", run_name="__main__", alter_sys=True)
