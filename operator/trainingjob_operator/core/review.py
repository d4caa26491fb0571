"""All that follows from a job and its pods before anything is decided: who is lost, what counts, what failed last."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_operator.api.contract import Ledger
from trainingjob_operator.api.names import Phase
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.core.cause import latest_failure
from trainingjob_operator.core.failure import is_told_the_end
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.phase import OVER, interrupted
from trainingjob_operator.core.reachable import out_of_sight
from trainingjob_operator.core.replacement import Fate, Known, fates
from trainingjob_operator.core.restarts import generation_of, ledger_of, tally
from trainingjob_operator.core.situation import Situation, earliest


@dataclass(frozen=True, slots=True)
class Review:
    """`failure` is what the status shows of the latest failed generation. `generation` is 0 before the first."""

    gang: Gang
    fates: tuple[Fate, ...]
    ledger: Ledger
    generation: int
    failure: dict[str, Any] | None
    interrupted: bool
    look_again: datetime | None

    @property
    def pod_failures(self) -> int:
        """How many pods of the job have failed in a way that counts."""
        return tally(self.fates)

    @property
    def failed_generation(self) -> int:
        """The latest generation that failed, 0 for none."""
        return (self.failure or {}).get("generation") or 0

    @property
    def ended_generation(self) -> int:
        """The latest generation that is over, 0 for none."""
        over = self.interrupted or (self.generation > 0 and self.failed_generation >= self.generation)
        return self.generation if over else max(0, self.generation - 1)


def review(s: Situation, gang: Gang) -> Review:
    """Look at every member of a gang."""
    job = s.job
    ledger = ledger_of(job, gang)
    generation = generation_of(job, ledger)
    unseen, again = out_of_sight(job, gang, s.now)
    policy = job.spec.failure_policy if job.spec is not None else FailurePolicy()
    trained = job.phase in (Phase.RUNNING, Phase.RESTARTING)
    known = Known(
        generation,
        ledger,
        unseen,
        by_rules=trained,
        told_the_end=is_told_the_end(job, gang),
        between=(job.status.get("training") or {}).get("state") in OVER,
    )
    found = fates(gang, policy, known, s.now)
    over = trained and interrupted(job, gang)
    failure = latest_failure(job, gang, found, generation if over else 0, s.now)
    times = [fate.judge_at for fate in found] + [f.replace_at for f in found if f.replace_at and f.replace_at > s.now]
    return Review(gang, found, ledger, generation, failure, over, earliest(again, *times))
