"""What is counted while the operator works: hooks that its parts call.

Labels are bounded whatever happens: a word that is not expected counts as `other`.
"""

from collections.abc import Collection

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram

from trainingjob_operator.kube import resources
from trainingjob_operator.telemetry import families
from trainingjob_operator.telemetry.failures import OTHER, REASONS
from trainingjob_operator.telemetry.families import Family

VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "apply", "delete"})
RESOURCES = frozenset(
    resource.plural for resource in vars(resources).values() if isinstance(resource, resources.Resource)
)
#: HTTP statuses that the API server and the intake give; others count as their hundred, 5xx for instance.
CODES = frozenset(
    {0, 200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504}
)
RECONCILE_RESULTS = frozenset({"done", "api_error", "defect"})
WRITE_RESULTS = frozenset({"written", "skipped", "gone", "failed"})
EVENT_RESULTS = frozenset({"posted", "repeated", "failed", "dropped"})

# Times at which each counter began would double the number of series, and nobody asks for them.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Counters:
    """Counters and histograms in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reconciles = _counter(registry, families.RECONCILES)
        self._reconcile_seconds = _histogram(registry, families.RECONCILE_SECONDS)
        self._requests = _counter(registry, families.API_REQUESTS)
        self._request_seconds = _histogram(registry, families.API_SECONDS)
        self._reports = _counter(registry, families.INTAKE_REPORTS)
        self._writes = _counter(registry, families.STATUS_WRITES)
        self._write_delay = _histogram(registry, families.STATUS_WRITE_DELAY)
        self._events = _counter(registry, families.EVENTS)
        self._failures = _counter(registry, families.JOB_FAILURES)
        # From 0 on: an increase is seen only from a value that was scraped before it.
        for counter, results in (
            (self._reconciles, RECONCILE_RESULTS),
            (self._writes, WRITE_RESULTS),
            (self._events, EVENT_RESULTS),
            (self._failures, REASONS),
        ):
            for result in sorted(results):
                counter.labels(result)
        for code in (204, 401, 403, 409, 429, 500, 503):
            self._reports.labels(str(code))

    def reconcile(self, result: str, seconds: float) -> None:
        """One look at a job ended."""
        self._reconciles.labels(_known(result, RECONCILE_RESULTS)).inc()
        self._reconcile_seconds.observe(seconds)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """One attempt of a request to the API server ended; `status` is 0 without an answer."""
        verb, resource = _known(verb, VERBS), _known(resource, RESOURCES)
        self._requests.labels(verb, resource, _code(status)).inc()
        if verb != "watch":
            self._request_seconds.labels(verb, resource).observe(seconds)

    def report(self, status: int) -> None:
        """The intake answered a report."""
        self._reports.labels(_code(status)).inc()

    def status_write(self, result: str, seconds: float) -> None:
        """A write of metrics ended, so many seconds after the report had come."""
        self._writes.labels(_known(result, WRITE_RESULTS)).inc()
        if result == "written":
            self._write_delay.observe(seconds)

    def event(self, result: str) -> None:
        """An event on a job was posted, or was not."""
        self._events.labels(_known(result, EVENT_RESULTS)).inc()

    def failure(self, reason: str) -> None:
        """A generation of a job has failed."""
        self._failures.labels(_known(reason, REASONS)).inc()


def _known(word: str, words: Collection[str]) -> str:
    return word if word in words else OTHER


def _code(status: int) -> str:
    if status in CODES:
        return str(status)
    return f"{status // 100}xx" if 100 <= status < 600 else OTHER


def _counter(registry: CollectorRegistry, family: Family) -> Counter:
    return Counter(family.name, family.help, family.labels, registry=registry)


def _histogram(registry: CollectorRegistry, family: Family) -> Histogram:
    return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=registry)
