"""What is asked when a scrape comes: the state of the queue, the watches, the Lease, the certificates."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trainingjob_operator.telemetry import families
from trainingjob_operator.telemetry.families import Family


class Queue(Protocol):
    """The work queue."""

    def __len__(self) -> int:
        """How many jobs wait."""
        ...

    @property
    def working(self) -> int:
        """How many are looked at."""
        ...

    @property
    def delayed(self) -> int:
        """How many wait for their time."""
        ...

    def oldest_wait(self) -> float:
        """Seconds that the first has waited."""
        ...


@dataclass(frozen=True)
class Watch:
    """A watch, or what plays its part: seconds since it was heard, complete lists, objects in memory."""

    name: str
    age: float
    relists: int
    objects: int


@dataclass(frozen=True)
class Sources:
    """Where the state is read. Nothing here may do I/O or take long. `jobs` are the TrainingJobs as last seen."""

    version: str
    leading: Callable[[], bool]
    ready: Callable[[], bool]
    queue: Queue
    watches: Callable[[], Iterable[Watch]]
    unwritten: Callable[[], int]
    certificates: Callable[[], Mapping[str, datetime]]
    jobs: Callable[[], Iterable[Mapping[str, Any]]]


class StateCollector(Collector):
    """Turns the state into samples."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> list[Metric]:
        """Return nothing: the registry need not read the state to know the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read the state."""
        s = self._sources
        yield _metric(families.BUILD_INFO, [((s.version, platform.python_version()), 1)])
        yield _metric(families.LEADER, [((), s.leading())])
        yield _metric(families.READY, [((), s.ready())])
        yield _metric(families.QUEUE_DEPTH, [((), len(s.queue))])
        yield _metric(families.QUEUE_OLDEST, [((), s.queue.oldest_wait())])
        yield _metric(families.QUEUE_WORKING, [((), s.queue.working)])
        yield _metric(families.QUEUE_DELAYED, [((), s.queue.delayed)])
        watches = tuple(s.watches())
        yield _metric(families.WATCH_AGE, [((watch.name,), watch.age) for watch in watches])
        yield _metric(families.WATCH_RELISTS, [((watch.name,), watch.relists) for watch in watches])
        yield _metric(families.CACHED, [((watch.name,), watch.objects) for watch in watches])
        yield _metric(families.STATUS_UNWRITTEN, [((), s.unwritten())])
        ends = [((name,), end.timestamp()) for name, end in s.certificates().items()]
        yield _metric(families.CERTIFICATE_EXPIRY, ends)


def _metric(family: Family, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in values:
        metric.add_metric(labels, float(value))
    return metric
