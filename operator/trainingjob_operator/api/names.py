"""Every name that a user or another program may depend on: API, labels, phases, conditions, reasons."""

from enum import StrEnum
from typing import Final

GROUP: Final = "trainingjob.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "TrainingJob"
PLURAL: Final = "trainingjobs"
SINGULAR: Final = "trainingjob"
SHORT_NAME: Final = "tj"

LABEL_JOB: Final = "trainingjob.dev/job"
LABEL_ROLE: Final = "trainingjob.dev/role"
LABEL_INDEX: Final = "trainingjob.dev/index"
LABEL_INCARNATION: Final = "trainingjob.dev/incarnation"
#: On a pod: how many pods of its member failed before it in a way that counts against backoffLimit.
ANNOTATION_FAILURES: Final = "trainingjob.dev/failures"
#: On a pod: how many pods of its member before it, one after the other, ended soon after their start.
ANNOTATION_SHORT_LIVES: Final = "trainingjob.dev/short-lives"
#: On a pod: how the last pod of its member ended that counted, and at which step of the job; JSON.
ANNOTATION_LAST_END: Final = "trainingjob.dev/last-end"
LABEL_APP_NAME: Final = "app.kubernetes.io/name"
LABEL_APP_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_APP_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_APP_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
#: Value of app.kubernetes.io/name on a job's objects; the operator's own carry MANAGER.
APP_NAME: Final = "trainingjob"
MANAGER: Final = "trainingjob-operator"

#: Field managers: the reconciler owns all of status but what the intake writes (training, display of metrics).
FIELD_MANAGER: Final = "trainingjob-operator"
INTAKE_FIELD_MANAGER: Final = "trainingjob-operator-intake"

#: What `spec.managedBy` says when it is us.
CONTROLLER: Final = f"{GROUP}/operator"

ROLE_CHIEF: Final = "chief"
ROLE_WORKER: Final = "worker"
#: No member of the gang: beside it.
ROLE_EVALUATOR: Final = "evaluator"

#: The container of every member that the launcher runs in.
CONTAINER: Final = "trainer"
#: A pod's hostname, `{job}-worker-{index}`, has at most 63 characters.
MAX_JOB_NAME: Final = 52
MAX_WORKERS: Final = 999


class Phase(StrEnum):
    """`status.phase`: one word for where a job is. Conditions say why."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    INVALID = "Invalid"

    @property
    def finished(self) -> bool:
        """Whether nothing happens to a job in this phase any more."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


class Condition(StrEnum):
    """Types of `status.conditions`. All are present from the first write on."""

    VALID = "Valid"
    MEMBERS_READY = "MembersReady"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Reasons of conditions and events that the operator itself gives.

    A failed job's reason may also be one that the launcher judged (`TrainerFailed`, `MemberLost`, ...) or that the
    kubelet gave (`OOMKilled`, `Evicted`, ...). docs/status.md lists them for people.
    """

    # Valid
    SPEC_ACCEPTED = "SpecAccepted"
    INVALID_SPEC = "InvalidSpec"
    # MembersReady
    MEMBERS_RUNNING = "MembersRunning"
    MEMBERS_STARTING = "MembersStarting"
    MEMBERS_FINISHED = "MembersFinished"
    MEMBERS_ENDING = "MembersEnding"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_SECURITY = "PodSecurityViolation"
    POD_REFUSED = "PodRefused"
    SERVICE_CONFLICT = "ServiceConflict"
    NAME_STILL_TAKEN = "NameStillTaken"
    LAUNCHER_REFUSED = "LauncherRefused"
    # Running
    GANG_FORMED = "GangFormed"
    GANG_FORMING = "GangForming"
    GANG_RESTARTING = "GangRestarting"
    NO_REPORTS = "NoReports"
    NOT_STARTED = "NotStarted"
    FINISHED = "Finished"
    # Succeeded, Failed
    IN_PROGRESS = "InProgress"
    CHIEF_SUCCEEDED = "ChiefSucceeded"
    JOB_FAILED = "JobFailed"
    JOB_SUCCEEDED = "JobSucceeded"
    MEMBER_LOST = "MemberLost"
    MEMBER_FAILED = "MemberFailed"
    NODE_LOST = "NodeLost"
    NODE_RESTARTED = "NodeRestarted"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    STARTUP_DEADLINE_EXCEEDED = "StartupDeadlineExceeded"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    # Stalled
    NO_PROGRESS = "NoProgress"
    PROGRESSING = "Progressing"
    # Suspended
    JOB_SUSPENDED = "JobSuspended"
    JOB_RESUMED = "JobResumed"
    # Events
    PODS_CREATED = "PodsCreated"
    EVALUATOR_FAILED = "EvaluatorFailed"
    RESTARTING = "Restarting"
    RESTARTED = "Restarted"
    RESUMED = "Resumed"
    MEMBER_REPLACED = "MemberReplaced"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


def pod_name(job: str, role: str, index: int, incarnation: int) -> str:
    """Return a member's pod name: `{job}-{role}-{index}`, with `-{incarnation}` from the second pod on."""
    base = f"{job}-{role}-{index}"
    return base if incarnation == 1 else f"{base}-{incarnation}"


def service_name(job: str) -> str:
    """Return the name of the headless Service that resolves to the chief's current pod."""
    return f"{job}-chief"


def report_audience(uid: str) -> str:
    """Return the audience of the token with which the pods of the job with this UID report."""
    return f"{GROUP}/jobs/{uid}"
