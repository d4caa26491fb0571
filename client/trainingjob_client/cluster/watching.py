"""Following TrainingJobs: a list, then a watch from its resourceVersion, again and again, whatever breaks.

The API server forgets old versions (410: list anew), ends each watch after a while (go on from the last version), and
sometimes goes away (wait, then go on). The caller sees changes only, and what to tell the user of the rest.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from kubernetes.client.exceptions import ApiException
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from trainingjob_client.cluster.jobs import Jobs, Json
from trainingjob_client.cluster.refusals import asking, refusal, unreachable
from trainingjob_client.errors import ClientError

#: The server ends a watch after so long; a connection that died in silence is noticed that late.
WATCH_SECONDS = 60
SILENCE_SECONDS = 75.0
#: Seconds between attempts: short at first, so that a rolling restart of the API server is hardly seen.
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
_GONE = 410
_FOR_GOOD = (401, 403, 404)


@dataclass(frozen=True)
class Change:
    """A job that is new or has changed; `gone` when it was deleted.

    Without a job it is about the way to the cluster: `trouble` says how it was lost, "" that it is found again.
    """

    job: Json | None = None
    gone: bool = False
    trouble: str = ""


@dataclass(frozen=True)
class Following:
    """Which jobs to follow: all of the namespace, one of them, or all of all namespaces."""

    jobs: Jobs
    name: str | None = None
    everywhere: bool = False
    labels: str | None = None

    @property
    def selectors(self) -> tuple[str | None, str | None]:
        """Label and field selector."""
        return self.labels, None if self.name is None else f"metadata.name={self.name}"

    @property
    def what(self) -> str:
        """The request, for errors."""
        namespace = self.jobs.connection.namespace
        return f"watch trainingjobs in {'all namespaces' if self.everywhere else f'namespace {namespace}'}"


def changes(of: Following, pause: Callable[[float], None] = time.sleep) -> Iterator[Change]:
    """Yield every job as it is now, then each change, for ever.

    Raises:
        ClientError: the first list fails, or the API server refuses for good (401, 403, 404).
    """
    known: dict[str, Json] = {}
    version: str | None = yield from _list(of, known)
    failures = 0
    while True:
        try:
            if version is None:
                version = yield from _list(of, known)
            response = _open(of, version)
            if failures:
                failures = 0
                yield Change(trouble="")
            for line in of.jobs.connection.lines(response):
                kind, body = _read(line)
                version = body["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield from _apply(known, kind, body)
        except (ApiException, HTTPError, OSError, ValueError, KeyError, ClientError) as error:
            cause = error.__cause__ if isinstance(error, ClientError) else error
            status = cause.status if isinstance(cause, ApiException) else None
            if status in _FOR_GOOD:
                with asking(of.jobs.connection.host, of.what):
                    raise
            if status == _GONE:
                version = None
                continue
            failures += 1
            yield Change(trouble=_said(cause, of.jobs.connection.host))
        # also when the server ended the watch as it should: one that does so at once must not keep us busy
        pause(PAUSES[min(failures, len(PAUSES) - 1)])


def _list(of: Following, known: dict[str, Json]) -> Generator[Change, None, str]:
    """Yield what is there now and was not known, and what is there no more; return the version to go on from."""
    labels, fields = of.selectors
    found, version = of.jobs.find(everywhere=of.everywhere, labels=labels, fields=fields)
    now = {body["metadata"]["uid"] for body in found}
    for uid in [uid for uid in known if uid not in now]:
        yield Change(known.pop(uid), gone=True)
    for body in found:
        yield from _apply(known, "ADDED", body)
    return version


def _open(of: Following, version: str) -> HTTPResponse:
    labels, fields = of.selectors
    return of.jobs.connection.open(
        "GET",
        of.jobs.path(everywhere=of.everywhere),
        seconds=SILENCE_SECONDS,
        watch="true",
        allowWatchBookmarks="true",
        resourceVersion=version,
        timeoutSeconds=WATCH_SECONDS,
        labelSelector=labels,
        fieldSelector=fields,
    )


def _read(line: bytes) -> tuple[str, Json]:
    """Return an event's type and object. Raises ApiException for one that says that the watch is over."""
    event = json.loads(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise ApiException(status=status.get("code"), reason=status.get("reason"), body=json.dumps(status))
    return event["type"], event["object"]


def _apply(known: dict[str, Json], kind: str, body: Json) -> Iterator[Change]:
    uid = body["metadata"]["uid"]
    if kind == "DELETED":
        known.pop(uid, None)
        yield Change(body, gone=True)
    elif known.get(uid, {}).get("metadata", {}).get("resourceVersion") != body["metadata"]["resourceVersion"]:
        known[uid] = body
        yield Change(body)


def _said(error: BaseException | None, host: str) -> str:
    if isinstance(error, ApiException):
        return refusal(error, host, "watch trainingjobs")
    if isinstance(error, HTTPError):
        return unreachable(error, host)
    return f"{host} broke off in the middle of an answer"
