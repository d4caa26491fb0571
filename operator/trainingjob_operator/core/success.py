"""Success policy: a job has succeeded when its chief has."""

from trainingjob_operator.core.failure import said_at_last
from trainingjob_operator.core.gang import Gang
from trainingjob_operator.core.observe import JobFact


def succeeded(job: JobFact, gang: Gang) -> bool:
    """Whether the chief ended well.

    The chief's launcher exits 0 only when the whole generation ended well. A pod that was evicted can end with 0 too
    when its program handles SIGTERM so: then the launcher's last report does not say Succeeded, and a pod without
    any report must not carry a disruption. A chief whose pod is gone has succeeded if it told the intake so.
    """
    chief = gang.chief
    pod = chief.pod
    if chief.lost and said_at_last(job, gang) == "Succeeded":
        return True
    if pod is None or not pod.over or (pod.terminated is not None and pod.terminated.exit_code != 0):
        return False
    report = pod.report
    if report is not None:
        return report.state == "Succeeded"
    return pod.phase == "Succeeded" and not pod.disruption and not pod.deleting
