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
#: What a TrainingJob takes: a year, and a million failures.
_MOST_SECONDS, _MOST_FAILURES = 31_536_000, 1_000_000


def read_policies(spec: Reader, draft: Draft, members: int) -> None:
    """Take the policies from a TFJob's spec; `members` is how many pods the gang has."""
    policy = spec.child("runPolicy")
    for reader in (spec, policy):
        for field in _FIELDS:
            if (value := reader.take(field)) not in (None, ""):
                level, advice = _carry(field, value, draft)
                reader.note(level, field, value, advice)
    _scheduling(policy.child("schedulingPolicy"), draft, members)
    policy.lose_rest()
    if (success := spec.take("successPolicy")) not in (None, ""):
        spec.note(
            Level.CHANGED, "successPolicy", success,
            "the job succeeds when its chief does; workers of MultiWorkerMirroredStrategy end with it",
        )  # fmt: skip
    if (dynamic := spec.flag("enableDynamicWorker")) is not None:
        advice = (
            "the number of workers is fixed while the job lives; spec.elastic trains with fewer while some can't come"
        )
        same = "the number of workers is fixed"
        spec.note(Level.LOST if dynamic else Level.SAME, "enableDynamicWorker", dynamic, advice if dynamic else same)


def _carry(field: str, value: Any, draft: Draft) -> tuple[Level, str]:
    """Put a field of runPolicy where the TrainingJob has it; return what became of it."""
    match field, value:
        case "cleanPodPolicy", "Running":
            return Level.SAME, "finished pods stay for their logs, others go"
        case "cleanPodPolicy", ("None" | "All"):
            draft.run_policy[field] = value
            return Level.CHANGED, "is now spec.runPolicy.cleanPodPolicy"
        case (("ttlSecondsAfterFinished" | "activeDeadlineSeconds"), int()) if _is_seconds(field, value):
            draft.run_policy[field] = value
            return Level.CHANGED, f"is now spec.runPolicy.{field}"
        case "backoffLimit", int() if type(value) is int and 0 <= value <= _MOST_FAILURES:
            draft.failure_policy[field] = value
            return Level.CHANGED, "is now spec.failurePolicy.backoffLimit: failures of the whole gang, that count"
        case "suspend", False:
            return Level.SAME, "the job starts at once"
        case "suspend", True:
            draft.suspend = True
            return Level.CHANGED, "is now spec.suspend"
        case "managedBy", managed if managed == _MANAGER:
            return Level.SAME, "the operator of TrainingJobs takes it up"
        case "managedBy", _:
            return Level.LOST, "the operator of TrainingJobs takes it up itself; spec.managedBy leaves it to another"
        case _:
            return Level.LOST, "is no value that a TrainingJob takes"


def _is_seconds(field: str, value: int) -> bool:
    least = 0 if field == "ttlSecondsAfterFinished" else 1
    return type(value) is int and least <= value <= _MOST_SECONDS


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
