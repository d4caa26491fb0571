"""May this pod say this about that job? Pure; the facts come from the caches.

A token alone proves little: whoever may create pods in a namespace can project a token with any audience. So the
sender must be a live pod that is owned by the job itself, and its chief.
"""

from dataclasses import dataclass

from trainingjob_operator.api.contract import Report, member_name
from trainingjob_operator.api.names import ROLE_CHIEF, report_audience
from trainingjob_operator.intake.tokens import Claims


class RefusedError(Exception):
    """The report is refused. `status` is the HTTP code; the text, one sentence, says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class JobFact:
    """What must be known of a job. `incarnation` and `generation` are the newest that a report of it had, or 0."""

    uid: str
    incarnation: int = 0
    generation: int = 0
    finished: bool = False


@dataclass(frozen=True)
class PodFact:
    """What must be known of a pod. `live`: it has a running container and is not finished."""

    name: str
    namespace: str
    owner_uid: str
    role: str
    index: int
    incarnation: int
    live: bool


def authorize_sender(
    claims: Claims, namespace: str, name: str, job: JobFact | None, pod: PodFact | None
) -> tuple[JobFact, PodFact]:
    """Check that the token's pod is the live chief of the job `namespace/name`; return both as present.

    This needs no body, so a stranger's body is never read.

    Raises:
        RefusedError: 401 wrong audience, 403 wrong pod, 404 no such job.
    """
    if claims.namespace != namespace:
        raise RefusedError(403, f"the token's pod runs in namespace {claims.namespace}, not in {namespace}")
    if job is None:
        raise RefusedError(404, f"there is no TrainingJob {namespace}/{name}")
    if claims.audience != (report_audience(job.uid),):
        raise RefusedError(401, f"the token's audience is not that of TrainingJob {namespace}/{name} as it is now")
    if pod is None:
        raise RefusedError(403, f"pod {claims.pod_name} is not known: it is gone, or too new; try again")
    if pod.namespace != namespace or pod.name != claims.pod_name:
        raise RefusedError(403, f"the token does not name pod {pod.name} as it is")
    if pod.owner_uid != job.uid:
        raise RefusedError(403, f"pod {pod.name} does not belong to TrainingJob {namespace}/{name}")
    if pod.role != ROLE_CHIEF:
        raise RefusedError(403, f"pod {pod.name} is a {pod.role}: only the chief reports")
    if not pod.live:
        raise RefusedError(403, f"pod {pod.name} is not running")
    return job, pod


def authorize_report(report: Report, job: JobFact, pod: PodFact) -> None:
    """Check that the report is this pod's, and is not one of the past.

    A finished job still takes the last report of its last generation: it may arrive after the pods' end was seen.

    Raises:
        RefusedError: 403 speaks for another member, 409 is of the past.
    """
    member = member_name(pod.role, pod.index)
    if report.member != member:
        raise RefusedError(403, f"pod {pod.name} is member {member} and cannot report for {report.member!r}")
    if report.incarnation != pod.incarnation:
        raise RefusedError(
            403, f"pod {pod.name} is incarnation {pod.incarnation} of {member}, the report says {report.incarnation}"
        )
    if (report.incarnation, report.generation) < (job.incarnation, job.generation):
        raise RefusedError(
            409,
            f"generation {report.generation} of incarnation {report.incarnation} is over: "
            f"the job is at generation {job.generation} of incarnation {job.incarnation}",
        )
    if job.finished and not report.final:
        raise RefusedError(409, "the job is finished: only its last report is still taken")
