"""What a TFJob says of its life as a whole: runPolicy, successPolicy, enableDynamicWorker."""

from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader

#: Fields of runPolicy that older TFJobs have in the spec itself.
_FIELDS = (
    "cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "suspend", "managedBy",
)  # fmt: skip
_MANAGER = "kubeflow.org/training-operator"


def read_policies(spec: Reader, draft: Draft, members: int) -> None:
    """Take the policies from a TFJob's spec; `members` is how many pods the gang has."""
    policy = spec.child("runPolicy")
    for reader in (spec, policy):
        for field in _FIELDS:
            if (value := reader.take(field)) not in (None, ""):
                level, advice = _answer(field, value)
                reader.note(level, field, value, advice)
    _scheduling(policy.child("schedulingPolicy"), draft, members)
    policy.lose_rest()
    if (success := spec.take("successPolicy")) not in (None, ""):
        spec.note(
            Level.CHANGED, "successPolicy", success,
            "the job succeeds when its chief does; workers of MultiWorkerMirroredStrategy end with it",
        )  # fmt: skip
    if (dynamic := spec.flag("enableDynamicWorker")) is not None:
        advice = "the number of workers is fixed while the job lives: apply it again with another number"
        same = "the number of workers is fixed"
        spec.note(Level.LOST if dynamic else Level.SAME, "enableDynamicWorker", dynamic, advice if dynamic else same)


def _answer(field: str, value: Any) -> tuple[Level, str]:
    """Return what becomes of a field of runPolicy."""
    match field, value:
        case "cleanPodPolicy", "Running":
            return Level.SAME, "finished pods stay for their logs, others go"
        case "cleanPodPolicy", "None":
            return Level.CHANGED, "pods that still run when the job has ended are deleted; finished ones stay"
        case "cleanPodPolicy", _:
            return Level.CHANGED, "finished pods stay for their logs until the job is deleted; others go"
        case "ttlSecondsAfterFinished", _:
            return Level.LOST, "this version keeps finished jobs: delete them yourself"
        case "activeDeadlineSeconds", _:
            return Level.LOST, "this version has no deadline: have the program end in time"
        case "backoffLimit", 0:
            return Level.SAME, "a job whose gang fails has failed"
        case "backoffLimit", _:
            return Level.LOST, "this version does not restart a failed gang: apply the job again"
        case "suspend", False:
            return Level.SAME, "the job starts at once"
        case "suspend", _:
            return Level.LOST, "this version can't wait: apply the job when it may start"
        case "managedBy", managed if managed == _MANAGER:
            return Level.SAME, "the operator of TrainingJobs takes it up"
        case _:
            return Level.LOST, "the operator of TrainingJobs takes it up itself"


def _scheduling(policy: Reader, draft: Draft, members: int) -> None:
    if priority := policy.text("priorityClass"):
        if not accepted.dns_name(priority):
            policy.note(Level.LOST, "priorityClass", priority, "is no name of a PriorityClass")
        elif draft.node_pool.setdefault("priorityClassName", priority) == priority:
            policy.note(
                Level.CHANGED, "priorityClass", priority, "is now spec.nodePool.priorityClassName, of the pods"
            )
        else:
            policy.note(Level.LOST, "priorityClass", priority, "the pods' own priorityClassName was kept")
    if queue := policy.text("queue"):
        policy.note(
            Level.LOST, "queue", queue,
            "this version makes no PodGroup and knows no queues: the scheduler sees pods without one",
        )  # fmt: skip
    if (least := policy.number("minAvailable")) is not None:
        if least == members:
            policy.note(Level.SAME, "minAvailable", least, "training starts when all members are there")
        else:
            advice = f"training starts when all {members} members are there; pods are scheduled one by one"
            policy.note(Level.LOST, "minAvailable", least, advice)
    policy.lose_rest("this version makes no PodGroup: pods are scheduled one by one")
