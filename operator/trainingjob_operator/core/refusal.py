"""What the API server's refusal of a pod or Service means, and when to ask again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trainingjob_operator.api.names import Reason

#: Subjects of creates and refusals that are no member: the chief's Service, its address, and the ConfigMap with the
#: launcher.
SERVICE = "service"
ADDRESS = "address"
LAUNCHER = "launcher"

FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(seconds=60)
#: An object that is on its way out is gone within a pod's grace: no error, only a short wait.
PREDECESSOR_RETRY = timedelta(seconds=1.5)


#: What MembersReady says while the API server does not take all pods.
REFUSALS = frozenset(
    {
        Reason.QUOTA_EXCEEDED, Reason.POD_SECURITY, Reason.POD_REFUSED, Reason.SERVICE_CONFLICT,
        Reason.NAME_STILL_TAKEN, Reason.LAUNCHER_REFUSED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A create that was refused, for the `attempts`-th time. `subject` is the member, or one of those above.

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
    kind, invalid = Reason.LAUNCHER_REFUSED if subject == LAUNCHER else Reason.POD_REFUSED, False
    if status == 403 and "because it is being terminated" in message:
        delay = LAST_RETRY  # the namespace goes, and the job with it
    if status == 403 and "exceeded quota" in message:
        kind = Reason.QUOTA_EXCEEDED
    elif status == 403 and "violates PodSecurity" in message:
        kind = Reason.POD_SECURITY
    elif status in (400, 422):
        invalid = subject not in (LAUNCHER, ADDRESS)  # which no job has written
    elif status == 409 and subject in (SERVICE, ADDRESS):
        kind = Reason.SERVICE_CONFLICT
    text = message.strip() or reason or f"HTTP {status}"
    return Refusal(subject, kind, text, invalid, attempts, now + delay)


def await_predecessor(subject: str, name: str, now: datetime) -> Refusal:
    """Return the refusal by an object that still has the name, of a job that had this job's name before."""
    text = f"{name} of the job that had this name before is still there; waiting until it is gone"
    return Refusal(
        subject, Reason.NAME_STILL_TAKEN, text, invalid=False, attempts=1, retry_at=now + PREDECESSOR_RETRY
    )
