"""May this pod say this about that job? Pure; the facts come from the caches.

A token alone proves little: whoever may create pods in a namespace can project a token with any audience. So the
sender must be a live pod that is owned by the job itself, and its chief. A worker may say one thing, that it has lost
its chief from sight, and of nobody but the chief there is now.
"""

from dataclasses import dataclass

from trainingjob_operator.api.contract import Report, member_name
from trainingjob_operator.api.names import ROLE_CHIEF, ROLE_WORKER, report_audience
from trainingjob_operator.intake.tokens import Claims

#: States of a report, see trainingjob_launcher.report.
CHIEF_LOST, TERMINATED = "ChiefLost", "Terminated"


class RefusedError(Exception):
    """The report is refused. `status` is the HTTP code; the text, one sentence, says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class JobFact:
    """What must be known of a job. `incarnation` and `generation` are the newest that a report of it had, or 0.

    `heard_at` is when the status heard its chief last, in seconds since 1970, `interval` is its report interval in
    seconds; `chief_lost` says that the status calls the chief lost.
    """

    uid: str
    incarnation: int = 0
    generation: int = 0
    finished: bool = False
    heard_at: float | None = None
    interval: float = 5.0
    chief_lost: bool = False


@dataclass(frozen=True)
class PodFact:
    """What must be known of a pod. `live`: its container runs and is not finished; `leaving`: it was deleted."""

    name: str
    namespace: str
    owner_uid: str
    role: str
    index: int
    incarnation: int
    live: bool
    leaving: bool = False


def authorize_sender(
    claims: Claims, namespace: str, name: str, job: JobFact | None, pod: PodFact | None
) -> tuple[JobFact, PodFact]:
    """Check that the token's pod is a live member of the job `namespace/name`; return both as present.

    This needs no body, so a stranger's body is never read.

    Raises:
        RefusedError: 401 wrong audience, 403 wrong pod, 404 no such job, 503 a job that is not known yet.
    """
    if claims.namespace != namespace:
        raise RefusedError(403, f"the token's pod runs in namespace {claims.namespace}, not in {namespace}")
    if job is None:
        if pod is not None and pod.live and _is_for_a_job_of(pod, claims, namespace, name):
            # Jobs and pods are watched apart, and another replica may have made the pods: we hear of the job later.
            raise RefusedError(503, f"TrainingJob {namespace}/{name} is not known yet: try again")
        raise RefusedError(404, f"there is no TrainingJob {namespace}/{name}")
    if claims.audience != (report_audience(job.uid),):
        raise RefusedError(401, f"the token's audience is not that of TrainingJob {namespace}/{name} as it is now")
    if pod is None:
        raise RefusedError(403, f"pod {claims.pod_name} is not known: it is gone, or too new; try again")
    if pod.namespace != namespace or pod.name != claims.pod_name:
        raise RefusedError(403, f"the token does not name pod {pod.name} as it is")
    if pod.owner_uid != job.uid:
        raise RefusedError(403, f"pod {pod.name} does not belong to TrainingJob {namespace}/{name}")
    if pod.role not in (ROLE_CHIEF, ROLE_WORKER):
        raise RefusedError(403, f"pod {pod.name} is the {pod.role}: only the chief reports")
    if not pod.live:
        raise RefusedError(403, f"pod {pod.name} is not running")
    return job, pod


def _is_for_a_job_of(pod: PodFact, claims: Claims, namespace: str, name: str) -> bool:
    mine = (pod.namespace, pod.name) == (namespace, claims.pod_name) and pod.name.startswith(f"{name}-{pod.role}-")
    return mine and not pod.leaving and claims.audience == (report_audience(pod.owner_uid),)


def authorize_report(report: Report, job: JobFact, pod: PodFact, newest: int = 0) -> None:
    """Check that the report is this chief's, and is not one of the past.

    `newest` is the newest incarnation of the chief that has a pod. A chief whose successor has one is refused, but
    for one that was asked to go: while it saves it may still say how its last generation ends. A finished job still
    takes the last report of its last generation: it may arrive after the pods' end was seen.

    Raises:
        RefusedError: 403 speaks for another member, 409 is of the past; to a replaced chief it says "replaced".
    """
    _authorize_self(report, pod)
    if pod.role != ROLE_CHIEF or report.state == CHIEF_LOST:
        raise RefusedError(403, f"pod {pod.name} is a {pod.role} and cannot report {report.state}")
    _refuse_replaced(report, pod, max(job.incarnation, 0 if _may_end(report, job, pod) else newest))
    if (report.incarnation, report.generation) < (job.incarnation, job.generation):
        raise RefusedError(
            409,
            f"generation {report.generation} of incarnation {report.incarnation} is over: "
            f"the job is at generation {job.generation} of incarnation {job.incarnation}",
        )
    if job.finished and not (report.final or report.state == TERMINATED):
        raise RefusedError(409, "the job is finished: only its last report is still taken")


def authorize_notice(notice: Report, job: JobFact, pod: PodFact, newest: int, chief: int) -> None:
    """Check that a worker says that it lost its chief, and means the chief that there is.

    `newest` is the newest incarnation of the worker that has a pod, `chief` the chief's.

    Raises:
        RefusedError: 403 says anything else, 409 is of the past.
    """
    _authorize_self(notice, pod)
    if notice.state != CHIEF_LOST or notice.chief_incarnation is None:
        raise RefusedError(
            403, f"pod {pod.name} is a {pod.role}: only the chief reports, a worker that it has lost its chief"
        )
    _refuse_replaced(notice, pod, newest)
    known = max(chief, job.incarnation)
    if notice.chief_incarnation != known:
        raise RefusedError(
            409, f"incarnation {notice.chief_incarnation} of chief-0 is not the newest: that is incarnation {known}"
        )
    if job.finished:
        raise RefusedError(409, "the job is finished")


def _authorize_self(report: Report, pod: PodFact) -> None:
    member = member_name(pod.role, pod.index)
    if report.member != member:
        raise RefusedError(403, f"pod {pod.name} is member {member} and cannot report for {report.member!r}")
    if report.incarnation != pod.incarnation:
        raise RefusedError(
            403, f"pod {pod.name} is incarnation {pod.incarnation} of {member}, the report says {report.incarnation}"
        )


def _refuse_replaced(report: Report, pod: PodFact, newest: int) -> None:
    if newest > pod.incarnation:
        raise RefusedError(
            409,
            f"incarnation {pod.incarnation} of {report.member} was replaced by incarnation {newest}: it must stop",
        )


def _may_end(report: Report, job: JobFact, pod: PodFact) -> bool:
    """Whether a chief that was asked to go says how its last generation ends, rather than that it begins another."""
    if not pod.leaving:
        return False
    if report.final or report.state == TERMINATED:
        return True
    over = (report.incarnation, report.generation) <= (job.incarnation, job.generation)
    return over and report.state in ("Running", "Restarting")
