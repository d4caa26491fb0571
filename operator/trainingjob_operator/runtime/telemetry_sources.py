"""What telemetry asks the operator's parts, when a scrape comes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trainingjob_operator import __version__
from trainingjob_operator.core.observe import PodFact
from trainingjob_operator.intake.serving import ServingCertificate
from trainingjob_operator.intake.store import ReportStore
from trainingjob_operator.kube.informer import Informer
from trainingjob_operator.kube.lease import LeaderElector
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.queue import WorkQueue
from trainingjob_operator.telemetry.state import Sources, Watch


class JobsWatch:
    """When jobs were last heard of, through kopf's watch or our own list. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._contact = clock()
        self.relists = 0

    def heard(self) -> None:
        """The watch told of a job."""
        self._contact = self._clock()

    def listed(self) -> None:
        """All jobs were listed."""
        self.relists += 1
        self.heard()

    def age(self) -> float:
        """Return the seconds since then."""
        return self._clock() - self._contact


def build(
    jobs: JobCache,
    pods: Sequence[Informer[PodFact]],
    queue: WorkQueue[str],
    elector: LeaderElector,
    ready: Callable[[], bool],
    store: ReportStore,
    serving: ServingCertificate,
    authority_ends: Callable[[], datetime],
    jobs_watch: JobsWatch,
) -> Sources:
    """Return the sources of one replica."""

    def watches() -> Iterator[Watch]:
        yield Watch("trainingjobs", jobs_watch.age(), jobs_watch.relists, len(jobs))
        for informer in pods:
            name = f"pods/{informer.namespace}" if informer.namespace else "pods"
            yield Watch(name, informer.age(), informer.relists, len(informer))

    def certificates() -> Mapping[str, datetime]:
        return {"serving": serving.leaf.not_after, "authority": authority_ends()}

    def bodies() -> Iterable[Mapping[str, Any]]:
        return [body for uid in jobs if (body := jobs.body(uid)) is not None]

    return Sources(
        version=__version__,
        leading=elector.leading.is_set,
        ready=ready,
        queue=queue,
        watches=watches,
        unwritten=lambda: store.dirty_count,
        certificates=certificates,
        jobs=bodies,
    )
