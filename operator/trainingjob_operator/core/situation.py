"""What a decision rests on and what comes out of it: the words that plan.py and the policies beside it share."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.api.contract import Report
from trainingjob_operator.core.observe import JobFact, PodFact, parse_time
from trainingjob_operator.core.refusal import Refusal

#: Changes that are news but not urgent (a count, a detail in a message) are written at most so often.
SOFT_INTERVAL = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event on the job, told once for each `about`: a generation or a pod; "" is once in a job."""

    reason: str
    note: str
    warning: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """An object to create. `subject` is the member, or one of `core.refusal`.

    `first`: it is there before those after it are made, and without it they are not. `incarnation` is that of the
    chief's pod to which a Service is to lead from now on, 0 for the one to which it leads, if it is there.
    """

    subject: str
    body: dict[str, Any]
    first: bool = False
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. Creates go first: those that are `first` one by one, then the others in parallel; after them
    deletes, a chief's last report, status, events. `delete_job` stands alone: all of the job's goes with it.
    """

    creates: tuple[Create, ...] = ()
    deletes: tuple[PodFact, ...] = ()
    final_report: Report | None = None
    status: dict[str, Any] | None = None
    events: tuple[Event, ...] = ()
    look_again: datetime | None = None
    delete_job: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision rests on.

    `written_at` is when this process last wrote the job's status, `met_at` when it first looked at the job: what came
    to pass before that nobody may have told yet. `hurried`: many jobs wait to tell that they
    have begun, and this is one of them. `crowded`: more jobs wait for pods than are looked at. `published` is the
    chief's address as members can find it now, empty for none, None while this process does not know; see
    `core.address`.
    """

    job: JobFact
    pods: tuple[PodFact, ...]
    refusals: tuple[Refusal, ...]
    now: datetime
    written_at: datetime | None = None
    met_at: datetime | None = None
    hurried: bool = False
    crowded: bool = False
    published: str | None = None

    @property
    def since(self) -> datetime:
        """When the status was written last, as far as this process knows: for a job it has just met, its start."""
        return self.written_at or parse_time(self.job.status.get("startTime")) or self.now

    @property
    def settled(self) -> bool:
        """Whether the last write is so long ago that small news may be written."""
        return self.now >= self.since + SOFT_INTERVAL


def earliest(*times: datetime | None) -> datetime | None:
    """Return the first of some times, None for none."""
    return min((time for time in times if time is not None), default=None)
