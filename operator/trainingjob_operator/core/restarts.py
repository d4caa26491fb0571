"""How often the gang was formed anew and what counts: the launchers' ledger, the pods' tally, and the limit of both.

Trainers' failures the chief counts in the ledger, pods' the operator, in annotations of the pods that follow them.
Neither number ever needs memory: the newest pods, the status and the reports have them.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from trainingjob_operator.api.contract import ContractError, Failure, Ledger
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.desired import Past
from trainingjob_operator.core.failure import FailureFact
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.observe import JobFact
from trainingjob_operator.core.repetition import carried
from trainingjob_operator.core.replacement import Fate
from trainingjob_operator.core.verdict import Cost
from trainingjob_operator.core.volumes import CHECKPOINT_DIR


def ledger_of(job: JobFact, gang: Gang) -> Ledger:
    """Return the newest ledger that anybody has told of, an empty one before that."""
    newest = _read((job.status.get("gang") or {}).get("ledger"))
    for pod in gang.pods:
        report = pod.report
        if report is not None and report.ledger is not None:
            newest = newest.newest(report.ledger)
    return newest


def generation_of(job: JobFact, ledger: Ledger) -> int:
    """Return the number of the gang's last formation, 0 before the first."""
    return max(job.formed_generation, ledger.generation)


def tally(found: Iterable[Fate]) -> int:
    """Return how many pods of the job have failed in a way that counts."""
    return sum(fate.failures for fate in found)


def fatal(found: tuple[Fate, ...], ledger: Ledger, limit: int) -> FailureFact | None:
    """Return the pod's end that ends the job: one that must not be tried again, or one too many. None for none."""
    ends = [fate for fate in found if fate.verdict is not None and fate.verdict.cost is Cost.FATAL]
    first = min(ends, key=lambda fate: fate.ended_at.timestamp() if fate.ended_at else inf, default=None)
    if first is not None and first.verdict is not None:
        return _fact(first, first.verdict.failure)
    return _beyond(found, ledger, limit)


def _fact(fate: Fate, failure: Failure) -> FailureFact:
    pod = fate.member.pod
    return FailureFact(failure, pod.name if pod else "", pod.node if pod else "", fate.ended_at)


def _beyond(found: tuple[Fate, ...], ledger: Ledger, limit: int) -> FailureFact | None:
    causes = [fate for fate in found if fate.counted]
    failures = ledger.counted + tally(found)
    if not causes or failures <= limit:
        return None
    last = max(causes, key=lambda fate: fate.ended_at.timestamp() if fate.ended_at is not None else 0.0)
    if last.verdict is None:
        return None
    cause = last.verdict.failure
    text = f"{failures} failure{'' if failures == 1 else 's'}, the limit is {limit}: {cause.message}"
    return _fact(last, dataclasses.replace(cause, reason=str(Reason.BACKOFF_LIMIT_EXCEEDED), message=text))


def past_of(fate: Fate, found: tuple[Fate, ...], gang: Gang, ledger: Ledger) -> Past:
    """Return what the next pod of a member is told."""
    lost = [other.member.pod for other in found if other.out_of_sight]
    silent = [pod for pod in (*lost, *gang.pods) if pod is not None and (pod in lost or pod.out_of_sight_since)]
    avoid = tuple(sorted({pod.node for pod in silent if pod.node}))
    last_end = carried(fate.member.pod, fate.verdict, ledger)
    return Past(fate.failures, fate.short_lives, tally(found), ledger, avoid, last_end)


def restarts_status(job: JobFact, generation: int, ledger: Ledger, pods: int, *, between: bool) -> dict[str, int]:
    """Return `status.restarts`; `pods` is the tally, `between` says that the latest generation is over.

    `total` are the restarts: generations after the first. `counted` are the failures that count against the limit,
    of trainers and of pods: exactly those, so a job that has failed of one too many shows one more than the limit.
    `free` are the restarts that cost nothing: total - counted, and never below 0. A failure is counted when it
    happens, its restart when the next generation forms, if one does: in between what was free stays free.
    """
    total, counted = max(0, generation - 1), ledger.counted + pods
    before = (job.status.get("restarts") or {}).get("free") or 0
    known = min(before, total) if between else 0
    return {"total": total, "counted": counted, "free": max(known, total - counted)}


def resumed_from(job: JobFact) -> dict[str, Any] | None:
    """Return `status.resumedFrom`: where the latest generation began, None while it has not said so."""
    training: Mapping[str, Any] = job.status.get("training") or {}
    step, generation = training.get("resumedStep"), training.get("generation")
    if not isinstance(step, int) or not isinstance(generation, int):
        written: dict[str, Any] | None = job.status.get("resumedFrom")
        # A new chief tells of the same generation before it forms the next.
        return written if written is not None and written.get("generation") == generation else None
    told: dict[str, Any] = {"step": step, "generation": generation}
    checkpoint = job.spec.checkpoint if job.spec is not None else None
    if checkpoint is not None:
        told["checkpoint"] = checkpoint.path or CHECKPOINT_DIR
    return told


def _read(value: Any) -> Ledger:
    if not isinstance(value, Mapping):
        return Ledger()
    try:
        return Ledger.from_json({"generation": 0, "counted": 0, **value})
    except ContractError:
        return Ledger()
