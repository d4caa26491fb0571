"""Success policy: a job has succeeded when its chief has."""

from trainingjob_operator.core.gang import Gang


def succeeded(gang: Gang) -> bool:
    """Whether the chief's pod ended well.

    The chief's launcher exits 0 only when the whole generation ended well. A pod that was evicted can end with 0 too
    when its program handles SIGTERM so: then the launcher's last report does not say Succeeded, and a pod without
    any report must not carry a disruption.
    """
    pod = gang.chief.pod
    if pod is None or pod.phase != "Succeeded":
        return False
    report = pod.report
    return report.state == "Succeeded" if report is not None else not pod.disruption
