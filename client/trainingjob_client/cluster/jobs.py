"""TrainingJobs, and what belongs to them, as the API gives them."""

import difflib
from typing import Any
from urllib.parse import quote

from trainingjob_client import names
from trainingjob_client.cluster.connection import Connection
from trainingjob_client.cluster.refusals import is_missing_object
from trainingjob_client.errors import ClientError, MissingError

Json = dict[str, Any]
#: A list of thousands of jobs with their histories comes in pages.
PAGE = 200


class Jobs:
    """The TrainingJobs of one namespace, or of all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def path(self, *, everywhere: bool = False) -> str:
        """Return the path of the jobs."""
        place = "" if everywhere else f"/namespaces/{quote(self.connection.namespace, safe='')}"
        return f"/apis/{names.API_VERSION}{place}/{names.PLURAL}"

    def get(self, name: str) -> Json:
        """Return a job.

        Raises:
            MissingError: there is none of that name; names that are near are told.
            ClientError: the cluster can't be asked.
        """
        namespace = self.connection.namespace
        what = f"read trainingjobs in namespace {namespace}"
        try:
            job: Json = self.connection.ask(what, "GET", f"{self.path()}/{quote(name, safe='')}")
        except ClientError as error:
            if not is_missing_object(error.__cause__):
                raise
        else:
            return job
        others = [str(job["metadata"]["name"]) for job in self.find()[0]]
        raise MissingError(not_found(name, namespace, others))

    def find(
        self, *, everywhere: bool = False, labels: str | None = None, fields: str | None = None
    ) -> tuple[list[Json], str]:
        """Return jobs, and the resourceVersion that a watch can go on from."""
        where = "all namespaces" if everywhere else f"namespace {self.connection.namespace}"
        items: list[Json] = []
        page: str | None = None
        while True:
            query = {"labelSelector": labels, "fieldSelector": fields, "limit": PAGE, "continue": page}
            path = self.path(everywhere=everywhere)
            body = self.connection.ask(f"list trainingjobs in {where}", "GET", path, **query)
            items += body["items"]
            page = body["metadata"].get("continue")
            if not page:
                return items, str(body["metadata"]["resourceVersion"])

    def pods(self, job: Json) -> list[Json]:
        """Return the pods of a job: its own ones, not those of an earlier job of that name."""
        metadata = job["metadata"]
        selector = f"{names.LABEL_JOB}={metadata['name']}"
        found = self._core("pods", metadata["namespace"], labelSelector=selector)
        return [pod for pod in found if _owned(pod, metadata["uid"])]

    def events(self, job: Json) -> list[Json]:
        """Return the events about a job, the oldest first."""
        metadata = job["metadata"]
        found = self._core("events", metadata["namespace"], fieldSelector=f"involvedObject.uid={metadata['uid']}")
        return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def _core(self, kind: str, namespace: str, **query: str) -> list[Json]:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/{kind}"
        found: list[Json] = self.connection.ask(f"list {kind} in namespace {namespace}", "GET", path, **query)[
            "items"
        ]
        return found


def not_found(name: str, namespace: str, others: list[str]) -> str:
    """Return the sentence for a job that is not there."""
    near = difflib.get_close_matches(name, others, n=3, cutoff=0.5)
    if near:
        return f"there is no TrainingJob {name!r} in namespace {namespace}; did you mean {' or '.join(near)}?"
    if others:
        shown = ", ".join(sorted(others)[:5]) + (", …" if len(others) > 5 else "")
        return f"there is no TrainingJob {name!r} in namespace {namespace}; it has: {shown}"
    return (
        f"there is no TrainingJob {name!r} in namespace {namespace}, nor any other: "
        "choose another namespace with -n, or look everywhere with `list -A`"
    )


def _owned(pod: Json, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())
