"""What the API server's refusal of a pod or Service means, and when to ask again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trainingjob_operator.api.names import Reason

FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A create that was refused. `subject` is the member or the Service, `attempts` how often it was refused.

    `invalid` means that the same object can never be accepted: the job's spec is at fault.
    """

    subject: str
    reason: Reason
    message: str
    invalid: bool
    attempts: int
    retry_at: datetime


def judge_refusal(
    subject: str, status: int, reason: str, message: str, previous: Refusal | None, now: datetime
) -> Refusal:
    """Return what an API error says about a create.

    Quota and Pod Security both answer 403 Forbidden: only the text tells them apart. Quota may free up at any time,
    a namespace's Pod Security level may be changed: both are asked again, ever more slowly.
    """
    attempts = previous.attempts + 1 if previous else 1
    delay = min(FIRST_RETRY * 2 ** min(attempts - 1, 6), LAST_RETRY)
    kind, invalid = Reason.POD_REFUSED, False
    if status == 403 and "exceeded quota" in message:
        kind = Reason.QUOTA_EXCEEDED
    elif status == 403 and "violates PodSecurity" in message:
        kind = Reason.POD_SECURITY
    elif status in (400, 422):
        invalid = True
    elif status == 409:
        kind = Reason.SERVICE_CONFLICT if subject == "service" else Reason.POD_REFUSED
    text = message.strip() or reason or f"HTTP {status}"
    return Refusal(subject, kind, text, invalid, attempts, now + delay)
