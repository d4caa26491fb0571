"""Conditions by the Kubernetes API conventions: all types from the first write on, a time that moves with status."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trainingjob_operator.api.names import Condition, Phase, Reason
from trainingjob_operator.core.observe import JobFact, find_condition

#: The API takes 32 KiB; a status that people read needs less.
MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Claim:
    """What one condition should say. `at` is when it became so, when that is known better than now."""

    type: Condition
    holds: bool
    reason: str
    message: str
    at: datetime | None = None


def format_time(time: datetime) -> str:
    """Return a time as the API writes it, in UTC with whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(claims: Iterable[Claim], job: JobFact, now: datetime) -> list[dict[str, Any]]:
    """Return the list of conditions. `lastTransitionTime` of a condition whose status stays the same stays too."""
    rendered = []
    for claim in claims:
        status = "True" if claim.holds else "False"
        old = find_condition(job.status.get("conditions"), claim.type)
        kept = old.get("lastTransitionTime") if old.get("status") == status else None
        message = claim.message if len(claim.message) <= MAX_MESSAGE else claim.message[: MAX_MESSAGE - 1] + "…"
        rendered.append(
            {
                "type": str(claim.type),
                "status": status,
                "observedGeneration": job.generation,
                "lastTransitionTime": kept or format_time(claim.at or now),
                "reason": str(claim.reason),
                "message": message,
            }
        )
    return rendered


def valid(holds: bool, message: str) -> Claim:
    """Return the claim about the spec."""
    return Claim(Condition.VALID, holds, Reason.SPEC_ACCEPTED if holds else Reason.INVALID_SPEC, message)


def outcome(phase: Phase, reason: str, message: str, at: datetime | None) -> tuple[Claim, Claim]:
    """Return the claims Succeeded and Failed for a job in this phase."""
    if phase is Phase.SUCCEEDED:
        return (
            Claim(Condition.SUCCEEDED, True, reason, message, at),
            Claim(Condition.FAILED, False, Reason.JOB_SUCCEEDED, "the job has succeeded", at),
        )
    if phase is Phase.FAILED:
        return (
            Claim(Condition.SUCCEEDED, False, Reason.JOB_FAILED, "the job has failed", at),
            Claim(Condition.FAILED, True, reason, message, at),
        )
    return (
        Claim(Condition.SUCCEEDED, False, Reason.IN_PROGRESS, "the job has not finished"),
        Claim(Condition.FAILED, False, Reason.IN_PROGRESS, "the job has not failed"),
    )
