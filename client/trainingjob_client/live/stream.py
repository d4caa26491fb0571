"""`watch` where nothing can be redrawn: the header once, then a line for each change of what it shows."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.text import Text

from trainingjob_client.cluster.jobs import Json
from trainingjob_client.cluster.watching import Following, changes
from trainingjob_client.draw.rows import cells, stream_header, stream_row
from trainingjob_client.draw.terminal import Terminal
from trainingjob_client.errors import ClientError, Exit
from trainingjob_client.view.job import read_job

#: How often, and with which seconds between, the end of a job is looked at again for its last numbers.
_LAST_LOOKS, _LAST_PAUSE = 6, 0.5


def watch_lines(of: Following, terminal: Terminal) -> int:
    """Print changes until the job's end; return the exit code."""
    shown: dict[str, tuple[str, ...]] = {}
    headed = False
    for change in changes(of):
        if change.job is None:
            if change.trouble:
                print(f"{change.trouble} (trying again)", file=sys.stderr, flush=True)
            continue
        job = read_job(change.job)
        if change.gone:
            print(f"{job.namespace}/{job.name} was deleted", file=sys.stderr, flush=True)
            shown.pop(job.uid, None)
        elif cells(job) != shown.get(job.uid):
            shown[job.uid] = cells(job)
            if not headed:
                headed = True
                terminal.write([Text(stream_header(namespaces=of.everywhere))])
            terminal.write([Text(stream_row(job, datetime.now(UTC), namespaces=of.everywhere))])
            terminal.console.file.flush()
        code = outcome(of, finished=job.finished, succeeded=job.succeeded, gone=change.gone)
        if code is not None:
            last = read_job(settled(of, change.job))
            if cells(last) != shown.get(last.uid) and not change.gone:
                terminal.write([Text(stream_row(last, datetime.now(UTC), namespaces=of.everywhere))])
            return code
    return Exit.DONE


def settled(of: Following, body: Json, pause: Callable[[float], None] = time.sleep) -> Json:
    """Return a job that has ended once its last numbers are in its status too.

    Phase and numbers are written by two writers, so the phase may be there first: wait for a report that says that it
    is the last, but not for long, because a program that was killed has sent none.
    """
    for _ in range(_LAST_LOOKS):
        training = read_job(body).training
        if training.final or training.last_report is None:
            break
        pause(_LAST_PAUSE)
        try:
            body = of.jobs.get(body["metadata"]["name"])
        except ClientError:
            break
    return body


def outcome(of: Following, *, finished: bool, succeeded: bool, gone: bool) -> int | None:
    """Return the exit code when the one job that is followed has ended."""
    if of.name is None or not (finished or gone):
        return None
    return Exit.DONE if succeeded and not gone else Exit.NOT_DONE
